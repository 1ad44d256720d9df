package report

import (
	"math"
	"time"

	"stallwatch/capture"
)

// points is the length of a series: half a page's width is enough to see a
// ramp, and two such curves fit on a line's height each.
const points = 64

// series keeps the maxima of a gauge over the whole run in a fixed number of
// equal slices of time. When the run outgrows them, neighbours are merged and
// the slices become twice as long.
type series struct {
	start capture.Time
	slice time.Duration // 0: nothing seen yet
	max   [points]int32
	now   int32
	last  int // slice of now
	peak  int32
	at    capture.Time // of the peak
}

const firstSlice = 100 * time.Millisecond

// set changes the gauge at an instant not before the last.
func (s *series) set(at capture.Time, v int32) {
	s.reach(at)
	s.now = v
	s.max[s.last] = max(s.max[s.last], v)
	if v > s.peak {
		s.peak, s.at = v, at
	}
}

func (s *series) add(at capture.Time, d int32) { s.set(at, max(s.now+d, 0)) }

// reach carries the gauge's value on to at.
func (s *series) reach(at capture.Time) {
	if s.slice == 0 {
		s.start, s.slice = at, firstSlice
	}
	for s.slice < math.MaxInt64/(2*points) && at.Sub(s.start) >= points*s.slice {
		s.merge()
	}
	i := min(max(int(at.Sub(s.start)/s.slice), s.last), points-1)
	for s.last < i {
		s.last++
		s.max[s.last] = s.now
	}
}

func (s *series) merge() {
	for i := range points / 2 {
		s.max[i] = max(s.max[2*i], s.max[2*i+1])
	}
	clear(s.max[points/2:])
	s.last /= 2
	s.slice *= 2
}

// levels are ASCII on purpose: a report is mailed, logged and read on serial
// consoles.
const levels = " .:-=+*#%@"

// appendCurve draws the series, highest at the last level; what is not zero is
// never blank.
func (s *series) appendCurve(dst []byte) []byte {
	for i := range s.last + 1 {
		v := int(s.max[i])
		k := 0
		if v > 0 {
			k = 1 + (v-1)*(len(levels)-2)/max(int(s.peak)-1, 1)
		}
		dst = append(dst, levels[min(k, len(levels)-1)])
	}
	return dst
}
