package live

import (
	"time"

	"stallwatch/capture"
	"stallwatch/capture/vtime"
)

// A pause is a time in which nobody looked, though packets may have passed, or
// through which the clock ran in no time. Whoever took it for silence would
// find that every call in flight hangs. Packets do not tell: theirs is the
// clock of the wall, and a node at night is silent too. But the kernel has
// clocks that nobody sets:
//
//   - the wall's clock got ahead of the steady one: it was set forward, or the
//     machine slept, for which the steady one stops;
//   - the steady clock went on, the ring was not looked at meanwhile, and the
//     kernel dropped packets: the program did not run. Without a drop the ring
//     held them all, and nothing is missing.

// minPause is for how long the ring must not have been looked at to call the
// program stopped. It is looked at several times a second, and holds more than
// a second of traffic unless that overflows it anyway, which is no pause.
const minPause = time.Second

// lookWithin is how far a stamp may be ahead of the last look at the clocks:
// packets are stamped before they are read, so a later one shows that the
// look is old, or that the clock has changed.
const lookWithin = 500 * time.Millisecond

// lookout watches the clocks.
type lookout struct {
	ran   func() time.Duration // since some instant, by a clock that nobody sets
	slept func() time.Duration // how long the machine was suspended, since it was booted

	by     capture.Time  // what is stamped later calls for a look; zero: none was taken
	wall   capture.Time  // at the last look, and so is the next
	at     time.Duration // of ran
	asleep time.Duration // of slept, at the last jump
}

func newLookout() lookout {
	began := time.Now()
	return lookout{ran: func() time.Duration { return time.Since(began) }, slept: slept, asleep: slept()}
}

// gap is a pause whose end the packets have not reached yet. What the ring
// still holds of the time before goes first.
type gap struct {
	until capture.Time  // what is stamped from here on came after it; zero: there is none
	jump  time.Duration // how far the clock went ahead in it
	why   capture.Pause
	lost  capture.Loss // since it was found
}

// fresh is how old a packet may be, when a pause is found, that came after it.
// With the first block that is read the kernel has room again; until the clock
// is looked at at most a block or two are.
const fresh = 250 * time.Millisecond

// look compares the clocks with what they said at the last look.
func (w *lookout) look(now time.Time, g *gap) {
	wall, at := capture.At(now), w.ran()
	if w.by != 0 {
		w.compare(wall, at, g)
	}
	w.wall, w.at, w.by = wall, at, wall.Add(lookWithin)
}

func (w *lookout) compare(wall capture.Time, at time.Duration, g *gap) {
	idle := at - w.at
	jump := wall.Sub(w.wall) - idle
	switch {
	case jump >= vtime.JumpBack:
		// Stamps of the clock as it was are not later than wall less jump: where
		// the program stood still as well they may reach beyond until.
		g.until, g.jump, g.why = max(g.until, w.wall.Add(jump)), g.jump+jump, capture.ClockSet
		if asleep := w.slept(); asleep-w.asleep >= vtime.JumpBack/2 {
			g.why, w.asleep = capture.Asleep, asleep
		}
	case jump <= -vtime.JumpBack:
		// What was open ends here, or its end would never come.
		g.until, g.jump = min(g.until, wall), max(0, g.jump+jump)
	case idle >= minPause:
		g.until = max(g.until, wall.Add(-fresh))
		if g.why == 0 {
			g.why = capture.Stopped
		}
	}
}

// between fills it with what goes before an item of time limit, if anything
// does: a sample, a loss, or the end of a pause.
func (s *Source) between(limit capture.Time, it *capture.Item) bool {
	over := s.gap.until != 0 && limit >= s.gap.until
	before := limit
	if over {
		before = s.gap.until - 1
	}
	if s.extras.pop(before, it) {
		s.stamp(it)
		return true
	}
	if over && s.endGap(min(limit, s.extras.first()), it) {
		return true
	}
	if over && s.extras.pop(limit, it) {
		s.stamp(it)
		return true
	}
	return false
}

// endGap ends the pause, at being the first time after it that is known, and
// fills it with what is to be told, if anything is: a clock set forward after it was set back makes up for that,
// and a program that was stopped and lost nothing has missed nothing.
func (s *Source) endGap(at capture.Time, it *capture.Item) bool {
	if !s.ending {
		_ = s.losses(false) // an error comes again with the next look at the counters
	}
	g := s.gap
	eased := s.strict.Ease(g.jump)
	g.jump -= eased
	s.gap = gap{}
	d := at.Sub(s.raw) - eased - 1 // the item itself takes one
	*it = capture.Item{At: s.raw, Kind: capture.PacketsLost, Loss: g.lost}
	if d > 0 && (g.jump >= vtime.JumpBack || g.lost.Kernel > 0) {
		it.Loss.Unwatched, it.Loss.Why = d, g.why
		s.wantConns()
	} else if g.lost == (capture.Loss{}) {
		return false
	}
	s.stamp(it)
	return true
}
