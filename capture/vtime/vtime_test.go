package vtime

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"stallwatch/capture"
)

func TestStrict(t *testing.T) {
	sec := capture.Time(time.Second)
	for _, tt := range []struct {
		name     string
		in, want []capture.Time
		stats    StrictStats
	}{
		{name: "growing", in: []capture.Time{1, 2, 5}, want: []capture.Time{1, 2, 5}},
		{name: "same time", in: []capture.Time{7, 7, 7}, want: []capture.Time{7, 8, 9}, stats: StrictStats{Clamped: 2}},
		{name: "reordered", in: []capture.Time{sec, sec - 1000, sec + 5}, want: []capture.Time{sec, sec + 1, sec + 5}, stats: StrictStats{Clamped: 1}},
		{
			name:  "set back an hour, goes on from there",
			in:    []capture.Time{3700 * sec, 100 * sec, 101 * sec, 102 * sec},
			want:  []capture.Time{3700 * sec, 3700*sec + 1, 3701*sec + 1, 3702*sec + 1},
			stats: StrictStats{Jumps: 1, Shift: 3600*time.Second + 1},
		},
		{name: "before 1970", in: []capture.Time{-5, -4, -4}, want: []capture.Time{-5, -4, -3}, stats: StrictStats{Clamped: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s Strict
			var got []capture.Time
			for _, at := range tt.in {
				got = append(got, s.Next(at))
			}
			if !slices.Equal(got, tt.want) || s.Stats() != tt.stats {
				t.Errorf("Next of %v = %v, %+v; want %v, %+v", tt.in, got, s.Stats(), tt.want, tt.stats)
			}
		})
	}
}

// TestStrictEase: a clock set back and forth again is followed as it was.
func TestStrictEase(t *testing.T) {
	sec := capture.Time(time.Second)
	var s Strict
	if got := s.Ease(time.Hour); got != 0 {
		t.Errorf("Ease without a shift = %v", got)
	}
	s.Next(7200 * sec)
	s.Next(3600 * sec)
	if got := s.Ease(time.Minute); got != time.Minute {
		t.Errorf("Ease(1m) = %v", got)
	}
	if got := s.Ease(2 * time.Hour); got != time.Hour-time.Minute+1 {
		t.Errorf("Ease of more than the shift = %v", got)
	}
	if got := s.Next(7201 * sec); got != 7201*sec {
		t.Errorf("Next = %v, want it as it is", got)
	}
}

func TestStrictAlwaysGrows(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var s Strict
	at, last := capture.Time(0), capture.Time(-1<<62)
	for i := range 100000 {
		at = at.Add(time.Duration(rnd.Int64N(int64(2*time.Second)) - int64(time.Second)))
		if rnd.IntN(1000) == 0 {
			at = at.Add(-time.Duration(rnd.Int64N(int64(24 * time.Hour))))
		}
		if got := s.Next(at); got <= last {
			t.Fatalf("step %d: Next(%d) = %d, not later than %d", i, at, got, last)
		} else {
			last = got
		}
	}
}

func TestDeadlinesOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var d Deadlines[int]
	var want []int
	const n = 2000
	times := make([]capture.Time, n)
	for i := range n {
		times[i] = capture.Time(rnd.IntN(50)) // many ties
		d.Push(times[i], i)
		want = append(want, i)
	}
	slices.SortStableFunc(want, func(a, b int) int { return int(times[a] - times[b]) })
	if at, ok := d.Next(); !ok || at != times[want[0]] {
		t.Errorf("Next() = %d, %v; want %d", at, ok, times[want[0]])
	}
	var got []int
	for now := capture.Time(-1); now < 60; now += 7 {
		for {
			at, v, ok := d.Pop(now)
			if !ok {
				break
			}
			if at > now || at != times[v] {
				t.Fatalf("Pop(%d) = %d, %d; due at %d", now, at, v, times[v])
			}
			got = append(got, v)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("values came out of order:\n got %v\nwant %v", got, want)
	}
	if d.Len() != 0 {
		t.Errorf("Len() = %d after the last Pop", d.Len())
	}
	if _, ok := d.Next(); ok {
		t.Error("Next() finds something in an empty heap")
	}
}

func TestDeadlinesDoNotAllocate(t *testing.T) {
	var d Deadlines[int]
	for i := range 100 {
		d.Push(capture.Time(i), i)
	}
	if n := testing.AllocsPerRun(100, func() {
		at, v, _ := d.Pop(1 << 60)
		d.Push(at+100, v)
	}); n != 0 {
		t.Errorf("%v allocations a Pop and Push", n)
	}
}

func BenchmarkDeadlines(b *testing.B) {
	b.ReportAllocs()
	var d Deadlines[int]
	for i := range 10000 {
		d.Push(capture.Time(i*7919%10000), i)
	}
	for b.Loop() {
		at, v, _ := d.Pop(1 << 62)
		d.Push(at+10000, v)
	}
}
