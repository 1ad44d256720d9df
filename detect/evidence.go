package detect

import (
	"cmp"
	"net/netip"
	"slices"

	"stallwatch/capture"
	"stallwatch/rules"
)

// callsByAge returns all calls in flight, oldest first.
func (v *view) callsByAge() []int32 {
	var all []int32
	v.each(func(n *node) {
		all = v.appendCalls(all, n, everyCell)
		for i := range n.cells {
			all = v.appendList(all, &n.cells[i].doubted)
		}
	})
	v.sortByAge(all)
	return all
}

func everyCell(*cell) bool { return true }

// appendCalls appends the calls of a node's cells that pass.
func (v *view) appendCalls(dst []int32, n *node, pass func(*cell) bool) []int32 {
	for i := range n.cells {
		c := &n.cells[i]
		if c.list.n == 0 || !pass(c) {
			continue
		}
		dst = v.appendList(dst, &c.list)
	}
	return dst
}

func (v *view) sortByAge(calls []int32) {
	slices.SortFunc(calls, v.byAge)
}

// wireState is what the kernels at both ends do about a connection's bytes,
// by capture.Dir.
type wireState struct {
	resent [2]bool // sent again, and not acknowledged
	closed [2]bool // the receiver has no room
}

// cause says where a call hangs. That the node's kernel acknowledged the
// request is the rule, and its opposite is what shows: the client sends it
// again.
func (v *view) cause(c *call) Cause {
	on := v.conns.at(c.conn)
	switch w := &on.wire; {
	case on.gap:
		return CauseCaptureGap
	case on.half || on.zombie || on.closed || v.leftProxy(c):
		return CauseGone
	case w.resent[capture.ToServer] && w.resent[capture.ToClient]:
		return CauseNetwork
	case w.resent[capture.ToServer]:
		return CauseHost
	case w.closed[capture.ToClient]:
		return CauseClientRead
	case v.unaccepted(on):
		return CauseUnaccepted
	case on.server:
		return CauseUnknown
	}
	return CauseApp
}

// unaccepted reports whether the process has not accepted a connection yet:
// it accepts in order, so those that the kernel counts are the youngest.
func (v *view) unaccepted(c *conn) bool {
	n := c.node
	return n == v.host.node && v.host.sample.Unaccepted > 0 && c.id > n.served && c.id >= v.host.firstUnaccepted
}

// who is the client of a call: an address without a port when only a proxy
// named it.
func (v *view) who(c *call, on *conn) netip.AddrPort {
	client := c.client()
	if r := v.legs.find(c.x); r != nil && r.via.holds() && r.behind.Addr() == client {
		return r.behind
	}
	if client == on.client.Addr() {
		return on.client.AddrPort()
	}
	return netip.AddrPortFrom(client, 0)
}

func (v *view) callRef(i int32, at capture.Time) CallRef {
	c := v.calls.at(i)
	on := v.conns.at(c.conn)
	return CallRef{Conn: on.id, Depth: c.x.Depth, Client: v.who(c, on), From: on.client.AddrPort(), Command: c.command().Name, Raw: c.verdict.Raw,
		Shape: shapeWords(c.verdict), Since: c.since, Age: at.Sub(c.since), Verdict: v.cause(c)}
}

// shapeWords prints the shape of a call's parameters: names and numbers that
// the rules allow, no values.
func shapeWords(v *rules.Verdict) string { return v.Shape.String() }

// pending copies a call out of its Exchange into p.
func (v *view) pending(p *Pending, i int32, at capture.Time, final bool) Finding {
	c := v.calls.at(i)
	on := v.conns.at(c.conn)
	s := &v.said
	*p = Pending{
		Conn: on.id, Flow: c.x.Flow, Client: v.who(c, on), Depth: c.x.Depth,
		Method: again(&s.method, c.x.Method), Target: again(&s.target, c.x.Target), Host: again(&s.host, c.x.Host),
		RequestStart: c.x.RequestStart, RequestEnd: c.x.RequestEnd, RequestBody: c.x.RequestBody,
		Call: c.judged(), Age: at.Sub(c.since), Cause: v.cause(c), Uncounted: !v.counts(c), Final: final,
	}
	return Finding{At: at, Kind: CallPending, Pending: p}
}

// said is what the call that was copied out last had asked in: of a hundred
// thousand that hang most ask in the same words, which then exist once.
type said struct{ method, target, host string }

// again returns b as a string, which is last if they are equal.
func again(last *string, b []byte) string {
	if *last != string(b) {
		*last = string(b)
	}
	return *last
}

// evidence fills what every alert of a node carries.
func (v *view) evidence(n *node, at capture.Time) Evidence {
	e := noEvidence()
	e.InFlight, e.CloseWait = n.inFlight, n.half
	u := v.use(n, at)
	e.ETA, e.ETALow, e.ETAHigh, e.HasETA = v.etaRange(n, u)
	if v.host.of(n, at) {
		s := &v.host.sample
		e.CloseWaitKernel, e.Unaccepted = s.Sockets[capture.CloseWait], s.Unaccepted
		e.FDs, e.FDLimit = s.FDs, s.FDLimit
	}
	e.LostPackets, e.GapBytes = v.loss.lostPackets(), v.loss.now.gapBytes
	return e
}

// tally counts clients; the list it makes is sorted by count, then address.
type tally map[netip.Prefix]ClientCount

func (t tally) add(a netip.Addr) { t.count(ClientOf(a), 1) }

func (t tally) count(c Client, n int) {
	k := clientsOf(c.addr)
	sum, ok := t[k]
	if !ok {
		sum.Client = c
	}
	sum.Client = sum.Client.with(c)
	sum.N += n
	t[k] = sum
}

func (t tally) list() []ClientCount {
	var all []ClientCount
	for _, c := range t {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b ClientCount) int {
		return cmp.Or(cmp.Compare(b.N, a.N), a.Client.addr.Compare(b.Client.addr))
	})
	return all[:min(len(all), MaxEvidence)]
}

// standout returns the client that has at least four of five, and three.
func (t tally) standout() Client {
	total := 0
	for _, c := range t {
		total += c.N
	}
	for _, c := range t {
		if c.N >= 3 && 5*c.N >= 4*total {
			return c.Client
		}
	}
	return Client{}
}

// blame puts those counted in evidence, and who stands out.
func (t tally) blame(a *Alert) { a.Evidence.Clients, a.Client = t.list(), t.standout() }

// addCalls puts calls in evidence: the culprit first, if there is one, then
// the oldest, and who made them.
func (v *view) addCalls(a *Alert, calls []int32, culprit int32, at capture.Time) {
	clients := make(tally)
	if culprit != none {
		a.Evidence.Calls = append(a.Evidence.Calls, v.callRef(culprit, at))
	}
	for _, i := range calls {
		clients.add(v.calls.at(i).client())
		if i != culprit && len(a.Evidence.Calls) < MaxEvidence {
			a.Evidence.Calls = append(a.Evidence.Calls, v.callRef(i, at))
		}
	}
	clients.blame(a)
}
