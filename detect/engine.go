package detect

import (
	"fmt"
	"math"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Engine turns Events into Findings. It is not safe for concurrent use: the
// pipeline's goroutine owns it.
type Engine struct {
	o        Options
	view     *view
	life     lifecycle
	free     *freeRules   // nil: there are none
	now      capture.Time // the latest instant it was told
	begun    bool         // something was observed: the two below are valid
	observed capture.Time // the latest observation
	nextEval capture.Time
	scratch  []float64
	finished bool
	ending   []int32 // by FinishPart: calls still to be reported
	pendings pendings
}

// Stats count what an Engine could not follow, since its start.
type Stats struct {
	CallsNotFollowed    uint64 // beyond MaxCalls or MaxConns
	ConnsNotFollowed    uint64 // beyond MaxConns, all of them with a call in flight or half closed
	ConnsEvicted        uint64 // idle or half-open connections forgotten for new ones, and any whose slot was given away
	VisitorsEvicted     uint64 // clients forgotten for new ones
	NamesDropped        uint64 // unknown commands, references and scanners beyond the bounds of their tables
	NodesFolded         uint64 // events that made no node of their own: beyond MaxNodes
	NodesEvicted        uint64 // idle nodes forgotten for new ones
	SeedsDropped        uint64 // sockets of the kernel's table beyond the bound
	ClosedUnopened      uint64 // connections that ended without having begun
	IncidentsSuppressed uint64 // raised beyond MaxIncidents, by second
	RuleKeysEvicted     uint64 // keys of free rules beyond MaxRuleKeys
	RuleCallsSkipped    uint64 // calls in flight that free rules were not asked about, by second
	RuleErrors          uint64 // expressions that failed on some call
	LegsNotFollowed     uint64 // calls through a proxy that were not paired: beyond MaxLegs or the proxies told apart, or too many alike
}

// New returns an Engine, or says which option makes no sense.
func New(o Options) (*Engine, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("detect options: %w", err)
	}
	o.setDefaults()
	e := &Engine{o: o}
	e.view = newView(&e.o)
	e.life = lifecycle{o: &e.o, stats: &e.view.stats, legs: &e.view.legs, by: make(map[incidentKey]*incident)}
	e.free = newFreeRules(&e.o, &e.view.stats)
	return e, nil
}

// Observe folds an event. v is what the rules say about the event's exchange;
// it is nil iff there is no exchange or its request was not seen whole. Like
// the exchange it is held until ExchangeDone, and must not change until then.
func (e *Engine) Observe(dst []Finding, ev *httpreassembly.Event, v *rules.Verdict) []Finding {
	if e.due(ev.At) {
		dst = e.Advance(dst, ev.At)
	}
	if ev.Kind == httpreassembly.ExchangeDone && ev.Exchange.Outcome == httpreassembly.Cut {
		dst = e.cut(dst, ev)
	}
	e.view.observe(ev, v)
	dst = e.view.lastWords(dst)
	if e.free != nil {
		e.free.observe(e.view, ev, v)
	}
	if ev.Kind == httpreassembly.ExchangeDone {
		e.view.legDone(ev)
	}
	e.saw(ev.At)
	return dst
}

// Sample folds what the host says.
func (e *Engine) Sample(dst []Finding, at capture.Time, s *capture.Sample) []Finding {
	dst = e.Advance(dst, at)
	e.view.sampled(at, s)
	dst = e.view.lastWords(dst)
	e.saw(at)
	return dst
}

// Loss folds packets that were lost, and a time when nobody watched: then the
// connections that may be over were told to be before.
func (e *Engine) Loss(dst []Finding, at capture.Time, l capture.Loss) []Finding {
	dst = e.Advance(dst, at)
	if l.Unwatched > 0 {
		at = e.skip(at, l.Unwatched)
	}
	e.view.loss.lost(at, l)
	e.saw(at)
	return dst
}

// Advance fires everything that is due at or before now.
func (e *Engine) Advance(dst []Finding, now capture.Time) []Finding {
	dst, _ = e.AdvancePart(dst, now, math.MaxInt)
	return dst
}

// AdvancePart is Advance in steps of some n findings: those about a hundred
// thousand calls at once would take more room than the calls do. more means
// that it has to be called again, with the same now, before anything else.
func (e *Engine) AdvancePart(dst []Finding, now capture.Time, n int) (_ []Finding, more bool) {
	e.life.out = dst
	for e.due(now) {
		if len(e.life.out) >= n {
			dst, e.life.out = e.life.out, nil
			return dst, true
		}
		if e.view.nextDue <= e.nextEval {
			e.deadline(now)
		} else {
			at := e.nextEval
			e.evaluate(at)
			e.nextEval = nextEvaluation(at, e.observed)
		}
	}
	if e.begun {
		e.now = max(e.now, now)
	}
	dst, e.life.out = e.life.out, nil
	return dst, false
}

// due reports whether a deadline or an evaluation is due at now.
func (e *Engine) due(now capture.Time) bool {
	return e.view.nextDue <= now && e.view.nextDue != never || e.begun && e.nextEval <= now && e.nextEval != never
}

// saw brings the next evaluation close after an observation.
func (e *Engine) saw(at capture.Time) {
	if !e.begun {
		e.begun, e.now, e.observed = true, at, at
		e.nextEval = wholeSecondAfter(at)
		return
	}
	e.now, e.observed = max(e.now, at), max(e.observed, at)
	e.nextEval = min(e.nextEval, wholeSecondAfter(e.observed))
}

func wholeSecondAfter(t capture.Time) capture.Time {
	if t > never-capture.Time(second) {
		return never
	}
	s := int64(t) / int64(second)
	if t < 0 && int64(t)%int64(second) != 0 {
		s--
	}
	return capture.Time((s + 1) * int64(second))
}

// nextEvaluation returns when to evaluate after at, if nothing is observed
// until then: see the package's section on time.
func nextEvaluation(at, observed capture.Time) capture.Time {
	step := second
	silent := at.Sub(observed)
	if silent < 0 { // more than a Duration can hold
		return never
	}
	switch {
	case silent >= 10*time.Minute:
		step = silent.Truncate(second)
	case silent >= time.Minute:
		step = 10 * second
	}
	if at > never-capture.Time(step) {
		return never
	}
	return at.Add(step)
}

// deadline handles the call that falls due first, if it does before now.
func (e *Engine) deadline(now capture.Time) {
	v := e.view
	i := v.findDue()
	if i == none || v.nextDue > now || v.nextDue > e.nextEval && e.begun {
		return
	}
	due := v.nextDue
	if e.finished {
		v.climb(i)
		return
	}
	n := v.calls.at(i).node
	what := v.climb(i)
	if what&stepReport != 0 {
		e.life.out = append(e.life.out, v.pending(e.pendings.next(), i, due, false))
	}
	if what&(stepWarn|stepCritical) != 0 {
		v.loss.sum(due)
		if !v.legs.isFront(n) { // whose echoes are counted once a second
			callStalled{}.judge(v, n, due, &e.life)
		}
		e.reportNodes(due, false)
	}
}

// evaluate asks every detector.
func (e *Engine) evaluate(at capture.Time) {
	if e.finished {
		return
	}
	v := e.view
	v.loss.sum(at)
	v.findHostNode()
	v.ripen(at)
	v.countQueued()
	for _, d := range captureDetectors {
		d.judge(v, nil, at, &e.life)
	}
	v.eachBackFirst(func(n *node) {
		e.measure(n, at)
		v.cool(n, at)
		for _, d := range nodeDetectors {
			d.judge(v, n, at, &e.life)
		}
	})
	if e.free != nil {
		e.free.judge(v, at, &e.life)
	}
	e.life.settle(at)
	e.reportNodes(at, true)
}

// reportNodes reports the nodes whose alerts changed and, at an evaluation,
// those that were active and are due.
func (e *Engine) reportNodes(at capture.Time, evaluation bool) {
	bucket := int64(at) / int64(e.o.NodeEvery)
	e.view.each(func(n *node) {
		due := evaluation && bucket != n.reported && e.active(n, at)
		if !n.changed && !due {
			return
		}
		if evaluation {
			n.reported = bucket
		}
		n.changed = false
		state := e.view.state(n, at)
		e.life.out = append(e.life.out, Finding{At: at, Kind: NodeSeen, Node: &state})
	})
}

// active reports whether something happened on a node since its last report,
// or waits there.
func (e *Engine) active(n *node, at capture.Time) bool {
	return !n.idle() || e.view.host.of(n, at) || n.lastEvent != 0 && int64(n.lastEvent)/int64(e.o.NodeEvery) >= n.reported
}

// cut reports a call that is unanswered when its state is given up: the
// tracker ended, or had to make room.
func (e *Engine) cut(dst []Finding, ev *httpreassembly.Event) []Finding {
	v := e.view
	ci := v.look(ev)
	if ci == none || e.finished {
		return dst
	}
	if i := v.findCall(ci, ev.Exchange.Depth); i != none {
		dst = append(dst, v.pending(e.pendings.next(), i, ev.At, true))
	}
	return dst
}

// Finish ends the capture at now: what is due fires, and every call that is
// still in flight is reported once more, oldest first. The end itself
// resolves nothing. After it the Engine reports nothing more.
func (e *Engine) Finish(dst []Finding, now capture.Time) []Finding {
	dst, _ = e.FinishPart(dst, now, math.MaxInt)
	return dst
}

// FinishPart is Finish in steps of some n findings, as AdvancePart is.
func (e *Engine) FinishPart(dst []Finding, now capture.Time, n int) (_ []Finding, more bool) {
	if dst, more = e.AdvancePart(dst, now, n); more || e.finished {
		return dst, more
	}
	if e.ending == nil {
		e.ending = e.view.callsByAge()
	}
	for len(e.ending) > 0 {
		if len(dst) >= n {
			return dst, true
		}
		dst = append(dst, e.view.pending(e.pendings.next(), e.ending[0], e.now, true))
		e.ending = e.ending[1:]
	}
	e.ending, e.finished = nil, true
	return dst, false
}

// Recycle says that the Findings returned since the last call were consumed:
// the Pendings that they point to may be used again. Who keeps those need not
// call it; else a hundred thousand calls that hang are reported without as
// much garbage as they take.
func (e *Engine) Recycle() { e.pendings.recycle() }

// pendings are those of the Findings since the last Recycle, and free ones.
type pendings struct {
	made []*Pending
	used int
}

// maxPendings are kept for later.
const maxPendings = 1024

func (ps *pendings) next() *Pending {
	if ps.used == len(ps.made) {
		ps.made = append(ps.made, new(Pending))
	}
	ps.used++
	return ps.made[ps.used-1]
}

func (ps *pendings) recycle() {
	if len(ps.made) > maxPendings {
		clear(ps.made[maxPendings:])
		ps.made = ps.made[:maxPendings]
	}
	ps.used = 0
}

// Stats returns what the engine could not follow.
func (e *Engine) Stats() Stats { return e.view.stats }
