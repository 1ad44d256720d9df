package report

import (
	"stallwatch/capture"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Options configure a Report.
type Options struct {
	Sources  []string // files, in order
	Version  string   // of the program
	Commands int      // rows of the profile (0: 20); the rest is one row
}

// maxAlerts bounds the changes of alerts that are kept, in order; the oldest
// stay, since the first warning matters most, and the rest is counted.
const maxAlerts = 256

// Report gathers what a run tells people at its end. It is a pipeline.Sink,
// not safe for concurrent use.
type Report struct {
	opts      Options
	digest    string     // of the rules
	commands  []*command // by Command.Index; nil until seen
	uncounted uint64     // calls over their budget that no alert counts
	unnamed   command    // requests not seen whole, and indices out of range
	alerts    []detect.Alert
	dropped   uint64 // alerts beyond maxAlerts
	inFlight  series
	closeWait series
	exchanges uint64
	pending   uint64
	refused   uint64
	silent    uint64 // SYNs unanswered
	tls       uint64 // connections that speak TLS
	warned    capture.Time
	failed    capture.Time
	failure   string // what failed first; valid iff failed is not 0
	worst     detect.Severity
}

// command is one row of the profile.
type command struct {
	name     string
	api      string
	wait     latencies
	errors   uint64
	open     uint64 // in flight at the end
	requests uint64
	canary   bool // costs the node nothing
}

// maxCommands bounds the rows: beyond, commands share one.
const maxCommands = 4096

// New returns an empty Report. The rules are named in its header; nil is none.
func New(set *rules.Set, o Options) *Report {
	if o.Commands <= 0 {
		o.Commands = 20
	}
	return &Report{opts: o, digest: digest(set), unnamed: command{name: "(request not seen whole)"}}
}

func digest(set *rules.Set) string {
	if set == nil {
		return ""
	}
	return detect.Digest(set)
}

// Event implements pipeline.Sink.
func (r *Report) Event(ev *httpreassembly.Event, v *rules.Verdict) {
	if r.inFlight.slice == 0 { // the curves begin together, to be compared
		r.inFlight.reach(ev.At)
		r.closeWait.reach(ev.At)
	}
	switch ev.Kind {
	case httpreassembly.RequestSeen:
		if !ev.Early {
			r.inFlight.add(ev.At, 1)
		}
	case httpreassembly.ResponseSeen:
		if !ev.Early {
			r.inFlight.add(ev.At, -1)
		}
	case httpreassembly.ExchangeDone:
		r.done(ev, v)
	case httpreassembly.HalfClosed:
		if ev.By == httpreassembly.Client {
			r.closeWait.add(ev.At, 1)
		}
	case httpreassembly.Closed:
		if ev.Summary.CloseWait != 0 {
			r.closeWait.add(ev.At, -1)
		}
		if ev.Summary.Protocol == httpreassembly.ProtoTLS {
			r.tls++
		}
	case httpreassembly.Refused:
		r.refused++
		r.fail(ev.At, "the first connection that was refused")
	case httpreassembly.SynUnanswered:
		r.silent++
		r.fail(ev.At, "the first connection that was not answered")
	}
}

// fail notes the first failure and what it was.
func (r *Report) fail(at capture.Time, what string) {
	if r.failed == 0 {
		r.failed, r.failure = at, what
	}
}

// done counts an exchange. Cut ones are no errors: the run ended, or
// their state was evicted. Unread ones are none either: clients of a kept
// connection make them again. Those in flight at the end Finding counts.
func (r *Report) done(ev *httpreassembly.Event, v *rules.Verdict) {
	x := ev.Exchange
	r.exchanges++
	c := r.command(v)
	c.requests++
	unanswered := x.ResponseStart == 0
	switch {
	case x.RequestEnd == 0:
	case !unanswered:
		c.wait.add(x.Wait(), true)
	default:
		c.wait.add(ev.At.Sub(x.RequestEnd), false)
	}
	if unanswered && x.RequestEnd != 0 {
		r.inFlight.add(ev.At, -1)
	}
	switch {
	case x.Outcome == httpreassembly.Cut, x.Outcome == httpreassembly.Unread, x.Outcome == httpreassembly.Answered && x.Status < 400:
	default:
		c.errors++
	}
	if unanswered && (x.Outcome == httpreassembly.ServerClosed || x.Outcome == httpreassembly.ServerReset) {
		r.fail(ev.At, "the first call that the server dropped")
	}
}

func (r *Report) command(v *rules.Verdict) *command {
	if v == nil || v.Command == nil || v.Command.Index < 0 || v.Command.Index >= maxCommands {
		return &r.unnamed
	}
	i := v.Command.Index
	for len(r.commands) <= i {
		r.commands = append(r.commands, nil)
	}
	if r.commands[i] == nil {
		r.commands[i] = &command{name: v.Command.Name, api: v.Command.API, canary: v.Command.Canary}
	}
	return r.commands[i]
}

// Finding implements pipeline.Sink.
func (r *Report) Finding(f *detect.Finding) {
	switch {
	case f.Kind == detect.AlertChanged:
		r.alert(f.Alert)
	case f.Kind != detect.CallPending || f.Pending.Over:
	case f.Pending.Final:
		r.pending++
		r.command(&f.Pending.Call).open++
	case f.Pending.Uncounted && f.Pending.Age < 2*f.Pending.Call.Command.Warn: // the first of the call's
		r.uncounted++
	}
}

func (r *Report) alert(a *detect.Alert) {
	r.worst = max(r.worst, a.Severity)
	if a.State == detect.Firing && a.Severity >= detect.Warning && r.warned == 0 {
		r.warned = a.At
	}
	if len(r.alerts) >= maxAlerts {
		r.dropped++
		return
	}
	r.alerts = append(r.alerts, *a)
}

// Loss implements pipeline.Sink. The sum stands in the run's Stats.
func (r *Report) Loss(capture.Time, capture.Loss) {}

// Worst returns the highest severity that fired; zero if nothing did.
func (r *Report) Worst() detect.Severity { return r.worst }
