package detect

import (
	"net/netip"

	"stallwatch/capture"
)

// pair finds the front leg of r.
func (v *view) pair(r *leg, fronts []*node) {
	first, found := none, 0
	for _, n := range fronts {
		if n.gone {
			continue
		}
		i, some := v.pairAt(r, n)
		if r.said {
			first, found = i, some
			break
		}
		if found += some; i != none && (first == none || v.legs.records.at(i).whole < v.legs.records.at(first).whole) {
			first = i
		}
	}
	if first == none {
		return
	}
	if r.via = v.relayOf(v.legs.records.at(first).node, r.node); r.via == nil {
		v.stats.LegsNotFollowed++
		return
	}
	r.via.proxy = r.from.Addr()
	f := v.legs.records.at(first)
	r.front, r.sole, r.behind, r.asker = first, found == 1 && !f.mixed, f.from, f.client
	if found > 1 {
		v.legs.mix(f.chain)
	}
	if !r.sole {
		r.behind = netip.AddrPortFrom(f.from.Addr(), 0)
	}
	if r.via.holds() {
		r.client = r.asker
	}
}

// pairAt finds the call on n that may be the front leg of r, and how many
// there are.
func (v *view) pairAt(r *leg, n *node) (first int32, found int) {
	g := &v.legs
	ci, ok := g.waiting[n.asks(r.what)]
	if !ok {
		return none, 0
	}
	q := queue{r: r, n: n, first: none, near: none, overtaken: none}
	named := 0
	first = none
	for i, seen := g.chains.at(ci).head, 0; i != none; i, seen = g.records.at(i).place.next, seen+1 {
		if seen == maxAlike {
			v.stats.LegsNotFollowed++
			break
		}
		f := g.records.at(i)
		switch r.names(f) {
		case saysHim:
			if named++; named == 1 {
				first = i
			}
		case saysNothing:
			q.add(i, f)
		}
	}
	if r.said = named > 0; r.said {
		return first, named
	}
	return q.choose(g.chains.at(ci).since), q.found
}

// queue sorts the calls on a front leg that differ in nothing, first come
// first.
type queue struct {
	r                      *leg
	n                      *node
	first, near, overtaken int32 // the first of all, of those that came just before r, of those overtaken; none: there is none
	waiting, found         int   // those that did not come just before r; all
}

func (q *queue) add(i int32, f *leg) {
	age := q.r.whole.Sub(f.whole)
	switch overtaken := !f.again && q.n.legs.latest.Sub(f.whole) > reordered; {
	case overtaken && age > hop:
		return // lost on the node's leg, most likely
	case overtaken:
		keep(&q.overtaken, i)
	case age <= q.n.legs.near():
		keep(&q.near, i)
		keep(&q.first, i)
	default:
		keep(&q.first, i)
		q.waiting++
	}
	q.found++
}

func keep(p *int32, i int32) {
	if *p == none {
		*p = i
	}
}

// choose returns the one to take: the first, since proxies keep the order. But
// if one stands and stands (since when somebody does) while the next comes and
// goes at once, its node leg was lost; taken for the next, it would shift all
// that come after it by one.
func (q *queue) choose(since capture.Time) int32 {
	switch {
	case q.near != none && q.waiting == 1 && q.r.whole.Sub(since) > hop:
		return q.near
	case q.first != none:
		return q.first
	}
	return q.overtaken
}

// mix notes of those that ask the same that one of them was passed on, and
// perhaps not the one that was taken for it.
func (g *legs) mix(ci int32) {
	for i, seen := g.chains.at(ci).head, 0; i != none && seen < maxAlike; i, seen = g.records.at(i).place.next, seen+1 {
		g.records.at(i).mixed = true
	}
}
