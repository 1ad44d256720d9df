package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/config"
)

func newRecord(std stdio) *cobra.Command {
	var f captureFlags
	var ports []string
	var write string
	var overwrite, perimeter bool
	c := &cobra.Command{
		Use:   "record -w FILE [EXPRESSION...]",
		Short: "Capture, with the node's descriptors and sockets beside it, for replay",
		Long: `Record writes FILE (pcap, nanoseconds) and, beside it, FILE's name with
.host.jsonl in place of .pcap: the node's descriptors, sockets by state and
accept queue, a line a second, and what the capture lost. "replay FILE" then
says what a live run would have said.`,
		Example: `  stallwatch record -w node.pcap
  stallwatch record -w night.pcap --duration 8h -i eth0 -p 14265`,
		RunE: func(c *cobra.Command, args []string) error {
			if write == "" {
				return usage(errors.New("where to? give --write FILE, as in record -w node.pcap"))
			}
			if err := f.expression(args); err != nil {
				return err
			}
			p, err := config.Ports(ports)
			if err != nil {
				return usage(err)
			}
			if len(p) == 0 {
				p = []uint16{config.DefaultPort}
			}
			return runRecord(c.Context(), std, &f, p, write, overwrite, perimeter)
		},
	}
	fl := c.Flags()
	fl.StringArrayVarP(&ports, "port", "p", nil, "`PORT`s, repeatable or with commas (default 14265)")
	f.register(fl)
	fl.StringVarP(&write, "write", "w", "", "`FILE` to write")
	fl.BoolVar(&overwrite, "overwrite", false, "replace a recording")
	fl.BoolVar(&perimeter, "perimeter", false, "record the SYN and RST of every other port too, for PortScan and LoginProbe")
	return c
}

func runRecord(ctx context.Context, std stdio, f *captureFlags, ports []uint16, write string, overwrite, perimeter bool) error {
	src, problem, err := f.open(ports, perimeter)
	if err != nil {
		return err
	}
	defer src.Close()
	rec, err := replay.NewRecorder(write, replay.RecorderOptions{Overwrite: overwrite})
	if err != nil {
		return orOverwrite(err)
	}
	if problem != "" {
		fmt.Fprintf(std.err, "stallwatch: the node's process cannot be seen: %s; recording the wire alone\n", problem)
	}
	fmt.Fprintf(std.err, "recording to %s; Ctrl-C ends it\n", write)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	release := stopper(ctx, src, f.duration)
	defer release()
	err = (&feed{src: src, rec: rec}).run()
	st := src.Stats()
	var kernel uint64
	for _, i := range st.Interfaces {
		kernel += i.KernelDrops
	}
	fmt.Fprintf(std.err, "%d packets captured\n%d packets dropped by kernel\n", st.Delivered, kernel)
	return err
}

// orOverwrite names the flag that would have helped.
func orOverwrite(err error) error {
	if errors.Is(err, replay.ErrExists) {
		return fmt.Errorf("%w, or replace it with --overwrite", err)
	}
	return err
}
