package httpreassembly

import (
	"math/rand/v2"
	"slices"
	"testing"

	"stallwatch/capture"
)

// TestTimers compares the heap with sorting.
func TestTimers(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var q timers
	conns := make([]conn, 300)
	want := map[*conn]capture.Time{}
	for i := range conns {
		conns[i].timer, conns[i].conn = -1, ConnID(i)
	}
	for range 20_000 {
		c, at := &conns[r.IntN(len(conns))], capture.Time(r.IntN(1000))
		old, armed := want[c]
		switch r.IntN(4) {
		case 0, 1:
			q.set(c, at)
			if !armed || at < old {
				want[c] = at
			}
		case 2:
			if armed && at > old {
				q.putOff(c, at)
				want[c] = at
			}
		case 3:
			q.remove(c)
			delete(want, c)
		}
	}
	var order []*conn
	for c := range want {
		order = append(order, c)
	}
	slices.SortFunc(order, func(a, b *conn) int {
		if want[a] != want[b] {
			return int(want[a] - want[b])
		}
		return int(a.conn - b.conn)
	})
	for i, c := range order {
		top := q.heap[0]
		if top.c != c || top.at != want[c] {
			t.Fatalf("timer %d: connection %d at %d; want %d at %d", i, top.c.conn, top.at, c.conn, want[c])
		}
		q.remove(top.c)
	}
	if len(q.heap) != 0 {
		t.Errorf("%d timers left", len(q.heap))
	}
}

func TestSeq(t *testing.T) {
	for _, tt := range []struct {
		a, b   seq
		before bool
	}{
		{1, 2, true}, {2, 1, false}, {5, 5, false},
		{0xffffffff, 0, true}, {0, 0xffffffff, false},
		{0xfffffff0, 0x10, true}, {0x7fffffff, 0x80000000, true},
	} {
		if got := tt.a.before(tt.b); got != tt.before || tt.b.after(tt.a) != tt.before {
			t.Errorf("%#x before %#x = %v, want %v", tt.a, tt.b, got, tt.before)
		}
	}
}
