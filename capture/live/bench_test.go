package live

import (
	"testing"

	"stallwatch/capture"
)

// BenchmarkNext measures what Next adds to the reading of a packet.
func BenchmarkNext(b *testing.B) {
	s, r := scripted()
	steps := make([]step, 1)
	b.ReportAllocs()
	n := 0
	var it capture.Item
	for b.Loop() {
		n++
		steps[0] = step{clock: n, at: n}
		r.steps = steps
		if err := s.Next(&it); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBatch measures the copy that several interfaces cost a packet of
// 1,000 bytes.
func BenchmarkBatch(b *testing.B) {
	f := frame{data: make([]byte, 1000), length: 1000}
	var bt batch
	b.ReportAllocs()
	b.SetBytes(1000)
	for b.Loop() {
		if !bt.room(len(f.data)) {
			bt.reset()
		}
		bt.add(&f)
	}
}
