package detect

import (
	"time"

	"stallwatch/capture"
	"stallwatch/rules"
)

// measure brings the node's histories up to an evaluation.
func (e *Engine) measure(n *node, at capture.Time) {
	v := e.view
	v.believe(n, at)
	n.cwHistory.add(at, int64(v.stuckHalf(n, at.Add(-v.o.Descriptors.StuckAfter))))
	r := &n.ramp
	r.now = v.stuck(n, at)
	if r.now.total() == 0 && len(r.fast.points) == 0 && len(r.slow.points) == 0 {
		return
	}
	d := &v.o.Descriptors
	r.fast.every = d.Fast.Window / rampLen
	r.slow.every = d.Slow.Window / rampLen
	newFast, newSlow := r.fast.add(r.now), r.slow.add(r.now)
	if r.now.total() < d.MinStuck {
		r.fastSlope, r.slowSlope = trend{}, trend{}
		return
	}
	if newFast {
		r.fastSlope, e.scratch = theilSen(r.fast.since(at, d.Fast.Window), e.scratch)
	}
	if newSlow {
		r.slowSlope, e.scratch = theilSen(r.slow.since(at, d.Slow.Window), e.scratch)
	}
}

// stuck counts the connections of a node whose descriptors will not come back
// soon: half closed by the client without reaction, reset with a call
// unanswered, or waiting for an answer longer than StuckAfter. A connection
// counts once.
func (v *view) stuck(n *node, at capture.Time) stuckPoint {
	before := at.Add(-v.o.Descriptors.StuckAfter)
	p := stuckPoint{at: at, zombie: int32(n.held), closeWait: int32(v.stuckHalf(n, before)), once: int32(n.once)}
	if n.phases[silent] > 0 {
		p.silent = int32(v.waitingIn(n, silent, at.Add(-silentAfter)))
	}
	if n.phases[sending] > 0 {
		p.slow = int32(v.waitingIn(n, sending, before))
	}
	if n.waiting() == 0 {
		return p
	}
	for i := range n.cells {
		c := &n.cells[i]
		for k := c.list.head; k != none; {
			call := v.calls.at(k)
			if call.since > at.Add(-v.patience(call.command())) {
				break
			}
			on := v.conns.at(call.conn)
			if on.calls.head == k && !on.half && !on.zombie && !on.closed {
				p.waiting++
			}
			k = call.links[byCell].next
		}
	}
	return p
}

// silentAfter is how long a connection may be without a request before its
// descriptor counts as stuck: browsers open some to have them ready.
const silentAfter = 5 * second

// patience is how long a call of a command may wait before its descriptor
// counts as stuck: one that is slow by nature has its warn budget.
func (v *view) patience(c *rules.Command) time.Duration {
	if slowByNature(c) {
		return max(c.Warn, v.o.Descriptors.StuckAfter)
	}
	return v.o.Descriptors.StuckAfter
}

// use is what is known of a node's descriptors.
type use struct {
	used, limit int
	host        bool // from the host; else a bound from the wire and an assumed limit
	limitKnown  bool
}

func (v *view) use(n *node, at capture.Time) use {
	u := use{used: max(0, n.live-n.phases[opening]) + n.held, limit: v.o.FDLimit} // a handshake holds no descriptor
	if !v.host.of(n, at) {
		return u
	}
	s := &v.host.sample
	if s.FDLimit > 0 {
		u.limit, u.limitKnown = s.FDLimit, true
	}
	if s.FDs >= 0 && (s.FDs > 0 || s.FDLimit > 0) {
		u.used, u.host = s.FDs, true
	}
	return u
}

// eta returns when the descriptors of a node run out at its present growth;
// ok is false when it does not grow, or nothing to speak of is stuck.
func (v *view) eta(n *node, u use) (eta time.Duration, ok bool) {
	t, ok := v.trend(n)
	if !ok {
		return 0, false
	}
	return timeTo(u, t.slope), true
}

// trend returns the growth that an ETA goes by: that of the fast window, if it
// has any.
func (v *view) trend(n *node) (t trend, ok bool) {
	d := &v.o.Descriptors
	for _, t := range [...]trend{n.ramp.fastSlope, n.ramp.slowSlope} {
		if n.ramp.now.total() >= d.MinStuck && t.slope > d.MinSlope {
			return t, true
		}
	}
	return trend{}, false
}

// etaRange returns an ETA and between which it lies; high is 0 if there is no
// end.
func (v *view) etaRange(n *node, u use) (eta, low, high time.Duration, ok bool) {
	t, ok := v.trend(n)
	if !ok {
		return 0, 0, 0, false
	}
	if t.low > v.o.Descriptors.MinSlope {
		high = max(timeTo(u, t.low), 1)
	}
	return timeTo(u, t.slope), timeTo(u, t.high), high, true
}

// timeTo is the time until the limit at a slope greater than zero.
func timeTo(u use, slope float64) time.Duration {
	left := float64(max(0, u.limit-u.used)) / slope
	return time.Duration(min(left, 1e9) * float64(time.Second))
}

// state is the node as NodeSeen reports it.
func (v *view) state(n *node, at capture.Time) Node {
	s := Node{Server: n.server, Connections: n.live, Calls: n.asked, InFlight: n.inFlight, Doubted: n.doubted, CloseWait: n.half}
	if i := v.oldest(n); i != none {
		s.Oldest = at.Sub(v.calls.at(i).since)
	}
	if v.host.of(n, at) {
		h := &v.host.sample
		s.Host = true
		s.CloseWaitKernel, s.Unaccepted = h.Sockets[capture.CloseWait], h.Unaccepted
		s.FDs, s.FDLimit = h.FDs, h.FDLimit
	}
	s.ETA, s.ETALow, s.ETAHigh, s.HasETA = v.etaRange(n, v.use(n, at))
	return s
}
