package status

import (
	"time"

	"stallwatch/capture"
	"stallwatch/detect"
)

// A history has at most historyPoints slices: a curve on a page is about as
// many pixels wide. They begin short, so that the first minutes of an attack
// can be seen, and are merged in pairs until they span the last hour.
const (
	historyPoints = 240
	firstStep     = time.Second
	lastStep      = 16 * time.Second // 64 minutes
)

// point is what was seen in one slice: the highest of each gauge.
type point struct {
	seen      bool // the rest is valid
	inFlight  int32
	closeWait int32
	fds       int32 // -1: not known
	oldest    time.Duration
	calls     uint32        // that began
	during    time.Duration // the time they were counted in
}

func (p *point) merge(q *point) {
	if !q.seen {
		return
	}
	if !p.seen {
		*p = *q
		return
	}
	p.inFlight, p.closeWait, p.fds = max(p.inFlight, q.inFlight), max(p.closeWait, q.closeWait), max(p.fds, q.fds)
	p.oldest = max(p.oldest, q.oldest)
	p.calls += q.calls
	p.during += q.during
}

// history is a ring of the last points of one node. Slices are aligned to
// multiples of step in capture time, so that those of all nodes are the same.
type history struct {
	step   time.Duration // 0: empty
	last   int64         // number of the newest slice
	first  int64         // of the oldest
	points [historyPoints]point
	at     capture.Time // of the last observation
	calls  uint64       // as of then
	limit  int          // of descriptors, when it was known last; 0: never
}

func (h *history) slot(n int64) *point { return &h.points[uint64(n)%historyPoints] }

// observe adds the state of a node at an instant that is not before the last.
func (h *history) observe(at capture.Time, n *detect.Node) {
	p := point{seen: true, inFlight: int32(n.InFlight), closeWait: int32(n.CloseWait), oldest: n.Oldest, fds: -1}
	if n.Host && n.FDs >= 0 {
		p.fds, h.limit = int32(n.FDs), max(n.FDLimit, 0)
	}
	if h.at != 0 && at > h.at && n.Calls >= h.calls {
		p.calls, p.during = uint32(min(n.Calls-h.calls, 1<<31)), at.Sub(h.at)
	}
	seen := h.at != 0 && at.Sub(h.at) <= holdsFor
	h.at, h.calls = at, n.Calls
	before := h.last
	h.reach(at)
	if seen { // observations are a little more than a second apart
		for n := max(before+1, h.first); n < h.last; n++ {
			*h.slot(n) = p
		}
	}
	h.slot(h.last).merge(&p)
}

// holdsFor is how long an observation may be away without leaving a gap.
const holdsFor = 3 * time.Second

// reach moves the newest slice to at. What was not observed stays unseen.
func (h *history) reach(at capture.Time) {
	if h.step == 0 {
		h.step = firstStep
		h.first = int64(at) / int64(h.step)
		h.last = h.first
		return
	}
	to := int64(at) / int64(h.step)
	for to-h.first >= historyPoints && h.step < lastStep {
		h.coarsen()
		to = int64(at) / int64(h.step)
	}
	if to-h.last >= historyPoints { // nothing was observed for longer than it remembers
		clear(h.points[:])
		h.first, h.last = to, to
		return
	}
	for h.last < to {
		h.last++
		*h.slot(h.last) = point{}
	}
	h.first = max(h.first, h.last-historyPoints+1)
}

// coarsen merges neighbours.
func (h *history) coarsen() {
	var merged [historyPoints]point
	for n := h.first; n <= h.last; n++ {
		merged[uint64(n/2)%historyPoints].merge(h.slot(n))
	}
	h.points = merged
	h.step *= 2
	h.first, h.last = h.first/2, h.last/2
}

// list appends the points in order of time.
func (h *history) list(dst []point) []point {
	for n := h.first; h.step > 0 && n <= h.last; n++ {
		dst = append(dst, *h.slot(n))
	}
	return dst
}

// rateOver is the time that a rate of calls is the mean of.
const rateOver = 10

// pace is the number of calls at the last seconds.
type pace struct {
	at    [rateOver + 1]capture.Time
	calls [rateOver + 1]uint64
	n     int // observations so far
	since capture.Time
}

// observe returns the time since when there is no new call: of the first
// observation, if there never was one.
func (p *pace) observe(at capture.Time, calls uint64) {
	if p.n == 0 || calls != p.calls[(p.n-1)%len(p.calls)] {
		p.since = at
	}
	p.at[p.n%len(p.at)], p.calls[p.n%len(p.calls)] = at, calls
	p.n++
}

// perSecond is the mean rate; ok is false if there is none yet.
func (p *pace) perSecond() (rate float64, ok bool) {
	if p.n < 2 {
		return 0, false
	}
	to, from := (p.n-1)%len(p.at), max(p.n-len(p.at), 0)%len(p.at)
	d := p.at[to].Sub(p.at[from])
	if d <= 0 || p.calls[to] < p.calls[from] {
		return 0, false
	}
	return float64(p.calls[to]-p.calls[from]) / d.Seconds(), true
}
