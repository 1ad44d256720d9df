package evidence

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"stallwatch/capture"
)

// numbered is a packet that says which one it is.
func numbered(i, size int) *capture.Packet {
	b := make([]byte, max(size, 8))
	binary.BigEndian.PutUint64(b, uint64(i))
	for j := 8; j < len(b); j++ {
		b[j] = byte(i + j)
	}
	return &capture.Packet{Data: b, Length: len(b) + 3, Link: capture.LinkRaw}
}

const second = capture.Time(time.Second)

func TestRingKeepsTheNewest(t *testing.T) {
	for _, row := range []struct {
		name        string
		size        int64
		packets, by int
		age         time.Duration
		after       capture.Time
		first       int // packet that the snapshot begins with
	}{
		{"all fit", 4 << 20, 100, 1000, time.Hour, 0, 1},
		{"two blocks at least", 0, 100, 1000, time.Hour, 0, 1},
		{"old ones are forgotten", 2 << 20, 5000, 1000, time.Hour, 0, 3084 + 1},
		{"too old ones are not shown", 4 << 20, 100, 1000, 10 * time.Second, 0, 91},
		{"after", 4 << 20, 100, 1000, time.Hour, 50 * second, 51},
	} {
		r := NewRing(row.size, row.age)
		for i := 1; i <= row.packets; i++ {
			r.Add(capture.Time(i)*second, numbered(i, row.by))
		}
		s := r.Snapshot(row.after, capture.Time(row.packets)*second)
		next, n := 0, 0
		for it := range s.Packets {
			i := int(it.At / second)
			if n == 0 {
				next = i
				if row.packets < 5000 && i != row.first || i < row.first-1100 {
					t.Errorf("%s: begins with packet %d, want %d", row.name, i, row.first)
				}
			}
			if want := numbered(i, row.by); i != next || !bytes.Equal(it.Packet.Data, want.Data) || it.Packet.Length != want.Length || it.Packet.Link != want.Link {
				t.Fatalf("%s: packet %d came back as %d, %d bytes", row.name, next, i, len(it.Packet.Data))
			}
			next++
			n++
		}
		if next != row.packets+1 {
			t.Errorf("%s: ends before packet %d, want %d", row.name, next, row.packets+1)
		}
		s.Release()
		if len(r.blocks) > r.maxBlocks || r.Dropped() != 0 {
			t.Errorf("%s: %d blocks of %d, %d dropped", row.name, len(r.blocks), r.maxBlocks, r.Dropped())
		}
	}
}

// TestRingIsBounded holds snapshots for ever: the ring goes on with as much
// memory again, and then counts.
func TestRingIsBounded(t *testing.T) {
	r := NewRing(4<<20, time.Hour)
	var held []*Snapshot
	p := numbered(1, 100_000)
	for i := range 1000 {
		r.Add(capture.Time(i+1), p)
		if i%7 == 0 {
			held = append(held, r.Snapshot(0, capture.Time(i+1)))
		}
	}
	if n := len(r.blocks) + len(r.away); n > 2*r.maxBlocks {
		t.Errorf("%d blocks, want at most %d", n, 2*r.maxBlocks)
	}
	if r.Dropped() == 0 {
		t.Error("nothing was dropped, although every block is held")
	}
	for _, s := range held {
		s.Release()
	}
	before := r.Dropped()
	for i := range 1000 {
		r.Add(capture.Time(i+2000), p)
	}
	if r.Dropped() != before {
		t.Errorf("%d packets dropped after every snapshot was released", r.Dropped()-before)
	}
	r.Add(1, &capture.Packet{Data: make([]byte, blockBytes)})
	if r.Dropped() != before+1 {
		t.Error("a packet larger than a block was not counted")
	}
}

// TestRingIsReadWhileItGrows is for the race detector.
func TestRingIsReadWhileItGrows(t *testing.T) {
	r := NewRing(2<<20, time.Hour)
	var wg sync.WaitGroup
	for i := 1; i < 30_000; i++ {
		r.Add(capture.Time(i), numbered(i, 200))
		if i%3000 != 0 {
			continue
		}
		wg.Wait() // so that no packet is dropped for want of a block; the next 3000 are added meanwhile
		s, last := r.Snapshot(0, capture.Time(i)), i
		wg.Go(func() {
			defer s.Release()
			seen := 0
			for it := range s.Packets {
				seen = int(it.At)
				if got := int(binary.BigEndian.Uint64(it.Packet.Data)); got != seen {
					t.Errorf("the packet of %d says %d", seen, got)
					return
				}
			}
			if seen != last {
				t.Errorf("the snapshot ends with %d, want %d", seen, last)
			}
		})
	}
	wg.Wait()
}

func TestRingAllocs(t *testing.T) {
	r := NewRing(2<<20, time.Hour)
	p := numbered(1, 1500)
	at := capture.Time(1)
	add := func() { r.Add(at, p); at++ }
	for range 5000 { // the blocks are there then
		add()
	}
	if n := testing.AllocsPerRun(5000, add); n != 0 {
		t.Errorf("Add allocates %v times a packet, want 0", n)
	}
}

func BenchmarkRingAdd(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"66B", 66}, {"600B", 600}, {"1514B", 1514}} {
		b.Run(size.name, func(b *testing.B) {
			r := NewRing(32<<20, time.Hour)
			p := numbered(1, size.n)
			at := capture.Time(1)
			for range (34 << 20) / (size.n + headBytes) { // every block is there then
				r.Add(at, p)
				at++
			}
			b.ReportAllocs()
			b.SetBytes(int64(size.n))
			for b.Loop() {
				r.Add(at, p)
				at++
			}
		})
	}
}
