package detect

import (
	"net/netip"

	"stallwatch/capture"
)

// visitor is what is known of one client of one node: an IPv4 address, or an
// IPv6 /64, since whoever has one address there has them all. The table is
// bounded by Options.MaxVisitors; the one that was seen longest ago goes
// first, which Stats.VisitorsEvicted counts. An attacker who changes his
// address with every call fills it and is seen by what the node counts as a
// whole.
type visitor struct {
	key  visitorKey
	addr netip.Addr // the lowest that was seen
	lru  link
	gen  uint32 // told apart from the one that had its place before

	conns    int32 // established and not closed
	second   int64 // of the three below
	requests int32
	opened   int32
	busy     int8 // seconds on end with RequestFlood.PerClient requests or more
	opening  int8 // seconds on end with ConnectionFlood.PerClient connections or more
	hot      bool // in node.hot
	wide     bool // others of its /64 were seen as well
	forwards bool // it says that it asks for others, and is not trusted to
}

// client is who it is.
func (x *visitor) client() Client { return Client{x.addr, x.wide} }

type visitorKey struct {
	addr [16]byte
	node int32
}

// visitorRef names a visitor as long as it is in its place.
type visitorRef struct {
	index int32
	gen   uint32
}

// visitors is the table.
type visitors struct {
	slab slab[visitor]
	by   map[visitorKey]int32
	lru  list // least recently seen first
	gen  uint32
}

func keyOf(n *node, a netip.Addr) visitorKey {
	k := visitorKey{addr: a.As16(), node: n.id}
	if hops(a) {
		clear(k.addr[8:])
	}
	return k
}

// at returns the visitor that r names; nil if its place was given away.
func (vs *visitors) at(r visitorRef) *visitor {
	if r.index == none {
		return nil
	}
	if x := vs.slab.at(r.index); x.gen == r.gen && r.gen != 0 {
		return x
	}
	return nil
}

// visit finds or adds the visitor of n with the address a.
func (v *view) visit(n *node, a netip.Addr) visitorRef {
	vs := &v.visitors
	k := keyOf(n, a)
	i, ok := vs.by[k]
	if !ok {
		if i = vs.slab.get(); i == none {
			i = vs.lru.head
			vs.unlink(i)
			delete(vs.by, vs.slab.at(i).key)
			v.stats.VisitorsEvicted++
		}
		vs.gen++
		*vs.slab.at(i) = visitor{key: k, addr: a.Unmap(), gen: vs.gen}
		vs.by[k] = i
		vs.link(i)
	}
	x := vs.slab.at(i)
	if a.Is6() && x.addr != a && !a.Is4In6() {
		c := x.client().with(ClientOf(a))
		x.addr, x.wide = c.addr, c.wide
	}
	return visitorRef{i, x.gen}
}

func (vs *visitors) link(i int32) {
	vs.slab.at(i).lru = link{prev: vs.lru.tail, next: none}
	if vs.lru.tail == none {
		vs.lru.head = i
	} else {
		vs.slab.at(vs.lru.tail).lru.next = i
	}
	vs.lru.tail = i
}

func (vs *visitors) unlink(i int32) {
	k := vs.slab.at(i).lru
	if k.prev == none {
		vs.lru.head = k.next
	} else {
		vs.slab.at(k.prev).lru.next = k.next
	}
	if k.next == none {
		vs.lru.tail = k.prev
	} else {
		vs.slab.at(k.next).lru.prev = k.prev
	}
}

// turn brings a visitor's counts to the second of at, and moves it to the end
// of the line: once a second and client.
func (v *view) turn(n *node, i int32, at capture.Time) *visitor {
	x := v.visitors.slab.at(i)
	sec := int64(at) / int64(second)
	if sec == x.second {
		return x
	}
	on := func(streak int8, count int32, least int) int8 {
		if sec != x.second+1 || int(count) < least {
			return 0
		}
		return min(streak, 100) + 1
	}
	x.busy = on(x.busy, x.requests, v.o.RequestFlood.PerClient)
	x.opening = on(x.opening, x.opened, v.o.ConnectionFlood.PerClient)
	x.second, x.requests, x.opened = sec, 0, 0
	v.visitors.unlink(i)
	v.visitors.link(i)
	if (int(x.busy) >= v.o.RequestFlood.Seconds || int(x.opening) >= v.o.ConnectionFlood.Seconds) && !x.hot && len(n.hot) < maxHot {
		x.hot = true
		n.hot = append(n.hot, visitorRef{i, x.gen})
	}
	return x
}

// maxHot bounds the clients of a node that are judged one by one: an alert
// names no more than a few.
const maxHot = 64

// cool forgets the hot clients that calmed down.
func (v *view) cool(n *node, at capture.Time) {
	sec := int64(at) / int64(second)
	keep := n.hot[:0]
	for _, r := range n.hot {
		x := v.visitors.at(r)
		if x == nil {
			continue
		}
		if sec-x.second > 2 || int(x.busy) < v.o.RequestFlood.Seconds && int(x.opening) < v.o.ConnectionFlood.Seconds {
			x.hot = false
			continue
		}
		keep = append(keep, r)
	}
	n.hot = keep
}

// entered counts an established connection for its client.
func (v *view) entered(ci int32, at capture.Time) {
	c := v.conns.at(ci)
	if v.visitors.at(c.visitor) != nil {
		return
	}
	c.visitor = v.visit(c.node, c.client.Addr())
	x := v.turn(c.node, c.visitor.index, at)
	x.conns++
	x.opened++
}

// left takes a connection from its client's count.
func (v *view) left(c *conn) {
	if x := v.visitors.at(c.visitor); x != nil {
		x.conns--
	}
	c.visitor.index = none
}

// trusted reports whether a client is one of the operator's own: it is never
// judged alone, and what it says about the clients behind it is believed.
func (v *view) trusted(a netip.Addr) bool {
	for _, p := range v.o.Trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
