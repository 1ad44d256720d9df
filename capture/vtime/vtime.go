// Package vtime is the only clock of the core. Strict makes the times of a
// source grow, so that an instant is an order; Deadlines fires what is due
// before the Item that shows that it is. Nothing here asks what time it is.
//
//	source ── raw time ──> Strict.Next ── strictly growing ──> Deadlines.Pop(now)
//
// Neither type is safe for concurrent use: the source's goroutine owns a
// Strict, the stage that waits owns its Deadlines.
package vtime

import (
	"time"

	"stallwatch/capture"
)

// JumpBack is how far a time may step back and still count as reordering.
// Packets of several interfaces or CPUs arrive some milliseconds out of
// order; a clock that was set back moves by seconds or hours. The first is
// clamped to last+1ns, the second shifts everything after it, or else an hour
// set back would freeze the tool for an hour.
const JumpBack = 2 * time.Second

// Strict turns the times a source reads into strictly growing ones. The zero
// value is ready.
type Strict struct {
	last   capture.Time
	shift  time.Duration
	stats  StrictStats
	before bool // last is valid
}

// StrictStats counts what Strict had to change.
type StrictStats struct {
	Clamped uint64        // times not later than the one before, moved to last+1ns
	Jumps   uint64        // steps back by JumpBack or more
	Shift   time.Duration // what is added to raw times now, because of Jumps
}

// Next returns t, moved so that it is later than every result before it.
func (s *Strict) Next(t capture.Time) capture.Time {
	t = t.Add(s.shift)
	if t > s.last || !s.before {
		s.last, s.before = t, true
		return t
	}
	if s.last.Sub(t) >= JumpBack {
		s.stats.Jumps++
		s.shift += s.last.Sub(t) + 1
	} else {
		s.stats.Clamped++
	}
	s.last++
	return s.last
}

// Ease takes back what it can of d from the shift, for a clock that was set
// back and now forward again by d, and returns how much that was.
func (s *Strict) Ease(d time.Duration) time.Duration {
	d = max(0, min(d, s.shift))
	s.shift -= d
	return d
}

// Last returns the latest result of Next; zero before the first.
func (s *Strict) Last() capture.Time { return s.last }

// Stats returns what has been changed so far.
func (s *Strict) Stats() StrictStats {
	st := s.stats
	st.Shift = s.shift
	return st
}
