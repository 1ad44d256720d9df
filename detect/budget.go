package detect

import (
	"math"
	"time"

	"stallwatch/capture"
	"stallwatch/rules"
)

// ladder holds the deadlines of all calls that share a pair of budgets, as
// steps at fixed distances from the last request byte. Calls enter the first
// step in order of time and climb in order of time, so each step's queue is
// sorted without a heap, and a call that is answered leaves at once.
type ladder struct {
	warn, critical time.Duration
	alertWarn      time.Duration // what the alert takes for warn: the learned one
	counted        bool          // over-budget calls count for alerts
	steps          []step
	retired        bool // no more calls enter: the options changed
}

// empty reports whether no call waits on the ladder.
func (l *ladder) empty() bool {
	for i := range l.steps {
		if l.steps[i].queue.n > 0 {
			return false
		}
	}
	return true
}

type step struct {
	after time.Duration // since the last request byte
	what  stepKind
	queue list
}

// stepKind says what happens at a step.
type stepKind uint8

const (
	stepReport   stepKind = 1 << iota // a CallPending
	stepWarn                          // over the warn budget of CallStalled
	stepCritical                      // over the critical budget of CallStalled
)

// lastReport bounds the doublings: older than any capture.
const lastReport = 50 * 365 * 24 * time.Hour

func newLadder(warn, critical, alertWarn time.Duration, counted bool, o *CallStalledOptions) ladder {
	l := ladder{warn: warn, critical: critical, alertWarn: alertWarn, counted: counted}
	first := warn
	if first <= 0 {
		first = critical
	}
	for d := first; d > 0 && d < lastReport; d *= 2 {
		l.add(d, stepReport)
	}
	if counted && warn > 0 {
		l.add(max(alertWarn, o.WarnFloor), stepWarn)
	}
	if counted && critical > 0 {
		l.add(max(critical, o.CriticalFloor), stepCritical)
	}
	return l
}

// add puts a step in its place, or adds to the one at the same distance.
func (l *ladder) add(after time.Duration, what stepKind) {
	at := len(l.steps)
	for at > 0 && l.steps[at-1].after >= after {
		at--
	}
	if at < len(l.steps) && l.steps[at].after == after {
		l.steps[at].what |= what
		return
	}
	l.steps = append(l.steps, step{})
	copy(l.steps[at+1:], l.steps[at:])
	l.steps[at] = step{after: after, what: what, queue: emptyList}
}

// ladderOf finds or makes the ladder of a command; none if it has no budget.
// There are as many as the rules have pairs of budgets.
func (v *view) ladderOf(c *rules.Command, alertWarn time.Duration, counted bool) int32 {
	if c.Class == rules.ClassStream || c.Warn <= 0 && c.Critical <= 0 {
		return none
	}
	free := -1
	for i := range v.ladders {
		l := &v.ladders[i]
		if l.retired {
			if free < 0 && l.empty() {
				free = i
			}
			continue
		}
		if l.warn == c.Warn && l.critical == c.Critical && l.alertWarn == alertWarn && l.counted == counted {
			return int32(i)
		}
	}
	if free >= 0 {
		v.ladders[free] = newLadder(c.Warn, c.Critical, alertWarn, counted, &v.o.CallStalled)
		return int32(free)
	}
	v.ladders = append(v.ladders, newLadder(c.Warn, c.Critical, alertWarn, counted, &v.o.CallStalled))
	return int32(len(v.ladders) - 1)
}

// counts reports whether a stall of the call is an alert's business.
func (v *view) counts(c *call) bool {
	return c.verdict.Command.Name != rules.Other || v.o.CallStalled.OtherGET || string(c.x.Method) != "GET"
}

func (v *view) startBudget(i int32) {
	c := v.calls.at(i)
	c.ladder = v.ladderOf(c.verdict.Command, c.cell().alertWarn(), v.counts(c))
	if c.ladder != none {
		v.enqueue(i)
	}
}

func (v *view) enqueue(i int32) {
	c := v.calls.at(i)
	s := &v.ladders[c.ladder].steps[c.stage]
	v.pushCall(&s.queue, byBudget, i)
	v.nextDue = min(v.nextDue, dueAt(c.since, s.after))
}

func dueAt(since capture.Time, after time.Duration) capture.Time {
	if since > never-capture.Time(after) {
		return never
	}
	return since.Add(after)
}

// never is later than everything.
const never = capture.Time(math.MaxInt64)

// findDue returns the call that falls due first; v.nextDue is its instant.
// Only called when v.nextDue, which may be too early but never too late, was
// reached.
func (v *view) findDue() int32 {
	first := none
	v.nextDue = never
	for li := range v.ladders {
		for si := range v.ladders[li].steps {
			s := &v.ladders[li].steps[si]
			if s.queue.head == none {
				continue
			}
			if due := dueAt(v.calls.at(s.queue.head).since, s.after); due < v.nextDue {
				v.nextDue, first = due, s.queue.head
			}
		}
	}
	return first
}

// climb moves a call to its next step and returns what the step it leaves
// stands for.
func (v *view) climb(i int32) stepKind {
	c := v.calls.at(i)
	l := &v.ladders[c.ladder]
	what := l.steps[c.stage].what
	v.dropCall(&l.steps[c.stage].queue, byBudget, i)
	var over overBudget
	if what&stepWarn != 0 {
		over |= overWarn
	}
	if what&stepCritical != 0 {
		over |= overCritical
	}
	c.over |= over
	if !c.doubted {
		c.cell().count(over)
	}
	if c.stage++; int(c.stage) < len(l.steps) {
		v.enqueue(i)
	} else {
		c.ladder = none
	}
	return what
}
