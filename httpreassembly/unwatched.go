package httpreassembly

import (
	"math"
	"time"

	"stallwatch/capture"
)

// ordinaryWait is what a call may well take: of one that has waited for less it
// is no surprise if it ends within the next second.
const ordinaryWait = 10 * time.Second

// Unwatched is told that from at on, for d, nobody looked at the wire: see
// capture.Loss. What waited then may be over, and no packet will ever tell: a
// connection that was closed meanwhile is silent, like one that hangs. So
// those that had waited, for whatever, for less than d or than ordinaryWait
// are given up: closed ByPause, their exchanges Lost. One that had waited for
// longer is more likely to wait still than to have ended just then, and stays:
// it is what the tool is for. So does one at rest, which a hole in its bytes
// explains later.
func (t *Tracker) Unwatched(dst []Event, at capture.Time, d time.Duration) []Event {
	dst, _ = t.UnwatchedPart(dst, at, d, math.MaxInt)
	return dst
}

// UnwatchedPart is Unwatched in steps of n connections at most, as FinishPart
// is of Finish.
func (t *Tracker) UnwatchedPart(dst []Event, at capture.Time, d time.Duration, n int) (_ []Event, more bool) {
	t.out, t.now, t.parts = dst, at, t.parts[:0]
	if t.ending == nil {
		t.fire(at)
		d = max(d, ordinaryWait)
		for _, c := range t.stillOpen() {
			if since, ok := c.waitsSince(); ok && at.Sub(since) < d {
				t.ending = append(t.ending, c)
			}
		}
	}
	return t.endPart(n, func(c *conn) {
		t.stats.Unwatched++
		t.closed(c, at, Nobody, ByPause)
	})
}

// waitsSince returns since when anything is expected on c: of two that wait,
// the longer one counts. ok is false for a connection at rest, and for a
// zombie, of which no packet was going to tell anyway.
func (c *conn) waitsSince() (since capture.Time, ok bool) {
	first := func(t capture.Time) {
		if t != 0 && (!ok || t < since) {
			since, ok = t, true
		}
	}
	switch c.state {
	case StateZombie:
		return 0, false
	case StateSyn, StateHandshake, StateHalfClosed:
		first(c.mark)
	case StateOpen:
		if !c.has(spoken) {
			first(capture.Time(c.conn))
		}
	}
	if c.owed != nil {
		first(c.owed.RequestEnd)
	}
	if c.msgs != nil {
		c.msgs.waitsSince(first)
	}
	return since, ok
}

// waitsSince tells since when each unfinished thing is.
func (m *messages) waitsSince(first func(capture.Time)) {
	if m.first != nil {
		first(m.first.RequestEnd)
	}
	if m.cur != nil {
		first(m.cur.RequestStart)
	}
	if m.resp != nil {
		first(m.resp.ResponseStart)
	}
	for d := range m.side {
		if len(m.side[d].head) > 0 {
			first(m.side[d].began)
		}
	}
	if m.h2 != nil {
		for _, x := range m.h2.streams {
			first(x.RequestStart)
		}
	}
}
