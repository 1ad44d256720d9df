package hours

import "time"

// pauses are those of garbage collections and snapshots.
func (h *hour) pauses() {
	d := h.between(2*second, 10*second)
	k := 1 + h.rnd.IntN(4)
	h.note("%d pauses of about %s", k, d)
	for range k {
		h.in(h.between(0, h.length), func() { h.n.stop(time.Duration(float64(d) * (0.7 + 0.3*h.rnd.Float64()))) })
	}
}

// restarts are an operator's.
func (h *hour) restarts() {
	d := h.between(500*ms, 60*second)
	at := h.between(time.Minute, h.length)
	h.note("restart at %s for %s", at, d)
	h.in(at, func() { h.n.restart(d) })
	h.cold(at+d, h.wide(1, 15), h.between(10*second, 3*time.Minute))
}

// cold makes everything slower for a while, and less and less.
func (h *hour) cold(at time.Duration, factor float64, d time.Duration) {
	n := h.n
	before := n.slow
	if factor > 3 {
		h.truth.trouble("cold", at, at+d)
	}
	n.slow = func() float64 {
		if h.now < at || h.now > at+d {
			return before()
		}
		left := float64(at+d-h.now) / float64(d)
		return before() * (1 + (factor-1)*left)
	}
}

func (h *hour) warmUp() {
	h.note("warm-up")
	h.cold(0, h.wide(1, 15), h.between(10*second, 5*time.Minute))
}

// slowDisk is a minute of a disk that is busy with something else.
func (h *hour) slowDisk() {
	at, d, factor := h.between(0, h.length), h.between(20*second, 2*time.Minute), h.wide(3, 40)
	h.note("slow disk at %s for %s, %.0f times", at, d, factor)
	h.truth.trouble("slow disk", at, at+d)
	n := h.n
	before := n.slow
	n.slow = func() float64 {
		if h.now < at || h.now > at+d {
			return before()
		}
		return before() * factor
	}
}
