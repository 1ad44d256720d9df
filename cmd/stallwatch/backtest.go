package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stallwatch/capture"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/ruletest"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// backtestFlags are what backtest was told.
type backtestFlags struct {
	ruleFlags
	sweep string
}

func newBacktest(std stdio) *cobra.Command {
	var f backtestFlags
	c := &cobra.Command{
		Use:   "backtest CAPTURE...",
		Short: "Say when rules would have warned of what a capture holds",
		Long: `Backtest replays each capture on its own and sets the alerts against what
happened: the first warning, the moment of failure, and the time between them.
The failure is the first connection that the node refused, the first call that
it broke off, or the first that a client gave up unanswered after its warn
budget had passed. Calls of commands that are expected to be slow do not count,
nor requests that are malformed, nor ports that never answered unless --port
names them.

With --sweep it does so for several values of one setting of a detector (see
"stallwatch rules show") and prints a table of alerts a day against lead time:
alerts a day are those of captures that hold no failure, since those of the
others are wanted.`,
		Example: `  stallwatch backtest -p 14265 incident.pcap.zst
  stallwatch backtest --rules own.yaml captures/*.pcap.zst
  stallwatch backtest --sweep CallStalled.min_calls=1,2,3,5,8 captures/*.pcap.zst`,
		Args: atLeastOne("no capture named: give files"),
		RunE: func(_ *cobra.Command, args []string) error { return runBacktest(std, &f, args) },
	}
	f.add(c, "watched `PORT`s")
	c.Flags().StringVar(&f.sweep, "sweep", "", "`DETECTOR.SETTING=A,B,C`: try these values of one setting")
	return c
}

func runBacktest(std stdio, f *backtestFlags, captures []string) error {
	tracker, err := f.tracker()
	if err != nil {
		return err
	}
	b := &backtest{f: f, tracker: tracker, captures: captures}
	if f.sweep != "" {
		return b.sweep(std)
	}
	set, err := f.load(std)
	if err != nil {
		return err
	}
	for i, name := range captures {
		run, err := b.run(set, name)
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(std.out)
		}
		if err := run.write(std.out); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

// backtest replays captures under rules.
type backtest struct {
	f        *backtestFlags
	tracker  httpreassembly.Options
	captures []string
}

func (b *backtest) run(set *rules.Set, name string) (*backtestRun, error) {
	r := &backtestRun{name: text.Escape(name), chosen: len(b.tracker.Ports) > 0, served: map[capture.Endpoint]bool{},
		odd: map[httpreassembly.ConnID]bool{}, calls: map[callID]waiting{}}
	p, err := pipeline.New(pipeline.Options{Rules: set, Tracker: b.tracker}, &r.timeline, r)
	if err != nil {
		return nil, err
	}
	if r.start, err = ruletest.Replay(p, name, 0); err != nil {
		return nil, err
	}
	return r, nil
}

// callID names a call.
type callID struct {
	conn  httpreassembly.ConnID
	depth int
}

// waiting is a call that has no answer yet.
type waiting struct {
	since   capture.Time
	command *rules.Command
}

// maxWaiting bounds the calls that are followed at once; more are not looked
// at, which can only make the failure late.
const maxWaiting = 1 << 20

// maxServed bounds the servers that are known to have answered. Where every
// port is read, a port that never did is a scanner's, and no node that failed.
const maxServed = 4096

// maxOdd bounds the connections whose clients sent what no server has to
// answer: that a node breaks those off is no failure of the node.
const maxOdd = 1 << 16

// backtestRun is a pipeline.Sink that looks for the moment of failure.
type backtestRun struct {
	name     string
	start    capture.Time
	timeline ruletest.Timeline
	chosen   bool // ports were given: what is refused there is a failure
	served   map[capture.Endpoint]bool
	odd      map[httpreassembly.ConnID]bool
	calls    map[callID]waiting
	failed   capture.Time // zero: it did not
	how      string
}

// Finding implements pipeline.Sink.
func (*backtestRun) Finding(*detect.Finding) {}

// Loss implements pipeline.Sink.
func (*backtestRun) Loss(capture.Time, capture.Loss) {}

// Event implements pipeline.Sink.
func (r *backtestRun) Event(ev *httpreassembly.Event, v *rules.Verdict) {
	switch ev.Kind {
	case httpreassembly.Refused:
		if r.chosen || r.served[ev.Flow.Server] {
			r.fail(ev.At, "a connection was refused")
		}
	case httpreassembly.RequestSeen:
		if v != nil && len(r.calls) < maxWaiting && v.Command.Class != rules.ClassStream && len(ev.Exchange.Method) > 0 {
			r.calls[callID{ev.Conn, ev.Exchange.Depth}] = waiting{ev.Exchange.RequestEnd, v.Command}
		}
	case httpreassembly.ResponseSeen:
		if len(r.served) < maxServed {
			r.served[ev.Flow.Server] = true
		}
		delete(r.calls, callID{ev.Conn, ev.Exchange.Depth})
	case httpreassembly.Odd:
		if ev.Dir == capture.ToServer && len(r.odd) < maxOdd {
			r.odd[ev.Conn] = true
		}
	case httpreassembly.HalfClosed, httpreassembly.Closed:
		if ev.Kind == httpreassembly.Closed {
			defer delete(r.odd, ev.Conn)
		}
		if ev.By == httpreassembly.Client {
			r.gaveUp(ev)
		}
	case httpreassembly.ExchangeDone:
		r.done(ev)
	}
}

// gaveUp handles a client that goes: calls of its connection that waited
// beyond their budget failed.
func (r *backtestRun) gaveUp(ev *httpreassembly.Event) {
	for depth := 1; depth <= 64; depth++ { // the oldest calls of a pipeline tell
		w, ok := r.calls[callID{ev.Conn, depth}]
		if !ok || w.command.Warn == 0 || w.command.Slow || w.command.Class == rules.ClassJob {
			continue
		}
		if waited := ev.At.Sub(w.since); waited >= w.command.Warn {
			r.fail(ev.At, fmt.Sprintf("a client gave up %s after %s", w.command.Name, waited.Round(10*time.Millisecond)))
		}
	}
}

// done handles the end of a call.
func (r *backtestRun) done(ev *httpreassembly.Event) {
	id := callID{ev.Conn, ev.Exchange.Depth}
	w, ok := r.calls[id]
	delete(r.calls, id)
	if !ok || ev.Exchange.ResponseStart != 0 || r.odd[ev.Conn] {
		return
	}
	switch ev.Exchange.Outcome {
	case httpreassembly.ServerClosed, httpreassembly.ServerReset:
		r.fail(ev.At, fmt.Sprintf("the node broke off %s unanswered", w.command.Name))
	}
}

func (r *backtestRun) fail(at capture.Time, how string) {
	if r.failed == 0 || at < r.failed {
		r.failed, r.how = at, how
	}
}

// firstWarning returns the first alert that is at least a warning.
func (r *backtestRun) firstWarning() *detect.Alert {
	for i := range r.timeline.Changes {
		if a := &r.timeline.Changes[i]; a.State == detect.Firing && a.Severity >= detect.Warning {
			return a
		}
	}
	return nil
}

// lead returns how long before the failure the first warning came; ok is
// false if there was no failure, or no warning.
func (r *backtestRun) lead() (lead time.Duration, ok bool) {
	a := r.firstWarning()
	if a == nil || r.failed == 0 {
		return 0, false
	}
	return r.failed.Sub(a.At), true
}

// incidents counts the alerts that fired, without their escalations.
func (r *backtestRun) incidents() int {
	n := 0
	firing := map[string]bool{}
	for i := range r.timeline.Changes {
		a := &r.timeline.Changes[i]
		id := a.Name + "\x00" + a.Subject
		if a.State == detect.Firing && !firing[id] && a.Severity >= detect.Warning {
			n++
		}
		firing[id] = a.State == detect.Firing
	}
	return n
}

func (r *backtestRun) span() time.Duration { return r.timeline.Last.Sub(r.start) }

// write prints the timeline against what happened.
func (r *backtestRun) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s, from %s\n", r.name, r.span().Round(100*time.Millisecond), r.start)
	told := r.failed == 0
	for i := range r.timeline.Changes {
		a := &r.timeline.Changes[i]
		if !told && a.At > r.failed {
			told = true
			r.writeFailure(&b)
		}
		word := a.Severity.String()
		if a.State == detect.Resolved {
			word = "resolved"
		}
		fmt.Fprintf(&b, "%10s  %-8s  %s  %s\n", r.since(a.At), word, a.Name, a.Subject)
	}
	if !told {
		r.writeFailure(&b)
	}
	if r.timeline.Dropped > 0 {
		fmt.Fprintf(&b, "            %d more changes are not shown\n", r.timeline.Dropped)
	}
	r.writeSum(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *backtestRun) writeFailure(b *strings.Builder) {
	fmt.Fprintf(b, "%10s  FAILURE   %s\n", r.since(r.failed), r.how)
}

func (r *backtestRun) writeSum(b *strings.Builder) {
	first := r.firstWarning()
	lead, ok := r.lead()
	switch {
	case first == nil && r.failed == 0:
		b.WriteString("no warning, and nothing failed\n")
	case first == nil:
		b.WriteString("no warning, though the node failed\n")
	case r.failed == 0:
		fmt.Fprintf(b, "first warning at %s, and nothing failed\n", r.since(first.At))
	case ok && lead >= 0:
		fmt.Fprintf(b, "first warning at %s, failure at %s: %s before\n", r.since(first.At), r.since(r.failed), lead.Round(100*time.Millisecond))
	default:
		fmt.Fprintf(b, "first warning at %s, failure at %s: %s too late\n", r.since(first.At), r.since(r.failed), (-lead).Round(100*time.Millisecond))
	}
}

func (r *backtestRun) since(at capture.Time) string {
	return text.Offset(at.Sub(r.start))
}

var errSweep = errors.New(`--sweep: want DETECTOR.SETTING=A,B,C like CallStalled.min_calls=1,3,5; "stallwatch rules show" lists the settings`)
