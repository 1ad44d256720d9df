package detect

import (
	"fmt"
	"time"

	"stallwatch/capture"
)

// powAbuse fires when the node is made to do proof of work for strangers: a
// few calls take all its processors, and nothing about their latency is odd.
type powAbuse struct{}

// leastPow is what proof of work takes at least. A call that is answered sooner
// was refused, or had its proof with it, as most that wallets send to HORNET
// have: it costs the node nothing, and does not count.
const leastPow = 200 * time.Millisecond

func (powAbuse) name() string { return "PowAbuse" }

func (d powAbuse) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.PowAbuse
	inFlight := 0
	for i := range n.cells {
		if c := &n.cells[i]; c.command != nil && c.list.n > 0 && c.command.Pow {
			inFlight += int(c.list.n)
		}
	}
	r := Rate{Within: o.Within}
	lately, most := 0, 0
	if n.deeds[powAsked] != nil {
		if lately = n.lately(powAsked, at, &r); lately > 0 {
			most = n.deeds[powAsked].perClient(at, o)
		}
	}
	if inFlight < o.InFlight && most <= o.PerClient {
		return
	}
	a := v.raise(l, n, n.incident(d), Warning, measured{float64(max(inFlight, most)), float64(o.InFlight), "calls"}, at)
	if a == nil {
		return
	}
	calls := v.appendCalls(nil, n, func(c *cell) bool { return c.command.Pow })
	v.sortByAge(calls)
	v.addCalls(a, calls, none, at)
	if inFlight < o.InFlight {
		n.deeds[powAsked].tally().blame(a) // who asks again and again, not who waits by chance
	}
	if len(calls) > 0 {
		a.Command = v.calls.at(calls[0]).command().Name
	}
	a.Summary = fmt.Sprintf("%s of proof of work in flight on %s, %d begun in the last %s", plural(inFlight, "call"), n.name(), lately, inSeconds(o.Within))
	a.Why = fmt.Sprintf("%d in flight (fires at %d); the busiest client began %d within %s (fires above %d)", inFlight, o.InFlight, most, inSeconds(o.Within), o.PerClient)
	l.remember(n.incident(d), a)
}

// perClient is how many calls of proof of work the busiest client made lately:
// one that pauses for the window starts anew.
func (d *deeds) perClient(at capture.Time, o *PowAbuseOptions) int {
	most := 0
	for i := range d.doers {
		w := &d.doers[i]
		if at.Sub(w.last) > o.Within {
			w.n = 0
			continue
		}
		most = max(most, w.n)
	}
	return min(most, within(&d.seconds, at, o.Within))
}
