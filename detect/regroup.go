package detect

import (
	"cmp"
	"slices"

	"stallwatch/capture"
)

// regroup builds the table of nodes anew after the machine's addresses became
// known: nodes that are one machine and port become the one that was seen
// first. It happens once in a run, or when an address is added, never by what
// a client sends.
func (v *view) regroup() {
	nodes := v.nodes
	v.nodes = nil
	v.byServer = make(map[capture.Endpoint]*node)
	clear(v.recent[:])
	for _, n := range nodes {
		key := v.nodeKey(capture.EndpointOf(n.server))
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
	into.held += from.held
	into.doubted += from.doubted
	into.inFlight += from.inFlight
	into.opened += from.opened
	into.asked += from.asked
	into.lastEvent = max(into.lastEvent, from.lastEvent)
	into.lastAnswer = max(into.lastAnswer, from.lastAnswer)
	into.firing += from.firing
	into.stalls += from.stalls
	into.readers += from.readers
	into.once += from.once
	into.served = max(into.served, from.served)
	into.lastOpened = max(into.lastOpened, from.lastOpened)
	for p := range into.phases {
		into.phases[p] += from.phases[p]
		into.aged[p] += from.aged[p]
	}
	v.mergeCalls(into, from)
	v.mergeConns(into, from)
	v.legs.moved(into, from)
	from.gone = true
	if v.host.node == from {
		v.host.node = into
	}
}

func (v *view) mergeCalls(into, from *node) {
	for i := range from.cells {
		f := &from.cells[i]
		if f.command == nil {
			continue
		}
		c := into.cell(f.command)
		doubted := v.appendList(v.appendList(nil, &c.doubted), &f.doubted)
		calls := v.appendList(v.appendList(nil, &c.list), &f.list)
		v.refill(c, calls)
		c.succeeded = max(c.succeeded, f.succeeded)
		c.doubted = emptyList
		for _, k := range doubted {
			v.pushCall(&c.doubted, byCell, k)
		}
		for _, k := range append(calls, doubted...) {
			v.calls.at(k).node = into
		}
	}
}

func (v *view) mergeConns(into, from *node) {
	var half []int32
	for i := range v.conns.made {
		c := v.conns.at(i)
		if c.node != into && c.node != from {
			continue
		}
		c.node = into
		if c.half {
			half = append(half, int32(i))
		}
	}
	slices.SortFunc(half, func(a, b int32) int {
		return cmp.Compare(v.closeWaitOf(a).stuckSince, v.closeWaitOf(b).stuckSince)
	})
	into.cw, from.cw = emptyList, emptyList
	for _, ci := range half {
		v.pushCloseWait(ci)
	}
}
