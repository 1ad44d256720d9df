package detect

import (
	"cmp"
	"net/netip"
	"slices"

	"stallwatch/capture"
)

// OpenCall is a call in flight, and the node it waits for.
type OpenCall struct {
	Server netip.AddrPort // zero: the node of the other servers
	CallRef
}

// MaxOpenCalls bounds Snapshot.Calls: more rows than a screen has nobody
// reads, and the sums stand in Snapshot.Nodes.
const MaxOpenCalls = 50

// openCalls appends the calls that are in flight for certain, oldest first,
// at most MaxOpenCalls. Each cell has its calls in that order, so of a
// hundred thousand in flight only those are looked at that may be among the
// oldest.
func (v *view) openCalls(dst []OpenCall, at capture.Time) []OpenCall {
	oldest := v.oldestCalls(make([]int32, 0, MaxOpenCalls+1))
	for _, i := range oldest {
		dst = append(dst, OpenCall{Server: v.calls.at(i).node.server, CallRef: v.callRef(i, at)})
	}
	return dst
}

func (v *view) oldestCalls(dst []int32) []int32 {
	v.each(func(n *node) {
		if n.waiting() <= 0 {
			return
		}
		for i := range n.cells {
			for c := n.cells[i].list.head; c != none; c = v.calls.at(c).links[byCell].next {
				if len(dst) == MaxOpenCalls && v.byAge(c, dst[len(dst)-1]) >= 0 {
					break
				}
				k, _ := slices.BinarySearchFunc(dst, c, v.byAge)
				dst = slices.Insert(dst, k, c)[:min(len(dst)+1, MaxOpenCalls)]
			}
		}
	})
	return dst
}

// byAge puts the older of two calls first.
func (v *view) byAge(a, b int32) int {
	ca, cb := v.calls.at(a), v.calls.at(b)
	return cmp.Or(cmp.Compare(ca.since, cb.since),
		cmp.Compare(v.conns.at(ca.conn).id, v.conns.at(cb.conn).id), cmp.Compare(ca.x.Depth, cb.x.Depth))
}
