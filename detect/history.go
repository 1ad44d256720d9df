package detect

import (
	"time"

	"stallwatch/capture"
)

// historyLen is how many points a history keeps: a minute at one a second.
const historyLen = 64

// history is the recent past of a number, newest last, at most one point a
// second and historyLen of them.
type history struct {
	points [historyLen]point
	next   int
	n      int
}

type point struct {
	at    capture.Time
	value int64
}

// add notes the value at at. What comes within a second of the last point
// takes its place: a host that is asked five times a second must not shorten
// the past.
func (h *history) add(at capture.Time, value int64) {
	if h.n > 0 {
		if last := &h.points[(h.next-1+historyLen)%historyLen]; at.Sub(last.at) < second {
			last.value = value
			return
		}
	}
	h.points[h.next] = point{at, value}
	h.next = (h.next + 1) % historyLen
	h.n = min(h.n+1, historyLen)
}

// back returns the i-th newest point; 0 is the newest.
func (h *history) back(i int) point {
	return h.points[(h.next-1-i+2*historyLen)%historyLen]
}

// least returns the smallest value over the last d before at; ok is false
// when the history does not reach back so far.
func (h *history) least(at capture.Time, d time.Duration) (least int64, ok bool) {
	for i := range h.n {
		p := h.back(i)
		if i == 0 || p.value < least {
			least = p.value
		}
		if at.Sub(p.at) >= d {
			return least, true
		}
	}
	return 0, false
}

// growth returns by how much the value grew over the last d before at; ok is
// false when the history does not reach back so far.
func (h *history) growth(at capture.Time, d time.Duration) (grown int64, ok bool) {
	for i := range h.n {
		if p := h.back(i); at.Sub(p.at) >= d {
			return h.back(0).value - p.value, true
		}
	}
	return 0, false
}
