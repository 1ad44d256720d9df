package detect

import (
	"slices"
	"time"

	"stallwatch/capture"
)

// stuckPoint is how many descriptors a node cannot give back at an instant,
// by cause.
type stuckPoint struct {
	at                         capture.Time
	closeWait, zombie, waiting int32
	silent, slow, once         int32 // without a request, with part of one, with nothing after the first
}

func (p *stuckPoint) total() int {
	return int(p.closeWait + p.zombie + p.waiting + p.silent + p.slow + p.once)
}

// rampLen bounds the points of a window: sixty, 1770 slopes.
const rampLen = 60

// ring keeps stuckPoints at most every `every`, newest last.
type ring struct {
	points []stuckPoint
	every  time.Duration
}

// add reports whether it took the point.
func (r *ring) add(p stuckPoint) bool {
	if n := len(r.points); n > 0 && p.at.Sub(r.points[n-1].at) < r.every {
		return false
	}
	if len(r.points) == rampLen {
		copy(r.points, r.points[1:])
		r.points = r.points[:rampLen-1]
	}
	r.points = append(r.points, p)
	return true
}

// since returns the points that are not older than d before at.
func (r *ring) since(at capture.Time, d time.Duration) []stuckPoint {
	from := 0
	for from < len(r.points) && at.Sub(r.points[from].at) > d {
		from++
	}
	return r.points[from:]
}

// grows reports whether the last part of a window, d long, still rose: a pool
// that has filled has a slope behind it and nothing ahead.
func (r *ring) grows(at capture.Time, d time.Duration, slope float64) bool {
	points := r.since(at, d)
	if len(points) < 2 {
		return false
	}
	first, last := &points[0], &points[len(points)-1]
	return float64(last.total()-first.total()) > slope*last.at.Sub(first.at).Seconds()
}

// ramp is the growth of what is stuck, over two windows: one for a burst that
// takes a minute to the limit, one for a leak that takes twenty.
type ramp struct {
	now        stuckPoint
	fast, slow ring
	fastSlope  float64 // stuck a second; as of the last evaluation
	slowSlope  float64
}

// minPoints is how many points make a slope worth believing.
const minPoints = 5

// theilSen returns the median of the slopes between all pairs of points, in
// stuck a second: a step (a restart, a pool that fills) moves it little, where
// least squares would take it for a trend. scratch is used and returned.
func theilSen(points []stuckPoint, scratch []float64) (slope float64, _ []float64) {
	scratch = scratch[:0]
	if len(points) < minPoints {
		return 0, scratch
	}
	for i := range points {
		for j := i + 1; j < len(points); j++ {
			dt := points[j].at.Sub(points[i].at).Seconds()
			if dt > 0 {
				scratch = append(scratch, float64(points[j].total()-points[i].total())/dt)
			}
		}
	}
	if len(scratch) == 0 {
		return 0, scratch
	}
	slices.Sort(scratch)
	mid := len(scratch) / 2
	if len(scratch)%2 == 1 {
		return scratch[mid], scratch
	}
	return (scratch[mid-1] + scratch[mid]) / 2, scratch
}
