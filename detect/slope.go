package detect

import (
	"math"
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

// grows reports whether the last third of what is known of a window still rose
// at half of its slope or more: a pool that has filled has a slope behind it
// and nothing ahead, and so has a rush of wallets that has come.
func (r *ring) grows(at capture.Time, window time.Duration, slope float64) bool {
	points := r.since(at, window)
	points = points[2*len(points)/3:]
	if len(points) < 2 {
		return false
	}
	first, last := &points[0], &points[len(points)-1]
	return float64(last.total()-first.total()) > slope/2*last.at.Sub(first.at).Seconds()
}

// ramp is the growth of what is stuck, over two windows: one for a burst that
// takes a minute to the limit, one for a leak that takes twenty.
type ramp struct {
	now        stuckPoint
	fast, slow ring
	fastSlope  trend // as of the last evaluation
	slowSlope  trend
}

// trend is a slope in stuck a second, and between which it lies nine times in
// ten. It is not more than the points bear out: few of them, or such that jump
// about, leave a wide range.
type trend struct{ slope, low, high float64 }

// minPoints is how many points make a slope worth believing.
const minPoints = 5

// theilSen returns the median of the slopes between all pairs of points: a
// step (a restart, a pool that fills) moves it little, where least squares
// would take it for a trend. Its range is Sen's, by the order of the slopes
// (P. K. Sen, Journal of the American Statistical Association 63, 1968, section
// 5). scratch is used and returned.
func theilSen(points []stuckPoint, scratch []float64) (t trend, _ []float64) {
	scratch = scratch[:0]
	if len(points) < minPoints {
		return trend{}, scratch
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
		return trend{}, scratch
	}
	slices.Sort(scratch)
	n, pairs := float64(len(points)), len(scratch)
	t.slope = (scratch[(pairs-1)/2] + scratch[pairs/2]) / 2
	const z = 1.645 // of the normal distribution, 90 % within
	c := z * math.Sqrt(n*(n-1)*(2*n+5)/18)
	t.low = scratch[max(0, int((float64(pairs)-c)/2))]
	t.high = scratch[min(pairs-1, int(math.Ceil((float64(pairs)+c)/2)))]
	return t, scratch
}
