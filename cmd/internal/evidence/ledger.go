package evidence

import (
	"cmp"
	"slices"

	"stallwatch/detect"
	"stallwatch/httpreassembly"
)

// callID names a call.
type callID struct {
	conn  httpreassembly.ConnID
	depth int
}

// ledger holds the calls over their budget and in flight, by their last
// record. It is bounded by maxLedger.
type ledger struct {
	calls map[callID]*detect.Pending
}

func (l *ledger) init() { l.calls = make(map[callID]*detect.Pending) }

// put reports whether there was room.
func (l *ledger) put(p *detect.Pending) bool {
	id := callID{p.Conn, p.Depth}
	if _, ok := l.calls[id]; !ok && len(l.calls) >= maxLedger {
		return false
	}
	l.calls[id] = p
	return true
}

func (l *ledger) remove(conn httpreassembly.ConnID, depth int) {
	delete(l.calls, callID{conn, depth})
}

// list returns the calls, the oldest first.
func (l *ledger) list() []*detect.Pending {
	list := make([]*detect.Pending, 0, len(l.calls))
	for _, p := range l.calls {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *detect.Pending) int {
		return cmp.Or(cmp.Compare(a.RequestEnd, b.RequestEnd), cmp.Compare(a.Conn, b.Conn), cmp.Compare(a.Depth, b.Depth))
	})
	return list
}
