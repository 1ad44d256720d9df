package status

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/detect"
)

// A day, observed second by second: the slices grow to their full length, the
// last hour stays, and a peak of one second is never lost in merging.
func TestHistoryKeepsAnHour(t *testing.T) {
	var h history
	at := capture.At(noon)
	calls := uint64(0)
	for i := range 24 * 3600 {
		at = at.Add(sec + time.Duration(i%7)*time.Millisecond)
		calls += 5
		n := detect.Node{Calls: calls, InFlight: 1}
		if i == 24*3600-2000 {
			n.InFlight = 77
		}
		h.observe(at, &n)
	}
	points := h.list(nil)
	if h.step != lastStep || len(points) != historyPoints || time.Duration(len(points))*h.step < time.Hour {
		t.Fatalf("%d points of %v", len(points), h.step)
	}
	peak := int32(0)
	for i, p := range points {
		if !p.seen {
			t.Fatalf("point %d was not observed", i)
		}
		peak = max(peak, p.inFlight)
		if rate := float64(p.calls) / p.during.Seconds(); rate < 4.9 || rate > 5.1 {
			t.Errorf("point %d has %v calls/s, want 5", i, rate)
		}
	}
	if peak != 77 {
		t.Errorf("the peak is %d, want 77", peak)
	}
}

// Whatever the times are, a history neither grows nor turns around.
func TestHistoryOfAnyTimes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var h history
		at := capture.Time(rng.Int64N(1<<62) - 1<<61)
		for range 500 {
			switch rng.IntN(10) {
			case 0:
				at = at.Add(time.Duration(rng.Int64N(int64(100 * time.Hour))))
			case 1:
			default:
				at = at.Add(time.Duration(rng.Int64N(int64(5 * sec))))
			}
			h.observe(at, &detect.Node{Calls: rng.Uint64(), InFlight: 1})
			points := h.list(nil)
			if len(points) == 0 || len(points) > historyPoints || !points[len(points)-1].seen || h.step > lastStep {
				t.Fatalf("%d points of %v at %v", len(points), h.step, at)
			}
		}
		h.document()
	}
}

// A silence leaves a gap in the line; a second that came late does not.
func TestGaps(t *testing.T) {
	var h history
	at := capture.At(noon)
	for i := range 60 {
		at = at.Add(1100 * time.Millisecond)
		if i == 30 {
			at = at.Add(20 * sec)
		}
		h.observe(at, &detect.Node{Calls: uint64(i)})
	}
	for _, p := range h.document().plots {
		if n := strings.Count(p.Line, "M"); n != 2 {
			t.Errorf("%s has %d pieces, want 2: %s", p.Name, n, p.Line)
		}
	}
}
