package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"stallwatch/capture"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/config"
	"stallwatch/cmd/internal/metrics"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/records"
	"stallwatch/cmd/internal/report"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
)

// watchFlags are what the watch command was told.
type watchFlags struct {
	analysis
	captureFlags
	write     string
	overwrite bool
	records   string
	redact    string
	metrics   string
	logFormat string
}

func newWatch(std stdio) *cobra.Command {
	var f watchFlags
	c := &cobra.Command{
		Use:   "watch [EXPRESSION]",
		Short: "Watch a node's API port and report what hangs, while it hangs",
		Long: `Watch captures on the API port, follows every call, and logs an alert when calls
hang, sockets pile up in CLOSE_WAIT, or the node's descriptors run out. It
serves Prometheus metrics and /healthz on 127.0.0.1:9814. SIGHUP reads the rule
files anew, after a check. End it with Ctrl-C: it prints what it saw.

It needs the right to capture: run it as root, or once
  sudo setcap cap_net_raw=ep $(which stallwatch)`,
		Example: `  stallwatch watch
  stallwatch watch -i eth0 -p 14265,14267
  stallwatch watch -p 8545 --api jsonrpc --fd-limit 65535
  stallwatch watch --records - | jq .
  stallwatch watch -w incident.pcap 'not host 10.0.0.7'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.expression(args); err != nil {
				return err
			}
			return runWatch(c.Context(), std, &f)
		},
	}
	fl := c.Flags()
	f.analysis.register(fl, "watched `PORT`s, repeatable or with commas (default 14265)")
	f.captureFlags.register(fl)
	fl.StringVarP(&f.write, "write", "w", "", "record what is analysed to `FILE`.pcap and FILE.host.jsonl, for replay")
	fl.BoolVar(&f.overwrite, "overwrite", false, "let --write replace a recording")
	fl.StringVar(&f.records, "records", "", "write the records as JSON lines to `FILE` (- for standard output)")
	fl.StringVar(&f.redact, "redact", "on", "on|off: hide values of query parameters and long path segments in records")
	fl.StringVar(&f.metrics, "metrics", metrics.DefaultAddr, "`ADDRESS` of /metrics and /healthz; empty: none")
	fl.StringVar(&f.logFormat, "log-format", "auto", "auto|console|json: auto is console on a terminal")
	return c
}

// expression takes a filter given as tcpdump's habit has it.
func (f *captureFlags) expression(args []string) error {
	if len(args) == 0 {
		return nil
	}
	if f.filter != "" {
		return usage(errors.New("a filter was given twice: with --filter and as an argument"))
	}
	f.filter = args[0]
	return nil
}

func runWatch(ctx context.Context, std stdio, f *watchFlags) error {
	o, err := f.options(config.DefaultPort)
	if err != nil {
		return err
	}
	if f.redact != "on" && f.redact != "off" {
		return usage(fmt.Errorf("--redact %q: want on or off", f.redact))
	}
	limitMemory(o)
	log, err := newLogger(std.err, f.logFormat)
	if err != nil {
		return err
	}
	met := metrics.New(o.Rules, metrics.Options{Version: release})
	if f.metrics != "" {
		server, err := metrics.Listen(f.metrics, met)
		if err != nil {
			return err
		}
		defer server.Close()
		log.Info().Str("url", "http://"+server.Addr()+"/metrics").Msg("metrics")
	}
	var tally tally
	sinks := []pipeline.Sink{met, report.NewLog(log), &tally}
	rec, closeRecords, err := f.openRecords(std, o)
	if err != nil {
		return err
	}
	if rec != nil {
		sinks = append(sinks, rec)
	}
	src, problem, err := f.open(o.Tracker.Ports)
	if err != nil {
		return err
	}
	defer src.Close()
	pipe, err := pipeline.New(o, sinks...)
	if err != nil {
		return err
	}
	fd := feed{src: src, pipe: pipe}
	if f.write != "" {
		if fd.rec, err = replay.NewRecorder(f.write, replay.RecorderOptions{Overwrite: f.overwrite}); err != nil {
			return err
		}
	}
	var snap detect.Snapshot
	reload := newReloader(log, &f.analysis)
	defer reload.stop()
	fd.second = func() {
		reload.apply(pipe)
		pipe.Snapshot(&snap)
		met.Publish(pipe.Stats(), &snap)
		if rec != nil {
			rec.Flush() // the error is kept, and ends the run's report
		}
	}
	fd.sampled = (&hostLog{log: log, problem: problem}).sample
	f.greet(log, o, problem)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	release := stopper(ctx, src, f.duration)
	defer release()
	err = fd.run()
	if rec != nil {
		rec.Summary(pipe.Stats())
		err = errors.Join(err, closeRecords())
	}
	tally.write(std.err, src.Stats(), pipe.Stats())
	return err
}

// greet says once what is watched and what cannot be seen.
func (f *watchFlags) greet(log zerolog.Logger, o pipeline.Options, problem string) {
	log.Info().Strs("interfaces", f.interfaces).Uints16("ports", o.Tracker.Ports).Str("api", f.api).
		Msg("watching; Ctrl-C ends it")
	switch {
	case f.noHost:
		log.Info().Msg("the node's process is not looked at: descriptors and accept queue are estimated from the wire")
	case problem != "":
		log.Warn().Str("problem", problem).
			Msg("the node's process cannot be seen: going on with the wire alone")
	}
}

// hostLog tells when the node's process comes into sight or is lost.
type hostLog struct {
	log     zerolog.Logger
	problem string
	pid     int
}

func (h *hostLog) sample(s *capture.Sample) {
	switch {
	case s.Err != "" && s.Err != h.problem:
		h.log.Warn().Str("problem", s.Err).Msg("the node's process cannot be seen: going on with the wire alone")
	case s.Err == "" && s.PID != h.pid:
		h.log.Info().Int("pid", s.PID).Str("process", text.Escape(s.Process)).Int("fds", s.FDs).Int("fd_limit", s.FDLimit).
			Msg("the node's process is in sight")
		h.pid = s.PID
	}
	h.problem = s.Err
}

// openRecords opens --records. The function it returns ends the stream.
func (f *watchFlags) openRecords(std stdio, o pipeline.Options) (*records.Writer, func() error, error) {
	if f.records == "" {
		return nil, nil, nil
	}
	ro := records.Options{Version: release, Sources: f.interfaces, RulesDigest: o.Rules.Digest(), Redact: f.redact == "on"}
	if f.records == "-" {
		w := records.New(std.out, ro)
		return w, w.Flush, nil
	}
	// Append: a restart of the daemon starts a new stream in the same file,
	// and a log rotator may have moved the old one away.
	file, err := os.OpenFile(f.records, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	w := records.New(io.Writer(file), ro)
	return w, func() error { return errors.Join(w.Flush(), file.Close()) }, nil
}
