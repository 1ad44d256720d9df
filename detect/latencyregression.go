package detect

import (
	"fmt"
	"time"

	"stallwatch/capture"
)

// latencyRegression fires when a command is answered, but much slower than it
// used to be here: that is how a node feels before it hangs.
type latencyRegression struct{}

func (latencyRegression) name() string { return "LatencyRegression" }

func (d latencyRegression) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.LatencyRegression
	slowed := n.firing > 0 && l.slow(n)
	for i := range n.cells {
		c := &n.cells[i]
		b := c.base
		if b == nil || slowByNature(c.command) {
			continue
		}
		if c.overWarn > 0 || slowed {
			b.frozen = at.Add(o.Freeze)
		}
		usual, ok := b.usual(at, o)
		if !ok {
			continue
		}
		if b.frozen < at {
			v.adjust(c, usual)
		}
		now, ok := b.median(at, o.Within)
		if limit := max(o.Floor, time.Duration(o.Factor*float64(usual))); !ok || now < limit {
			continue
		}
		b.frozen = at.Add(o.Freeze)
		key := incidentKey{detector: d.name(), node: n.id, command: c.command}
		a := v.raise(l, n, key, Warning, measured{now.Seconds(), o.Factor * usual.Seconds(), "seconds"}, at)
		if a == nil {
			continue
		}
		a.Summary = fmt.Sprintf("%s on %s takes %s; 95 of 100 used to take no more than %s", c.command.Name, n.name(), inSeconds(now), inSeconds(usual))
		a.Why = fmt.Sprintf("the median of the last %d answers within %s is %g times the learned quantile or more, and at least %s",
			recentWaits, inSeconds(o.Within), o.Factor, inSeconds(o.Floor))
		l.remember(key, a)
	}
}
