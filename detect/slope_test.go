package detect

import (
	"math/rand/v2"
	"testing"
	"time"
)

// ramped are points once a second, as many as asked for, of a count that grows
// by slope and jumps about by noise.
func ramped(n int, slope, noise float64, r *rand.Rand) []stuckPoint {
	var points []stuckPoint
	for i := range n {
		total := 1000 + slope*float64(i) + noise*(2*r.Float64()-1)
		points = append(points, stuckPoint{at: epoch.Add(time.Duration(i) * second), closeWait: int32(total + 0.5)})
	}
	return points
}

// The range of a slope holds the true one nine times in ten, is wide where the
// points jump about, and tells when there may be no growth at all.
func TestTheilSenRange(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, row := range []struct {
		n            int
		slope, noise float64
	}{{15, 3, 0}, {15, 3, 4}, {60, 0.5, 5}, {60, 0, 5}, {6, 10, 20}} {
		const runs = 400
		held, flat, width := 0, 0, 0.0
		var scratch []float64
		for range runs {
			var got trend
			got, scratch = theilSen(ramped(row.n, row.slope, row.noise, r), scratch)
			if got.low > got.slope || got.slope > got.high {
				t.Fatalf("%+v: %g is not from %g to %g", row, got.slope, got.low, got.high)
			}
			if got.low <= row.slope && row.slope <= got.high {
				held++
			}
			if got.low <= 0 {
				flat++
			}
			width += (got.high - got.low) / runs
		}
		if held < runs*85/100 {
			t.Errorf("%+v: the range holds the slope in %d of %d", row, held, runs)
		}
		if row.noise == 0 && width > 0.01 || row.noise > 0 && width > 4*row.noise {
			t.Errorf("%+v: the range is %g wide", row, width)
		}
		if (row.slope == 0) != (flat > runs/2) {
			t.Errorf("%+v: the range reaches 0 in %d of %d", row, flat, runs)
		}
	}
	if got, _ := theilSen(ramped(minPoints-1, 3, 0, r), nil); got != (trend{}) {
		t.Errorf("%d points make a slope of %g", minPoints-1, got.slope)
	}
}

// What has levelled off grows no more, also when the window began a moment
// ago; what goes on by steps does.
func TestGrows(t *testing.T) {
	for _, row := range []struct {
		name  string
		total func(i int) int
		want  bool
	}{
		{"a straight line", func(i int) int { return 4 * i }, true},
		{"levels off after two thirds", func(i int) int { return 4 * min(i, 40) }, false},
		{"slows down to a quarter", func(i int) int { return 4*min(i, 40) + max(0, i-40) }, false},
		{"steps", func(i int) int { return 40 * (i / 10) }, true},
		{"one step, long ago", func(i int) int { return 200 * min(1, i/10) }, false},
	} {
		for _, n := range []int{15, 60} {
			g := ring{every: second}
			for i := range n {
				g.add(stuckPoint{at: epoch.Add(time.Duration(i) * second), once: int32(row.total(i * 60 / n))})
			}
			at := epoch.Add(time.Duration(n) * second)
			if got := g.grows(at, time.Minute, 4*60/float64(n)); got != row.want {
				t.Errorf("%s, %d points: %v, want %v", row.name, n, got, row.want)
			}
		}
	}
}
