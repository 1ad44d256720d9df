package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"stallwatch/cmd/internal/advise"
	"stallwatch/cmd/internal/config"
	"stallwatch/detect"
)

// adviseFlags are what the advise command was told.
type adviseFlags struct {
	alert   string
	command string
	api     string
	clients []string
	trusted []string
	server  string
	proxy   string
	port    string
	records string
	rules   []string
}

func newAdvise(std stdio) *cobra.Command {
	var f adviseFlags
	c := &cobra.Command{
		Use:   "advise",
		Short: "Propose what to do about an alert; never does it",
		Long: `Advise prints lines for HAProxy, nginx, nftables and the node's configuration
against what an alert names: a command, clients, or too much of either. Each
comes with the line that takes it back and with what it costs. Nothing is ever
applied.

It proposes no ban of a proxy: name the networks of yours with --trusted, and
say with --proxy what stands in front of the node.`,
		Example: `  stallwatch advise --alert CallStalled --command getTransactionsToApprove --client 192.0.2.7 --proxy none
  stallwatch advise --alert RequestFlood --proxy haproxy --trusted 10.0.0.0/8
  stallwatch replay --json incident.pcap | stallwatch advise --json - --proxy nginx`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			in, err := f.input(c, std)
			if err != nil {
				return err
			}
			return advise.Write(std.out, advise.Advise(in))
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.alert, "alert", "", "the alert's `NAME`, as in CallStalled; with --json, the last firing one of that name (default: the worst that names a command)")
	fl.StringVar(&f.command, "command", "", "the `COMMAND` it names, as in getTransactionsToApprove")
	fl.StringVar(&f.api, "api", "", "the `API` that names the command, where several have one of the name")
	fl.StringSliceVar(&f.clients, "client", nil, "`ADDRESS` of a client, or its IPv6 /64 (repeatable)")
	fl.StringSliceVar(&f.trusted, "trusted", nil, "`NETWORK` of your proxies, as in 10.0.0.0/8: never banned, never limited (repeatable)")
	fl.StringVar(&f.server, "server", "", "the node's own `ADDRESS`: never banned")
	fl.StringVar(&f.proxy, "proxy", "unknown", "what stands in front of the node: haproxy|nginx|none|unknown")
	fl.StringVarP(&f.port, "port", "p", "", "the node's `PORT` (default 14265)")
	fl.StringArrayVar(&f.rules, "rules", nil, "a rule `FILE` whose commands and alerts are known as well (repeatable)")
	fl.StringVar(&f.records, "json", "", "take alert, command, clients and server from `FILE` (- for standard input), as replay --json writes it")
	return c
}

// input reads the records, if there are any, and lays the flags over them.
func (f *adviseFlags) input(c *cobra.Command, std stdio) (in advise.Input, err error) {
	if f.alert == "" && f.records == "" {
		return in, usage(errors.New("advice on what? give --alert NAME or --json FILE"))
	}
	if in.Proxy, err = advise.ParseProxy(f.proxy); err != nil {
		return in, usage(fmt.Errorf("--%w", err))
	}
	if in.Trusted, err = config.Networks(f.trusted); err != nil {
		return in, usage(fmt.Errorf("--trusted: %w", err))
	}
	in.Alert, in.API = f.alert, f.api
	if in.Rules, _, err = loadRules(f.rules); err != nil {
		return in, tellRules(std.err, err)
	}
	if f.api != "" {
		if _, err := in.Rules.Select(f.api); err != nil {
			return in, usage(fmt.Errorf("--api: %w", err))
		}
	}
	if f.records == "" {
		if err := in.CheckAlert(); err != nil {
			return in, usage(fmt.Errorf("--alert: %w", err))
		}
	} else if in, err = f.read(std, in); err != nil {
		return in, err
	}
	if err := f.override(c, &in); err != nil {
		return in, usage(err)
	}
	return in, usage(in.Validate())
}

func (f *adviseFlags) read(std stdio, in advise.Input) (advise.Input, error) {
	var r io.Reader = std.in
	if f.records != "-" {
		file, err := os.Open(f.records)
		if err != nil {
			return in, err
		}
		defer file.Close()
		r = file
	}
	out, err := advise.FromRecords(r, in)
	if err == nil {
		return out, nil
	}
	if unknown := in.CheckAlert(); unknown != nil {
		return out, usage(fmt.Errorf("--json: %w; and %w", err, unknown))
	}
	return out, fmt.Errorf("--json: %w", err)
}

// override lays the flags that were given over in.
func (f *adviseFlags) override(c *cobra.Command, in *advise.Input) error {
	if f.command != "" {
		in.Command = f.command
	}
	if c.Flags().Changed("client") {
		in.Clients = nil
		for _, s := range f.clients {
			var who detect.Client
			if err := who.UnmarshalText([]byte(s)); err != nil || !who.IsValid() || strings.Contains(s, "%") {
				return fmt.Errorf("--client %q: want an IP address, as in 192.0.2.7, or an IPv6 network of 64 bits, as alerts name them", s)
			}
			in.Clients = append(in.Clients, who)
		}
	}
	if f.server != "" {
		a, err := netip.ParseAddr(f.server)
		if err != nil || a.Zone() != "" {
			return fmt.Errorf("--server %q: want an IP address, as in 192.0.2.1", f.server)
		}
		in.Server = a
	}
	if f.port != "" {
		ports, err := config.Ports([]string{f.port})
		if err != nil || len(ports) != 1 {
			return fmt.Errorf("--port %q: want one number from 1 to 65535", f.port)
		}
		in.Port = ports[0]
	}
	return nil
}
