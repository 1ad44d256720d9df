package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"stallwatch/capture"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/config"
	"stallwatch/cmd/internal/metrics"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/text"
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
	status    string
	logFormat string
	notify    string
	evidence  string
	full      bool
}

func newWatch(std stdio) *cobra.Command {
	var f watchFlags
	c := &cobra.Command{
		Use:   "watch [EXPRESSION...]",
		Short: "Watch a node's API port and report what hangs, while it hangs",
		Long: `Watch captures on the API port, follows every call, and logs an alert when calls
hang, sockets pile up in CLOSE_WAIT, or the node's descriptors run out. It
serves a status page on http://127.0.0.1:9814/, with Prometheus /metrics and
/healthz beside it. SIGHUP reads the rule files anew, after a check, and goes
over to a new file of records where the old one was moved away. End it with
Ctrl-C: it prints what it saw.

It needs the right to capture: run it as root, or once
  sudo setcap cap_net_raw=ep $(which stallwatch)`,
		Example: `  stallwatch watch
  stallwatch watch -i eth0 -p 14265,14267
  stallwatch watch -p 8545 --api jsonrpc --fd-limit 65535
  stallwatch watch --records - | jq .
  stallwatch watch --notify /etc/stallwatch/notify.yaml --evidence /var/lib/stallwatch/evidence
  stallwatch watch -w incident.pcap 'not host 10.0.0.7'`,
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
	fl.StringVar(&f.metrics, "metrics", metrics.DefaultAddr, "`ADDRESS` of the status page, /metrics and /healthz; empty: none")
	fl.StringVar(&f.status, "status", statusLocal, "local|all|off: who may read the status page, which names clients; local is who connects over loopback")
	fl.StringVar(&f.notify, "notify", "", "send alerts to the receivers of `FILE`: Discord, Slack, Alertmanager and others")
	fl.StringVar(&f.evidence, "evidence", "", "write a bundle to `DIR` for each alert: packets, calls in flight, timeline, how to reproduce")
	fl.BoolVar(&f.full, "evidence-full", false, "keep the values of parameters in bundles")
	fl.StringVar(&f.logFormat, "log-format", "auto", "auto|console|json: auto is console on a terminal")
	return c
}

// expression takes a filter given as tcpdump's habit has it: the words may
// come one by one.
func (f *captureFlags) expression(args []string) error {
	if len(args) == 0 {
		return nil
	}
	if f.filter != "" {
		return usage(errors.New("a filter was given twice: with --filter and as an argument"))
	}
	f.filter = strings.Join(args, " ")
	return nil
}

func runWatch(ctx context.Context, std stdio, f *watchFlags) (err error) {
	o, err := f.options(config.DefaultPort)
	if err != nil {
		return err
	}
	if f.redact != "on" && f.redact != "off" {
		return usage(fmt.Errorf("--redact %q: want on or off", f.redact))
	}
	if f.full && f.evidence == "" {
		return usage(errors.New("--evidence-full: keeps values in bundles, and none are written: give --evidence DIR too"))
	}
	if err := checkStatus(f.status); err != nil {
		return err
	}
	limitMemory(o)
	log, closeLog, err := newWatchLogger(std.err, f.logFormat)
	if err != nil {
		return err
	}
	defer closeLog()
	out, err := f.openOutputs(std, log, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()
	src, problem, err := f.open(o.Tracker.Ports, o.Tracker.Perimeter)
	if err != nil {
		return err
	}
	defer src.Close()
	pipe, err := pipeline.New(o, out.sinks...)
	if err != nil {
		return usage(err) // the rules' settings of detectors
	}
	fd := feed{src: src, pipe: pipe, unrecorded: func(err error) {
		log.Error().Err(err).Msg("recording ended: the watch goes on without it")
	}}
	if out.evidence != nil {
		fd.item = out.evidence.Item
	}
	if f.write != "" {
		if fd.rec, err = replay.NewRecorder(f.write, replay.RecorderOptions{Overwrite: f.overwrite}); err != nil {
			return orOverwrite(err)
		}
	}
	reload := newReloader(log, &f.analysis, out.rotate)
	defer reload.stop()
	back := clockLog{log: log}
	quiet := silence{log: log, interfaces: f.interfaces, ports: o.Tracker.Ports}
	fd.second = func() {
		reload.apply(pipe)
		back.look(src.Stats())
		quiet.second(pipe.Stats().Packets)
		out.publish(pipe)
	}
	hosts := &hostLog{log: log, problem: problem}
	fd.sampled = func(s *capture.Sample) {
		hosts.sample(s)
		out.sampled(s)
	}
	if problem != "" && !f.noHost {
		out.sampled(&capture.Sample{Err: problem})
	}
	f.greet(log, o, out, problem)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	release := stopper(ctx, src, f.duration)
	defer release()
	err = fd.run()
	if out.records != nil {
		out.records.Summary(pipe.Stats())
	}
	closeLog() // what follows goes to the same file
	out.tally.write(std.err, src.Stats(), pipe.Stats())
	if out.records != nil && out.records.Unwritten() > 0 {
		fmt.Fprintf(std.err, "%d records dropped\n", out.records.Unwritten())
	}
	return err
}

// greet says once what is watched and what cannot be seen; url is where the
// metrics are, "" if nowhere.
func (f *watchFlags) greet(log zerolog.Logger, o pipeline.Options, out *outputs, problem string) {
	e := log.Info().Strs("interfaces", f.interfaces).Uints16("ports", o.Tracker.Ports).Str("api", f.api)
	out.where(e, f.status).Msg("watching; Ctrl-C ends it")
	switch {
	case f.noHost:
		log.Info().Msg("the node's process is not looked at: descriptors and accept queue are estimated from the wire")
	case problem != "":
		log.Warn().Str("problem", problem).
			Msg("the node's process cannot be seen: going on with the wire alone")
	}
}

// hostLog tells when the node's process comes into sight or is lost: a line
// each time. A reason that follows another (the process has ended, then
// nobody listens) is told only when it stays.
type hostLog struct {
	log     zerolog.Logger
	problem string // told last; "": the process is in sight
	other   string // came after problem
	stays   int    // samples that say other
	pid     int
}

// problemStays is after how many samples, one a second, another reason is
// news.
const problemStays = 10

func (h *hostLog) sample(s *capture.Sample) {
	if s.Err == "" {
		if h.problem != "" || s.PID != h.pid {
			h.log.Info().Int("pid", s.PID).Str("process", text.Escape(s.Process)).Int("fds", s.FDs).Int("fd_limit", s.FDLimit).
				Msg("the node's process is in sight")
		}
		h.problem, h.pid = "", s.PID
		return
	}
	if s.Err != h.other {
		h.other, h.stays = s.Err, 0
	}
	h.stays++
	if s.Err == h.problem || h.problem != "" && h.stays < problemStays {
		return
	}
	h.problem = s.Err
	h.log.Warn().Str("problem", s.Err).Msg("the node's process cannot be seen: going on with the wire alone")
}
