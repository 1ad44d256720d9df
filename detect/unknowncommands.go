package detect

import (
	"fmt"
	"hash/maphash"
	"time"

	"stallwatch/capture"
)

// unknownCommands fires when many different commands are asked for that no
// pack knows: somebody tries what the node can do.
type unknownCommands struct{}

func (unknownCommands) name() string { return "UnknownCommands" }

func (d unknownCommands) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.UnknownCommands
	if n.unknown == nil {
		return
	}
	count := n.unknown.distinct(at, o.Within)
	if count < o.Names || n.deeds[unknownName] == nil {
		return
	}
	a := v.raiseDeeds(l, n, d, unknownName, Warning, measured{float64(count), float64(o.Names), "names"}, at)
	if a == nil {
		return
	}
	a.Summary = fmt.Sprintf("%d different commands that nobody knows were asked of %s", count, n.name())
	a.Why = fmt.Sprintf("%d names within %s (fires at %d)", count, inSeconds(o.Within), o.Names)
	l.remember(n.incident(d), a)
}

// nameSet remembers which unknown names were asked for lately, as hashes: the
// names are an attacker's. It holds at most maxNames; beyond, a name that is
// new is not counted, since the alert has long fired.
type nameSet struct {
	seed maphash.Seed // never shows: only counts come out
	last map[uint64]capture.Time
}

const maxNames = 1000

// strangeName notes an unknown name and reports whether it is new.
func (v *view) strangeName(n *node, raw string, at capture.Time) bool {
	s := n.unknown
	if s == nil {
		s = &nameSet{seed: maphash.MakeSeed(), last: make(map[uint64]capture.Time)}
		n.unknown = s
	}
	h := maphash.String(s.seed, raw)
	if _, ok := s.last[h]; !ok && len(s.last) >= maxNames {
		v.stats.NamesDropped++
		return false
	}
	before, ok := s.last[h]
	s.last[h] = at
	return !ok || at.Sub(before) > v.o.UnknownCommands.Within
}

// distinct counts the names of the last d and forgets the older ones.
func (s *nameSet) distinct(at capture.Time, d time.Duration) int {
	for h, last := range s.last {
		if at.Sub(last) > d {
			delete(s.last, h)
		}
	}
	return len(s.last)
}
