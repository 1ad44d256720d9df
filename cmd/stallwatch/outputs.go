package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"stallwatch/cmd/internal/advise"
	"stallwatch/cmd/internal/evidence"
	"stallwatch/cmd/internal/metrics"
	"stallwatch/cmd/internal/notify"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/records"
	"stallwatch/cmd/internal/report"
	"stallwatch/cmd/internal/status"
	"stallwatch/detect"
)

// outputs is where a live run's findings go, and what has to be closed in the
// end.
type outputs struct {
	sinks    []pipeline.Sink
	metrics  *metrics.Metrics
	status   *status.Status      // nil: not asked for
	addr     string              // of the metrics and the status page; "": not served
	records  *records.Writer     // nil: not asked for
	queue    *outQueue           // valid iff records is not nil
	rotate   func()              // the file of the records may have been moved away; nil: there is none
	evidence *evidence.Collector // nil: not asked for
	tally    tally
	snap     detect.Snapshot
	closers  []func() error // called last to first
}

// drain is how long what is on its way out may take when the run ends.
const drain = 5 * time.Second

// openOutputs opens what the flags ask for. With an error nothing stays open.
func (f *watchFlags) openOutputs(std stdio, log zerolog.Logger, o pipeline.Options) (*outputs, error) {
	receivers, err := loadReceivers(f.notify)
	if err != nil {
		return nil, err
	}
	out := &outputs{metrics: metrics.New(o.Rules, metrics.Options{Version: release})}
	out.sinks = []pipeline.Sink{out.metrics, report.NewLog(log), &out.tally}
	if f.metrics != "" && f.status != statusOff {
		out.openStatus(f, o, receivers)
	}
	for _, open := range []func() error{
		func() error { return out.openMetrics(f.metrics) },
		func() error { return out.openRecords(std, f, log, o) },
		func() error { return out.openNotify(receivers, log) },
		func() error { return out.openEvidence(f, log, o) },
	} {
		if err := open(); err != nil {
			return nil, errors.Join(err, out.close())
		}
	}
	return out, nil
}

func (out *outputs) openMetrics(addr string) error {
	if addr == "" {
		return nil
	}
	server, err := metrics.Listen(addr, out.handler())
	if errors.Is(err, metrics.ErrAddr) {
		return usage(err)
	}
	if err != nil {
		return err
	}
	out.closers = append(out.closers, server.Close)
	out.addr = server.Addr()
	return nil
}

func (out *outputs) openRecords(std stdio, f *watchFlags, log zerolog.Logger, o pipeline.Options) error {
	if f.records == "" {
		return nil
	}
	ro := records.Options{Version: release, Sources: f.interfaces, RulesDigest: detect.Digest(o.Rules), Redact: f.redact == "on", Trusted: o.Detect.Trusted}
	w, shut := std.out, func() error { return nil }
	if f.records != "-" {
		file, err := openRecordFile(f.records, log)
		if err != nil {
			return err
		}
		w, shut, out.rotate = file, file.Close, file.rotate
	}
	out.queue = newRecordQueue(w, log)
	out.records = records.New(out.queue, ro)
	out.closers = append(out.closers, func() error {
		out.flushRecords()
		return errors.Join(out.queue.close(drain), shut())
	})
	out.sinks = append(out.sinks, out.records)
	out.metrics.Records(out.queue.stats)
	if out.status != nil {
		out.status.Records(out.queue.stats)
	}
	return nil
}

// loadReceivers reads the configuration of --notify; nil is none.
func loadReceivers(path string) (*notify.Config, error) {
	if path == "" {
		return nil, nil
	}
	c, err := notify.Load(path)
	return c, usage(err)
}

func (out *outputs) openNotify(c *notify.Config, log zerolog.Logger) error {
	if c == nil {
		return nil
	}
	n, err := notify.New(c, notify.Options{Version: release, Log: log, Healthy: out.healthy})
	if err != nil {
		return err
	}
	out.closers = append(out.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		return n.Close(ctx)
	})
	out.sinks = append(out.sinks, n)
	tell := func() (uint64, []metrics.Receiver) {
		st := n.Stats()
		list := make([]metrics.Receiver, len(st.Receivers))
		for i, r := range st.Receivers {
			list[i] = metrics.Receiver{Name: r.Name, Sent: r.Sent, Failed: r.Failed, Dropped: r.Dropped, SpoolFails: r.SpoolFails, Queue: r.Queue, Stopped: r.Stopped}
		}
		return st.Lost, list
	}
	out.metrics.Receivers(tell)
	if out.status != nil {
		out.status.Receivers(tell)
	}
	log.Info().Int("receivers", len(c.Receivers)).Msg("alerts are sent on")
	return nil
}

// healthy is what the heartbeat and CaptureBlind go by.
func (out *outputs) healthy() error {
	if h := out.metrics.Health(); h.Status != "ok" {
		return errors.New(strings.Join(h.Reasons, "; "))
	}
	return nil
}

func (out *outputs) openEvidence(f *watchFlags, log zerolog.Logger, o pipeline.Options) error {
	if f.evidence == "" {
		return nil
	}
	c, err := evidence.New(evidence.Options{Dir: f.evidence, Full: f.full, Version: release, ReplayFlags: f.replayFlags(),
		Advise: advise.Input{Rules: o.Rules},
		Report: func(r evidence.Result) {
			if r.Err != nil {
				log.Error().Err(r.Err).Str("alert", r.Alert.Name).Msg("no evidence bundle")
				return
			}
			log.Info().Str("alert", r.Alert.Name).Str("path", r.Path).Int64("bytes", r.Bytes).Msg("evidence bundle")
		}})
	if err != nil {
		return err
	}
	out.evidence = c
	out.closers = append(out.closers, func() error { return c.Close(drain) })
	out.sinks = append(out.sinks, c)
	return nil
}

// publish brings what is scraped up to date.
func (out *outputs) publish(pipe *pipeline.Pipeline) {
	pipe.Snapshot(&out.snap)
	stats := pipe.Stats()
	out.metrics.Publish(stats, &out.snap)
	if out.status != nil {
		out.status.Publish(stats, &out.snap)
	}
	out.flushRecords()
}

// flushRecords hands the records so far to their queue, and tells it how many
// it refused.
func (out *outputs) flushRecords() {
	if out.records == nil {
		return
	}
	out.records.Flush() // the queue gives no error but that it is full
	out.queue.dropped.Store(out.records.Unwritten())
}

func (out *outputs) close() error {
	var errs []error
	for i := len(out.closers) - 1; i >= 0; i-- {
		errs = append(errs, out.closers[i]())
	}
	out.closers = nil
	return errors.Join(errs...)
}
