package detect

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The calls of a snapshot are the oldest of those in flight for certain,
// whatever happened before.
func TestOpenCallsAreTheOldest(t *testing.T) {
	most := 0
	for seed := range uint64(8) {
		s := randomScript(rand.New(rand.NewPCG(seed, 5)), 3000)
		e, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		var snap Snapshot
		for i := range s.inputs {
			feed(e, nil, &s.inputs[i])
			if i%50 != 0 {
				continue
			}
			e.Snapshot(&snap)
			want := slices.DeleteFunc(e.view.callsByAge(), func(c int32) bool { return e.view.calls.at(c).doubted })
			want = want[:min(len(want), MaxOpenCalls)]
			if len(snap.Calls) != len(want) {
				t.Fatalf("seed %d, input %d: %d calls, want %d", seed, i, len(snap.Calls), len(want))
			}
			most = max(most, len(want))
			for k, c := range want {
				if got, ref := snap.Calls[k], e.view.callRef(c, e.now); got.CallRef != ref || got.Server != e.view.calls.at(c).node.server {
					t.Fatalf("seed %d, input %d: call %d is %+v, want %+v", seed, i, k, got, ref)
				}
			}
		}
	}
	if most < MaxOpenCalls {
		t.Errorf("at most %d calls were in flight: the bound was not reached", most)
	}
}

// What a node was asked, and what may be over, stands beside its calls.
func TestNodeCounts(t *testing.T) {
	s, err := parseScript("0 open a\n0.1 call a getBalances\n0.2 open b\n0.3 call b getTrytes\n0.4 reset b\n0.5 open c\n0.6 call c getNodeInfo\n0.7 answer c")
	if err != nil {
		t.Fatal(err)
	}
	e, _ := New(Options{})
	for i := range s.inputs {
		feed(e, nil, &s.inputs[i])
	}
	var snap Snapshot
	e.Snapshot(&snap)
	n := snap.Nodes[0]
	if n.Calls != 3 || n.InFlight != 2 || n.Doubted != 1 {
		t.Errorf("%d calls, %d in flight, %d of them doubted: want 3, 2, 1", n.Calls, n.InFlight, n.Doubted)
	}
	if len(snap.Calls) != 1 || snap.Calls[0].Command != "getBalances" || snap.Calls[0].Age.Round(time.Millisecond) != 600*time.Millisecond || snap.Calls[0].Server != n.Server {
		t.Errorf("calls %+v, want the one of getBalances", snap.Calls)
	}
}

// A crowd of calls that hang costs a snapshot no more than its rows.
func BenchmarkSnapshotOfManyCalls(b *testing.B) {
	e, _ := New(Options{})
	s := &script{conns: make(map[string]*client), ports: 1}
	at := epoch
	for i := range 50_000 {
		at = at.Add(time.Millisecond)
		name := string(rune(i))
		must(s.do(at, "open", []string{name}, nil))
		must(s.do(at+1, "call", []string{name, commands[i%len(commands)].Name}, nil))
		for k := range s.inputs {
			s.inputs[k].event.At = s.inputs[k].at
			feed(e, nil, &s.inputs[k])
		}
		s.inputs = s.inputs[:0]
	}
	var snap Snapshot
	b.ReportAllocs()
	for b.Loop() {
		e.Snapshot(&snap)
	}
	if len(snap.Calls) != MaxOpenCalls {
		b.Fatalf("%d calls", len(snap.Calls))
	}
}
