package detect

import (
	"hash/maphash"
	"net/netip"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// A capture that sees a reverse proxy from both sides has every call twice:
//
//	client ──front leg──> proxy ──node leg──> node
//
// Both legs are nodes to the rest of this package, since both are servers. A
// relay says that the one is a proxy in front of the other; a pair says which
// call on the node leg is which call on the front leg. From them come the
// client of a call that no header names, one incident for a stall instead of
// two, and the leg on which sockets are left over.
//
// # When two calls are one
//
// A call on the node leg may be one on the front leg if
//
//   - it comes from the machine that serves the front leg: the same address,
//     both addresses the watched machine's, or a network of Options.Trusted (a
//     proxy with an address for each side);
//   - it has the same command, shape, content length and, without content, the
//     same last part of its path;
//   - the front leg's request was whole before, and is unanswered;
//   - no other call on a node leg is it already. One that ended without an
//     answer, or with a 5xx, gives it free: proxies try again;
//   - it does not stand for hop while later ones were passed on, unless it is
//     tried again: proxies keep the order, so its node leg was lost;
//   - X-Forwarded-For, Forwarded or the PROXY header, if it has one that the
//     client did not send himself, names the front leg's client.
//
// Of several the one that the header names is taken, else the first; see
// queue for what a lost call must not do.
//
// # When a server is a proxy
//
// One such call proves nothing: two monitors that ask for the same command,
// one on the machine of the other's target, would do. So a relay holds after
// proofs pairs in which a header named the client, or which are plain and all
// of different content: only one call could be meant, the client is on another
// machine, both ways through the proxy took less than hop, and both answers
// have one status and came in order. A front leg that answers before the node
// leg did speaks against the relay, unless it is a 5xx, which a proxy makes
// itself; so does one in four, and there is no relay. What is not proven
// changes nothing.
//
// Not handled: a front leg in TLS, and proxies that change what they pass on.
type legs struct {
	records slab[leg]
	by      map[exchangeID]int32 // of records
	chains  slab[chain]
	waiting map[uint64]int32 // of chains: front legs that may be passed on, by whom and what they ask
	seed    maphash.Seed
	relays  []*relay // in order of appearance
}

// Bounds. Records are bounded by Options.MaxLegs: Stats.LegsNotFollowed
// counts what finds no room, and what has too many alike before it.
const (
	maxRelays = 64 // a capture has a handful of proxies; those unproven make room for new ones
	maxFronts = 8  // nodes on one machine that are taken for proxies: a machine has one or two
	maxAlike  = 64 // calls that ask the same and are looked at for one
)

// exchangeID names an exchange.
type exchangeID struct {
	conn  httpreassembly.ConnID
	depth int
}

// content is what a proxy does not change about a request. Only its
// fingerprint is kept, by a hash that nobody can aim at.
type content struct {
	command, raw string
	shape        rules.Shape
	body         int64
	calls        int
	path         uint64 // of a request without content: of the last part of its target
}

// leg is an exchange that is in flight on one leg or, between two proxies, on
// the node leg of the first and the front leg of the second.
type leg struct {
	id     exchangeID
	slot   int32 // Event.Slot
	node   *node
	from   netip.AddrPort // the connection's other end
	client netip.Addr     // who asked, as far as this leg tells
	behind netip.AddrPort // the other end of its front leg; valid iff via, and so is the next
	asker  netip.Addr     // who asked, as far as its front leg tells
	named  netip.AddrPort // whom its headers name, believed or not
	what   uint64         // fingerprint of its content
	whole  capture.Time   // its request was
	place  link           // in its chain
	chain  int32          // none: it is passed on, or nobody's front leg

	answered capture.Time // zero: it is not
	status   int

	back  int32  // its node leg in flight; none
	front int32  // its front leg in flight; none
	via   *relay // nil: it never had a front leg
	sole  bool   // nothing else could have been its front leg
	again bool   // it was passed on before, and is tried again
	mixed bool   // another that asks the same was passed on, and it may have been this one
	said  bool   // a header named its client

	passed passed // on, the last time
	gaveUp gaveUp // by its front leg
}

// passed is what is known of the node leg of a call, while it is in flight and
// after it.
type passed struct {
	via      *relay // nil: it was not passed on
	whole    capture.Time
	answered capture.Time // zero: not yet, or never
	status   int
	sole     bool
	said     bool
	from     netip.Addr
}

// gaveUp is how a proxy ended the front leg of a call that the node was still
// working on.
type gaveUp struct {
	at     capture.Time // zero: it did not
	after  capture.Time // the front leg's request was whole
	status int          // of the proxy's own answer; 0: there was none
}

// chain is the front legs that ask the same and were not passed on yet, in
// the order in which they were whole.
type chain struct {
	what       uint64       // key in waiting
	since      capture.Time // there has been one all the time
	head, tail int32
}

// nodeLegs is what a node keeps about proxies.
type nodeLegs struct {
	front  bool          // a client of another node is on its machine: its calls may be passed on
	delay  time.Duration // what it takes to pass a call on, lately
	latest capture.Time  // the youngest request that it passed on was whole
	asked  netip.Addr    // the client that was looked at last
	nodes  int32         // valid with asked: nodes there were then
	fronts []*node       // valid with asked: other nodes on the client's machine, at most maxFronts
}

func newLegs(o *Options) legs {
	return legs{
		records: slab[leg]{max: o.MaxLegs},
		chains:  slab[chain]{max: o.MaxLegs},
		by:      make(map[exchangeID]int32),
		waiting: make(map[uint64]int32),
		seed:    maphash.MakeSeed(),
	}
}

// find returns the record of an exchange; nil: it has none.
func (g *legs) find(x *httpreassembly.Exchange) *leg {
	if len(g.by) == 0 {
		return nil
	}
	i, ok := g.by[exchangeID{x.Conn, x.Depth}]
	if !ok {
		return nil
	}
	return g.records.at(i)
}

// follow looks for the front leg of a request that is whole, and remembers it
// if it may be a front leg itself. It returns its record; nil: it has none.
func (v *view) follow(n *node, ev *httpreassembly.Event, verdict *rules.Verdict, client netip.Addr) *leg {
	if len(v.nodes) < 2 || n == v.others {
		return nil
	}
	fronts := v.frontsOf(n, ev.Flow.Client.Addr())
	if len(fronts) == 0 && !n.legs.front {
		return nil
	}
	g, x := &v.legs, ev.Exchange
	r := leg{id: exchangeID{x.Conn, x.Depth}, slot: ev.Slot, node: n, from: ev.Flow.Client.AddrPort(), client: client, named: namedBy(x),
		what: g.contentOf(x, verdict), whole: ev.At, chain: none, back: none, front: none}
	v.pair(&r, fronts)
	if r.front == none && !n.legs.front {
		return nil
	}
	i := g.records.get()
	if _, twice := g.by[r.id]; i == none || twice {
		v.stats.LegsNotFollowed++
		if i != none {
			g.records.put(i)
		}
		return nil
	}
	*g.records.at(i) = r
	g.by[r.id] = i
	if r.front != none {
		f := g.records.at(r.front)
		g.unchain(r.front)
		f.node.legs.latest = max(f.node.legs.latest, f.whole)
		f.back, f.passed = i, passed{via: r.via, whole: r.whole, sole: r.sole, said: r.said, from: r.from.Addr()}
		if r.said {
			r.via.proves()
		}
	}
	if n.legs.front {
		v.await(i)
	}
	return g.records.at(i)
}

// frontsOf returns the other nodes on the machine of a client of n, and notes
// that they may be proxies.
func (v *view) frontsOf(n *node, client netip.Addr) []*node {
	l := &n.legs
	if l.asked == client && l.nodes == v.nodeIDs {
		return l.fronts
	}
	l.asked, l.nodes, l.fronts = client, v.nodeIDs, l.fronts[:0]
	for _, o := range v.nodes {
		if o != n && len(l.fronts) < maxFronts && v.mayRelay(o, client) {
			o.legs.front = true
			l.fronts = append(l.fronts, o)
		}
	}
	return l.fronts
}

// mayRelay reports whether client may be the other side of the machine that
// serves n.
func (v *view) mayRelay(n *node, client netip.Addr) bool {
	a := n.server.Addr()
	return a == client || a.IsLoopback() && client.IsLoopback() || v.isLocal(client) && (v.isLocal(a) || a.IsUnspecified()) || v.trusted(client)
}

// await puts a front leg at the end of those that ask the same.
func (v *view) await(i int32) {
	g := &v.legs
	r := g.records.at(i)
	key := r.node.asks(r.what)
	ci, ok := g.waiting[key]
	if !ok {
		if ci = g.chains.get(); ci == none {
			v.stats.LegsNotFollowed++
			return
		}
		*g.chains.at(ci) = chain{what: key, since: r.whole, head: none, tail: none}
		g.waiting[key] = ci
	}
	c := g.chains.at(ci)
	r.chain, r.place = ci, link{prev: c.tail, next: none}
	if c.tail == none {
		c.head = i
	} else {
		g.records.at(c.tail).place.next = i
	}
	c.tail = i
}

// unchain takes a front leg from those that wait to be passed on.
func (g *legs) unchain(i int32) {
	r := g.records.at(i)
	if r.chain == none {
		return
	}
	c := g.chains.at(r.chain)
	if r.place.prev == none {
		c.head = r.place.next
	} else {
		g.records.at(r.place.prev).place.next = r.place.next
	}
	if r.place.next == none {
		c.tail = r.place.prev
	} else {
		g.records.at(r.place.next).place.prev = r.place.prev
	}
	if c.head == none {
		delete(g.waiting, c.what)
		g.chains.put(r.chain)
	}
	r.chain = none
}

// legAnswered notes that an answer began.
func (v *view) legAnswered(ev *httpreassembly.Event) {
	g := &v.legs
	r := g.find(ev.Exchange)
	if r == nil || r.answered != 0 {
		return
	}
	r.answered, r.status = ev.At, ev.Exchange.Status
	if r.front != none {
		p := &g.records.at(r.front).passed
		p.answered, p.status = r.answered, r.status
	}
	g.unchain(g.by[r.id]) // nothing is left to pass on
	switch p := &r.passed; {
	case p.answered != 0:
		p.via.judge(r)
	case r.back != none:
		g.records.at(r.back).gaveUp = gaveUp{ev.At, r.whole, r.status}
		if r.status < 500 {
			p.via.refutes()
		}
	}
}

// legDone forgets an exchange that is over.
func (v *view) legDone(ev *httpreassembly.Event) {
	g := &v.legs
	r := g.find(ev.Exchange)
	if r == nil {
		return
	}
	i := g.by[r.id]
	g.unchain(i)
	if r.front != none {
		f := g.records.at(r.front)
		f.back = none
		if f.answered == 0 && (r.answered == 0 || r.status >= 500) {
			f.passed, f.again = passed{}, true
			v.await(r.front) // the proxy may try again
		}
	}
	if r.back != none {
		b := g.records.at(r.back)
		b.front = none
		if b.answered == 0 && b.gaveUp.at == 0 {
			b.gaveUp = gaveUp{ev.At, r.whole, 0}
		}
	}
	delete(g.by, r.id)
	g.records.put(i)
}
