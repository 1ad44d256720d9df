package pipeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"stallwatch/capture"
	"stallwatch/cmd/internal/synth"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// slots is a Sink that holds Event.Slot to its promise, and asks a second
// engine, whose slots are never used again: what that one finds is what a map
// by ConnID would.
type slots struct {
	t      *testing.T
	owner  map[int32]httpreassembly.ConnID
	of     map[httpreassembly.ConnID]int32
	calls  map[httpreassembly.ConnID]int // begun and not over
	reused int
	engine *detect.Engine
	found  []string
	want   []string
}

func (s *slots) Event(ev *httpreassembly.Event, v *rules.Verdict) {
	ev2 := *ev
	if ev.Slot >= 0 {
		ev2.Slot = s.claim(ev)
	}
	for _, f := range s.engine.Observe(nil, &ev2, v) {
		s.want = append(s.want, describe(&f))
	}
}

// claim notes who has the slot, and returns one of its own for each ConnID.
func (s *slots) claim(ev *httpreassembly.Event) int32 {
	own, known := s.of[ev.Conn]
	if !known {
		own = int32(len(s.of))
		s.of[ev.Conn] = own
		if was, taken := s.owner[ev.Slot]; taken {
			s.reused++
			if n := s.calls[was]; n != 0 {
				s.t.Fatalf("%v of %d on slot %d, which %d has with %d exchanges that are not over", ev.Kind, ev.Conn, ev.Slot, was, n)
			}
		}
		s.owner[ev.Slot] = ev.Conn
	}
	if is := s.owner[ev.Slot]; is != ev.Conn {
		s.t.Fatalf("%v of %d on slot %d, which %d has", ev.Kind, ev.Conn, ev.Slot, is)
	}
	switch ev.Kind {
	case httpreassembly.RequestStarted:
		s.calls[ev.Conn]++
	case httpreassembly.ExchangeDone:
		s.calls[ev.Conn]--
	}
	return own
}

func (s *slots) Finding(f *detect.Finding) { s.found = append(s.found, describe(f)) }

func (s *slots) Loss(at capture.Time, l capture.Loss) {
	for _, f := range s.engine.Loss(nil, at, l) {
		s.want = append(s.want, describe(&f))
	}
}

func describe(f *detect.Finding) string {
	var l log
	l.Finding(f)
	return l.String()
}

// damage drops, repeats and swaps packets, so that connections end in every
// way there is. Times stay where they are.
func damage(items []capture.Item, rnd *rand.Rand) []capture.Item {
	out := slices.Clone(items)
	for i := range out {
		if j := i - rnd.IntN(4); j >= 0 && out[i].Kind == capture.PacketSeen && out[j].Kind == capture.PacketSeen {
			switch rnd.IntN(12) {
			case 0:
				out[i].Packet = out[j].Packet
			case 1:
				out[i].Packet, out[j].Packet = out[j].Packet, out[i].Packet
			}
		}
	}
	return out
}

// TestSlots: whatever the traffic, a slot belongs to one connection until all
// of it was told, and to index by it finds what a map by ConnID would.
func TestSlots(t *testing.T) {
	for seed := range uint64(6) {
		items := tape(t, synth.Hostile, seed)
		items = slices.DeleteFunc(items, func(it capture.Item) bool { return it.Kind == capture.HostSampled })
		if seed%2 == 1 {
			items = damage(items, rand.New(rand.NewPCG(seed, 5)))
		}
		for _, run := range []struct {
			shards, conns int
			apart         bool
		}{{1, 0, false}, {1, 0, true}, {1, 24, false}, {3, 0, false}, {8, 64, false}} {
			t.Run(fmt.Sprintf("seed=%d/%+v", seed, run), func(t *testing.T) {
				set := rules.Default()
				o := Options{Rules: set, Shards: run.shards, Apart: run.apart, Tracker: httpreassembly.Options{Ports: []uint16{synth.ServerPort}, MaxConns: run.conns}}
				detectors, err := o.Detect.WithRules(set)
				if err != nil {
					t.Fatal(err)
				}
				engine, err := detect.New(detectors)
				if err != nil {
					t.Fatal(err)
				}
				s := &slots{t: t, engine: engine, owner: map[int32]httpreassembly.ConnID{}, of: map[httpreassembly.ConnID]int32{}, calls: map[httpreassembly.ConnID]int{}}
				p, err := New(o, s)
				if err != nil {
					t.Fatal(err)
				}
				for i := range items {
					p.Item(&items[i])
				}
				end := items[len(items)-1].At
				p.Flush()
				for _, f := range engine.Finish(nil, end) { // before the Tracker ends, as p does: it takes back its Exchanges
					s.want = append(s.want, describe(&f))
				}
				p.Finish(end)
				if s.reused == 0 || len(s.found) == 0 {
					t.Fatalf("%d slots used again, %d findings: nothing was tried", s.reused, len(s.found))
				}
				if !slices.Equal(s.found, s.want) {
					t.Errorf("%d findings, with slots of their own %d; or they differ", len(s.found), len(s.want))
				}
				if most := p.Stats().Tracker.Opened; run.conns > 0 && len(s.owner) > 8*run.conns+8*256 {
					t.Errorf("%d slots for at most %d connections at once, of %d", len(s.owner), run.conns, most)
				}
			})
		}
	}
}
