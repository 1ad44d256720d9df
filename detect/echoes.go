package detect

import (
	"slices"

	"stallwatch/capture"
)

// A call that hangs on the node leg hangs on the front leg as well. The
// second is an echo of the first: it is no incident of its own, its client is
// the first one's.

// countQueued counts what stands in the proxies' queues because the nodes
// behind take no more: those are as much victims of a stall as what hangs on
// the node itself. Once an evaluation: a proxy may have many.
func (v *view) countQueued() {
	for _, p := range v.legs.relays {
		p.queued, p.canary = 0, false
	}
	for i, p := range v.legs.relays {
		if p.holds() && !slices.ContainsFunc(v.legs.relays[:i], func(o *relay) bool { return o.front == p.front && o.holds() }) {
			v.countQueue(p.front)
		}
	}
}

// countQueue counts the calls of one proxy.
func (v *view) countQueue(front *node) {
	for i := range front.cells {
		c := &front.cells[i]
		if c.overWarn == 0 {
			continue
		}
		for k := c.list.head; k != none; k = v.calls.at(k).links[byCell].next {
			call := v.calls.at(k)
			if call.over&overWarn == 0 {
				continue
			}
			if r := v.legs.find(call.x); r == nil || r.back != none {
				continue
			}
			if p := v.heldFor(call); p != nil {
				p.queued++
				p.canary = p.canary || c.command.Canary
			}
		}
	}
}

// queuedFor says how many calls over their budget wait in proxies for a node,
// and whether cheap ones do.
func (v *view) queuedFor(n *node) (queued int, canary bool) {
	for _, p := range v.legs.relays {
		if p.back == n && p.holds() {
			queued += p.queued
			canary = canary || p.canary
		}
	}
	return queued, canary
}

// addQueued adds to a node's stalls, to that of the oldest call, what waits for
// it in proxies.
func (v *view) addQueued(n *node, groups []stall) {
	queued, canary := v.queuedFor(n)
	if len(groups) == 0 || queued == 0 {
		return
	}
	s := &groups[0]
	for i := range groups {
		if v.calls.at(groups[i].culprit).since < v.calls.at(s.culprit).since {
			s = &groups[i]
		}
	}
	s.warn += queued
	s.canary = s.canary || canary
}

// echoOf returns the node behind a proxy for which a call on the front leg
// waits; nil: for none, it is the proxy's own matter.
func (v *view) echoOf(c *call) *node {
	g := &v.legs
	r := g.find(c.x)
	if r == nil {
		return nil
	}
	if r.back != none {
		b := g.records.at(r.back)
		if b.via.holds() && b.answered == 0 {
			return b.node
		}
		return nil
	}
	if r.passed.answered != 0 {
		return nil // the proxy has the answer, and keeps it
	}
	if p := v.heldFor(c); p != nil {
		return p.back
	}
	return nil
}

// heldFor returns for which node behind it a call stands in a proxy's queue, or
// between two tries; nil: none of them keeps it from being passed on.
func (v *view) heldFor(c *call) *relay {
	for _, p := range v.legs.relays {
		if p.front == c.node && p.holds() && v.busy(p.back) {
			return p
		}
	}
	return nil
}

// busy reports whether a node has reason not to take another call.
func (v *view) busy(n *node) bool {
	if n.stalls > 0 || n.life.down != 0 || n.waiting() >= v.o.Workers {
		return true
	}
	for i := range n.cells {
		if n.cells[i].overWarn > 0 {
			return true
		}
	}
	return false
}

// waits sums up the calls of a cell that are its node's own matter.
type waits struct {
	calls, warn, critical int
	oldest                int32 // none: there are none
}

// waitsOf counts the calls of a cell without the echoes.
func (v *view) waitsOf(c *cell, front bool) waits {
	w := waits{int(c.list.n), c.overWarn, c.overCritical, c.list.head}
	if !front {
		return w
	}
	w = waits{oldest: none}
	for k := c.list.head; k != none; k = v.calls.at(k).links[byCell].next {
		call := v.calls.at(k)
		if v.echoOf(call) != nil {
			continue
		}
		if w.oldest == none {
			w.oldest = k
		}
		w.calls++
		if call.over&overWarn != 0 {
			w.warn++
		}
		if call.over&overCritical != 0 {
			w.critical++
		}
	}
	return w
}

// withoutEchoes filters calls of a front leg, in place.
func (v *view) withoutEchoes(calls []int32) []int32 {
	keep := calls[:0]
	for _, k := range calls {
		if v.echoOf(v.calls.at(k)) == nil {
			keep = append(keep, k)
		}
	}
	return keep
}

// echoed says which incidents of a proxy are no news while the node behind it
// has one of those that make calls wait, and toldOnce those that only one leg
// tells of.
var (
	echoed   = map[string]bool{"LatencyRegression": true, "NodeUnresponsive": true}
	toldOnce = map[string]bool{"PowAbuse": true}
	slows    = map[string]bool{"LatencyRegression": true, "NodeUnresponsive": true, "CallStalled": true, "NodeDown": true}
)

// echoes reports whether an incident of n is one that its other leg tells of.
func (g *legs) echoes(l *lifecycle, name string, n *node) bool {
	if n == nil || len(g.relays) == 0 || !echoed[name] && !toldOnce[name] {
		return false
	}
	for _, r := range g.relays {
		if !r.holds() {
			continue
		}
		if echoed[name] && r.front == n && r.back.firing > 0 && l.slow(r.back) {
			return true
		}
		other := r.front
		if other == n {
			other = r.back
		}
		if toldOnce[name] && (r.front == n || r.back == n) {
			if in := l.by[incidentKey{detector: name, node: other.id}]; in != nil && in.firing {
				return true
			}
		}
	}
	return false
}

// slow reports whether an incident of n fires that makes calls wait.
func (l *lifecycle) slow(n *node) bool {
	return slices.ContainsFunc(l.order, func(in *incident) bool { return in.firing && in.node == n && slows[in.key.detector] })
}

// eachBackFirst visits every node, proxies after what is behind them: what
// they only echo is known by then.
func (v *view) eachBackFirst(f func(*node)) {
	if len(v.legs.relays) == 0 {
		v.each(f)
		return
	}
	v.each(func(n *node) {
		if !v.legs.isFront(n) {
			f(n)
		}
	})
	v.each(func(n *node) {
		if v.legs.isFront(n) {
			f(n)
		}
	})
}

// LegSide says on which side of a reverse proxy something stands.
type LegSide uint8

// The sides.
const (
	NoLeg    LegSide = iota // no proxy is known
	FrontLeg                // between clients and the proxy
	NodeLeg                 // between the proxy and the node
)

func (s LegSide) String() string {
	switch s {
	case FrontLeg:
		return "front"
	case NodeLeg:
		return "node"
	}
	return ""
}

// legOf sums up what both legs together say of a node.
func (v *view) legOf(n *node, at capture.Time) Leg {
	g := &v.legs
	var l Leg
	for _, r := range g.relays {
		if !r.holds() || r.front != n && r.back != n {
			continue
		}
		if r.back == n && l.Side != NodeLeg { // between two proxies, what is in front counts
			l = Leg{Side: NodeLeg, Proxy: r.front.server, Node: n.server}
		} else if l.Side == NoLeg {
			l = Leg{Side: FrontLeg, Proxy: n.server, Node: r.back.server}
		}
	}
	if l.Side == NoLeg {
		return l
	}
	if l.Side == NodeLeg {
		l.Queued, _ = v.queuedFor(n)
	}
	for i := range n.cells {
		for k := n.cells[i].list.head; k != none; k = v.calls.at(k).links[byCell].next {
			if r := g.find(v.calls.at(k).x); r != nil {
				v.countLeg(&l, r, at)
			}
		}
	}
	return l
}

// countLeg adds a call in flight to what is known of its node's leg.
func (v *view) countLeg(l *Leg, r *leg, at capture.Time) {
	if l.Side == FrontLeg {
		if r.back != none && v.legs.records.at(r.back).answered == 0 {
			l.Paired++
		}
		return
	}
	if !r.via.holds() {
		return
	}
	l.Paired++
	switch g := &r.gaveUp; {
	case g.at != 0 && g.status != 0:
		l.GaveUp++
		l.Status = g.status
		l.Patience = max(l.Patience, g.at.Sub(g.after))
	case g.at != 0:
		l.Left++
	case r.front != none && v.clientLeft(v.legs.records.at(r.front)):
		l.Left++
	}
}

// leftProxy reports whether the front leg of a call is over, or its client has
// left.
func (v *view) leftProxy(c *call) bool {
	r := v.legs.find(c.x)
	if r == nil || !r.via.holds() {
		return false
	}
	return r.gaveUp.at != 0 || r.front != none && v.clientLeft(v.legs.records.at(r.front))
}

// clientLeft reports whether the client of a front leg has closed his side.
func (v *view) clientLeft(f *leg) bool {
	ci := v.callConn(f)
	return ci != none && (v.conns.at(ci).half || v.conns.at(ci).zombie || v.conns.at(ci).closed)
}
