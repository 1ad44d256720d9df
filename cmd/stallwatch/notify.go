package main

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"stallwatch/cmd/internal/notify"
)

// defaultNotifyConfig is where the receivers of alerts are looked for.
const defaultNotifyConfig = "/etc/stallwatch/notify.yaml"

func newNotify(std stdio) *cobra.Command {
	c := &cobra.Command{
		Use:   "notify",
		Short: "Try the receivers of alerts",
		Example: `  stallwatch notify test --notify ./notify.yaml
  stallwatch notify test --dry-run --notify ./notify.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	test := newNotifyTest(std)
	test.Args = usageArgs(test.Args)
	c.AddCommand(test)
	return c
}

func newNotifyTest(std stdio) *cobra.Command {
	var path string
	var dry bool
	c := &cobra.Command{
		Use:   "test [RECEIVER]",
		Short: "Send a marked test alert, make it worse, and resolve it",
		Long: `Test sends a marked alert to each receiver of the configuration, or to the one
named: it fires, becomes worse, and is resolved, and each step is reported. It
exits with 1 if a receiver did not take it. With --dry-run it sends nothing
and prints the exact messages, without their secrets.`,
		Example: `  stallwatch notify test
  stallwatch notify test ops-discord
  stallwatch notify test --dry-run --notify ./notify.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			conf, err := notify.Load(path)
			if errors.Is(err, fs.ErrNotExist) {
				return usage(errors.Join(err, errors.New("name the receivers' configuration with --notify FILE")))
			}
			if err != nil {
				return usage(err)
			}
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			o := notify.Options{Version: release}
			try := func() error { return notify.Test(c.Context(), conf, name, o, std.out) }
			if dry {
				try = func() error { return notify.DryRun(conf, name, o, std.out) }
			}
			if err = try(); errors.Is(err, notify.ErrReceiver) {
				return usage(err)
			}
			return err
		},
	}
	c.Flags().StringVar(&path, "notify", defaultNotifyConfig, "the receivers' configuration `FILE`")
	c.Flags().BoolVar(&dry, "dry-run", false, "print what would be sent, and send nothing")
	return c
}
