package detect

import (
	"math"
	"time"

	"stallwatch/capture"
)

// skip passes over the d from at on, in which nobody watched, and returns its
// end. The Tracker has given up what may have ended in it. Here nothing is
// judged before its end, and what is a matter of time begins anew or goes on
// from where it was: a growth is not reckoned from one side to the other, and
// what has to hold for a while has held no longer than it was seen to.
func (e *Engine) skip(at capture.Time, d time.Duration) (end capture.Time) {
	end = dueAt(at, d)
	v := e.view
	v.each(func(n *node) { n.skip(v, end, d) })
	v.host.skip()
	for flow, s := range v.seeds {
		if at.Sub(s.since) < d {
			delete(v.seeds, flow)
		}
	}
	e.life.skip(end, d)
	if e.free != nil {
		e.free.skip(d)
	}
	if e.begun {
		e.observed = max(e.observed, end)
		e.nextEval = wholeSecondAfter(e.observed)
	}
	return end
}

func (n *node) skip(v *view, end capture.Time, d time.Duration) {
	n.ramp, n.forecast, n.cwHistory = ramp{}, forecastState{}, history{}
	n.sight.arrived = v.host.arrived
	if n.lastEvent != 0 {
		n.lastEvent = max(n.lastEvent, end)
	}
	if n.life.down != 0 {
		n.life.down = dueAt(n.life.down, d)
	}
}

// skip forgets what the next sample would be compared with.
func (h *host) skip() {
	h.closeWait, h.overflows, h.drops = history{}, history{}, history{}
	h.standing = math.MaxInt
	h.spares.k = 0
}

func (l *lifecycle) skip(end capture.Time, d time.Duration) {
	l.skipped, l.pause = end, d
	for _, in := range l.order {
		if in.firing {
			in.raised = dueAt(in.raised, d)
		}
	}
}

func (f *freeRules) skip(d time.Duration) {
	for s := f.ring.next; s != &f.ring; s = s.next {
		if s.since != 0 {
			s.since = dueAt(s.since, d)
		}
	}
}
