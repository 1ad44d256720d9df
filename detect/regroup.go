package detect

import (
	"cmp"
	"net/netip"
	"slices"
)

// regroup builds the table of nodes anew after the machine's addresses became
// known: nodes that are one machine and port become the one that was seen
// first. It happens once in a run, or when an address is added, never by what
// a client sends.
func (v *view) regroup() {
	nodes := v.nodes
	v.nodes = nil
	v.byServer = make(map[netip.AddrPort]*node)
	v.last = nil
	for _, n := range nodes {
		key := v.nodeKey(n.server)
		if into := v.byServer[key]; into != nil {
			v.merge(into, n)
			continue
		}
		v.byServer[key] = n
		v.nodes = append(v.nodes, n)
	}
}

// merge moves everything of from to into.
func (v *view) merge(into, from *node) {
	into.live += from.live
	into.half += from.half
	into.serverClosed += from.serverClosed
	into.zombies += from.zombies
	into.inFlight += from.inFlight
	into.opened += from.opened
	into.lastEvent = max(into.lastEvent, from.lastEvent)
	into.lastAnswer = max(into.lastAnswer, from.lastAnswer)
	v.mergeCalls(into, from)
	v.mergeConns(into, from)
	from.gone = true
	if v.host.node == from {
		v.host.node = into
	}
}

func (v *view) mergeCalls(into, from *node) {
	var all []int32
	for _, n := range []*node{into, from} {
		for i := range n.cells {
			for k := n.cells[i].list.head; k != none; k = v.calls.items[k].links[byCell].next {
				all = append(all, k)
			}
			n.cells[i].list = emptyList
			n.cells[i].overWarn, n.cells[i].overCritical = 0, 0
		}
	}
	slices.SortFunc(all, func(a, b int32) int { return cmp.Compare(v.calls.items[a].since, v.calls.items[b].since) })
	for _, k := range all {
		c := &v.calls.items[k]
		c.node = into
		cell := into.cell(c.verdict.Command)
		v.pushCall(&cell.list, byCell, k)
		if c.over&overWarn != 0 {
			cell.overWarn++
		}
		if c.over&overCritical != 0 {
			cell.overCritical++
		}
	}
}

func (v *view) mergeConns(into, from *node) {
	var half []int32
	for i := range v.conns.items {
		c := &v.conns.items[i]
		if c.node != into && c.node != from {
			continue
		}
		c.node = into
		if c.half {
			half = append(half, int32(i))
		}
	}
	slices.SortFunc(half, func(a, b int32) int {
		return cmp.Compare(v.conns.items[a].stuckSince, v.conns.items[b].stuckSince)
	})
	into.cw, from.cw = emptyList, emptyList
	for _, ci := range half {
		v.pushCloseWait(ci)
	}
}
