package report

import (
	"time"

	"github.com/rs/zerolog"

	"stallwatch/capture"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Log writes a line for each change of an alert and for each loss. It is a
// pipeline.Sink.
//
// The message is the alert's name and nothing else: zerolog's console writer
// prints messages unescaped, so whatever an attacker may have touched goes to
// fields, escaped before. The line's own time is the logger's; the alert's
// stands in the field at.
type Log struct{ log zerolog.Logger }

// NewLog returns a Log. Make the logger once and for all: console style for a
// terminal, JSON otherwise.
func NewLog(l zerolog.Logger) *Log { return &Log{l} }

// Event implements pipeline.Sink: single exchanges are no news. That less is
// read than before is.
func (g *Log) Event(ev *httpreassembly.Event, _ *rules.Verdict) {
	if ev.Kind != httpreassembly.LevelChanged {
		return
	}
	l := httpreassembly.Level(ev.Bytes)
	if l == httpreassembly.LevelFull {
		g.log.Info().Str("at", ev.At.String()).Msg("memory suffices again: everything is read")
		return
	}
	g.log.Warn().Str("at", ev.At.String()).Str("level", text.Level(l)).Str("reads", reads[l]).
		Msg("memory is short: less is read; see --memory")
}

// reads says what a level still reads.
var reads = [httpreassembly.NumLevels]string{
	httpreassembly.LevelCommands: "headers and the commands of contents",
	httpreassembly.LevelHeaders:  "headers",
	httpreassembly.LevelStates:   "connections and the answers to calls in flight",
}

// Finding implements pipeline.Sink.
func (g *Log) Finding(f *detect.Finding) {
	if f.Kind != detect.AlertChanged {
		return
	}
	a := f.Alert
	e := g.log.WithLevel(level(a)).Str("at", a.At.String()).Str("state", text.AlertState(a.State)).
		Str("severity", text.Severity(a.Severity)).Str("subject", clean(a.Subject)).Str("summary", clean(a.Summary))
	if a.State == detect.Firing {
		e = e.Str("why", clean(a.Why))
	}
	if a.Client.IsValid() {
		e = e.Str("client", a.Client.String())
	}
	e = evidenceFields(e, &a.Evidence)
	if a.Confidence > 0 && a.Confidence < 1 {
		e = e.Float64("confidence", a.Confidence)
	}
	e.Msg(clean(a.Name))
}

func evidenceFields(e *zerolog.Event, v *detect.Evidence) *zerolog.Event {
	if len(v.Calls) > 0 {
		c := &v.Calls[0]
		if c.Command != "" { // a request that never became whole has none
			e = e.Str("culprit", clean(c.Command))
		}
		e = e.Str("culprit_client", end(c.Client)).Float64("culprit_age_seconds", seconds(c.Age)).Str("verdict", string(c.Verdict))
		if c.Raw != "" {
			e = e.Str("culprit_raw", clean(c.Raw))
		}
	}
	for _, n := range []struct {
		key string
		n   int
	}{{"in_flight", v.InFlight}, {"close_wait", v.CloseWait}, {"close_wait_kernel", v.CloseWaitKernel},
		{"unaccepted", v.Unaccepted}, {"fds", v.FDs}, {"fd_limit", v.FDLimit}} {
		if n.n > 0 {
			e = e.Int(n.key, n.n)
		}
	}
	if v.Leg.Side != detect.NoLeg {
		e = e.Str("leg", v.Leg.Side.String()).Stringer("proxy", v.Leg.Proxy).Stringer("node", v.Leg.Node)
	}
	if v.HasETA {
		e = e.Float64("fd_eta_seconds", seconds(v.ETA))
	}
	return e
}

// seconds rounds to milliseconds: nobody reads more from a log.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

func level(a *detect.Alert) zerolog.Level {
	switch {
	case a.State == detect.Resolved || a.Severity <= detect.Info:
		return zerolog.InfoLevel
	case a.Severity == detect.Warning:
		return zerolog.WarnLevel
	}
	return zerolog.ErrorLevel
}

// Loss implements pipeline.Sink. CaptureLoss is the alert; this is the trace.
// A time when nobody looked is news of its own.
func (g *Log) Loss(at capture.Time, l capture.Loss) {
	if l.Unwatched > 0 {
		cause, cure := text.Pause(l.Why)
		g.log.Warn().Str("at", at.String()).Float64("unwatched_seconds", seconds(l.Unwatched)).Uint64("dropped", l.Kernel).Str("cause", cause).Str("cure", cure).
			Msg("nothing was watched for a while: what may have ended in it is given up, and no alert comes of it")
		return
	}
	g.log.Debug().Str("at", at.String()).Uint64("kernel", l.Kernel).Uint64("interface", l.Interface).Msg("packets lost")
}

func clean(s string) string { return string(text.AppendClean(nil, s, text.MaxField)) }
