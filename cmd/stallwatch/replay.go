package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/records"
	"stallwatch/cmd/internal/report"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
)

// replayFlags are what the replay command was told.
type replayFlags struct {
	analysis
	read   []string
	json   bool
	redact string
	failOn string
}

func newReplay(std stdio) *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use:   "replay FILE...",
		Short: "Say what happened in a capture",
		Long: `Replay reads pcap and pcapng files (plain, gzip or zstd), directories of them,
or standard input (-), and reports the calls by command, what hung, and the
alerts on a timeline. A file NAME.host.jsonl beside a capture, as "record"
writes it, joins by itself.

Without -p every port is read and HTTP is found by its content.`,
		Example: `  stallwatch replay incident.pcap
  stallwatch replay -p 14265 /var/tmp/captures/
  ssh node tcpdump -w - -U port 14265 | stallwatch replay -
  stallwatch replay --json incident.pcap.zst | jq 'select(.type == "pending")'
  stallwatch replay --fail-on critical nightly.pcap || page-somebody`,
		RunE: func(c *cobra.Command, args []string) error {
			return runReplay(c.Context(), std, &f, append(f.read, args...))
		},
	}
	fl := c.Flags()
	f.register(fl, "watched `PORT`s, repeatable or with commas (default: every port)")
	fl.StringArrayVarP(&f.read, "read", "r", nil, "a `FILE`, directory or - to read, as an argument is (repeatable)")
	fl.BoolVar(&f.json, "json", false, "write the records as JSON lines to standard output instead of the report")
	fl.StringVar(&f.redact, "redact", "on", "on|off: hide values of query parameters and long path segments")
	fl.StringVar(&f.failOn, "fail-on", "", "warning|critical: exit with code 3 if an alert of that severity fired")
	return c
}

func runReplay(ctx context.Context, std stdio, f *replayFlags, paths []string) error {
	o, threshold, err := f.check(paths)
	if err != nil {
		return err
	}
	limitMemory(o)
	src, err := replay.Open(paths, replay.Options{Stdin: std.in})
	if err != nil {
		return err
	}
	defer src.Close()

	worst := worstAlert{}
	sinks := []pipeline.Sink{&worst}
	var rec *records.Writer
	var rep *report.Report
	if f.json {
		rec = records.New(std.out, records.Options{Version: release, Sources: names(paths), RulesDigest: detect.Digest(o.Rules), Redact: f.redact == "on", Trusted: o.Detect.Trusted})
		sinks = append(sinks, rec)
	} else {
		rep = report.New(o.Rules, report.Options{Version: release, Sources: names(paths)})
		sinks = append(sinks, rep)
	}
	o.Apart = runtime.GOMAXPROCS(0) > 1
	pipe, err := pipeline.New(o, sinks...)
	if err != nil {
		return usage(err) // the rules' settings of detectors
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	readErr := readAll(ctx, src, pipe, newProgress(std.err))

	st := pipe.Stats()
	times := src.Times()
	st.Jumps, st.Shift = times.Jumps, times.Shift
	for _, e := range src.Errors() {
		st.Broken = append(st.Broken, text.Escape(e.Error()))
	}
	if f.json {
		rec.Summary(st)
		err = rec.Flush()
	} else {
		err = rep.Write(std.out, st)
	}
	return endReplay(std, err, readErr, st.Broken, worst.severity >= threshold)
}

// check validates the flags. threshold is beyond every severity when
// --fail-on was not given.
func (f *replayFlags) check(paths []string) (o pipeline.Options, threshold detect.Severity, err error) {
	if len(paths) == 0 {
		return o, 0, usage(errors.New(`no capture named: give files, directories, or - for standard input; see "stallwatch replay --help"`))
	}
	if f.redact != "on" && f.redact != "off" {
		return o, 0, usage(fmt.Errorf("--redact %q: want on or off", f.redact))
	}
	threshold = detect.Critical + 1
	switch f.failOn {
	case "":
	case "warning":
		threshold = detect.Warning
	case "critical":
		threshold = detect.Critical
	default:
		return o, 0, usage(fmt.Errorf("--fail-on %q: want warning or critical", f.failOn))
	}
	o, err = f.options()
	return o, threshold, err
}

// names are the files as the report shows them: without their directories,
// which say something about the machine and nothing about the capture.
func names(paths []string) []string {
	var list []string
	for _, p := range paths {
		list = append(list, filepath.Base(p))
	}
	return list
}

// endReplay decides how a replay ends: files that broke are told one a line,
// after the report of what could be read.
func endReplay(std stdio, writeErr, readErr error, broken []string, found bool) error {
	for _, b := range broken {
		fmt.Fprintf(std.err, "stallwatch: %s\n", b)
	}
	switch {
	case writeErr != nil:
		return fmt.Errorf("write the report: %w", writeErr)
	case readErr != nil:
		return readErr
	case len(broken) > 0:
		return errReported
	case found:
		return errFound
	}
	return nil
}
