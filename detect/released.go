package detect

import (
	"slices"

	"stallwatch/capture"
)

// What a client's reset hides from the wire (doubt.go) the node's process
// shows: as long as it works on the call it keeps a descriptor whose socket no
// table of the kernel has. So its descriptors, less the sockets that it has
// accepted, less what it needs for itself, bound how many such calls there
// still are, and the rest was released. Without this a call that ended after
// its client was gone would count as hanging until the tracker gives it up,
// minutes later.
//
// Which calls were released nobody says: the oldest are taken for it. Should
// the process close files of its own meanwhile, as many calls are forgotten
// too early; those whose clients are there are never touched.

// spares follows the descriptors of a process that are not accepted
// connections.
type spares struct {
	pid   int
	quiet [quietSamples]int // of the latest samples without a call that is believed to hang on a reset connection
	n     int               // how many there ever were
	over  [overSamples]int  // of the latest samples: reset connections beyond what the descriptors allow
	k     int
}

// A connection accepted or closed between the reading of the sockets and that
// of the descriptors shifts the difference by one. Against that stand the
// lower quartile of a minute's quiet samples (the lowest would leave one call
// that hangs for ever on a node that is never still) and the least excess of
// three in a row.
const (
	quietSamples = 12
	overSamples  = 3
)

// take folds a sample of a process whose clients have left zombies reset
// connections behind, held of them believed to keep their descriptors. It
// returns how many of them were released for certain.
func (s *spares) take(sample *capture.Sample, zombies, held int) int {
	if sample.FDs < 0 || sample.Stale || sample.Processes > 1 { // of several the sockets are those of all
		return 0
	}
	if s.pid != sample.PID {
		*s = spares{pid: sample.PID}
	}
	accepted := sample.Sockets[capture.Established] + sample.Sockets[capture.CloseWait] - sample.Unaccepted
	spare := sample.FDs - accepted
	if held == 0 {
		s.quiet[s.n%quietSamples] = spare
		s.n++
	}
	if s.n < quietSamples || zombies == 0 {
		s.k = 0
		return 0
	}
	s.over[s.k%overSamples] = zombies - max(0, spare-s.own())
	if s.k++; s.k < overSamples {
		return 0
	}
	released := max(0, slices.Min(s.over[:]))
	if released > 0 {
		s.k = 0 // the next excess is another one
	}
	return released
}

// own is what the process needs for itself.
func (s *spares) own() int {
	q := s.quiet
	slices.Sort(q[:])
	return q[quietSamples/4]
}

// release ends the calls of reset connections whose descriptors the node's
// process has given back.
func (v *view) release(at capture.Time) {
	h := &v.host
	if h.node == nil {
		return
	}
	n := h.node
	released := h.spares.take(&h.sample, n.zombies, n.held)
	if released == 0 {
		return
	}
	for _, ci := range v.oldestZombies(n, released) {
		on := v.conns.at(ci)
		for on.calls.head != none {
			v.overUnseen(on.calls.head, at)
		}
		on.answering, on.early = false, 0
		v.dropIfPlain(ci)
	}
}

// oldestZombies returns k reset connections of n: those that raise nothing
// anyway first, and of the same kind the oldest.
func (v *view) oldestZombies(n *node, k int) []int32 {
	var zombies []int32
	for ci := range v.conns.made {
		if c := v.conns.at(ci); c.zombie && c.node == n {
			zombies = append(zombies, ci)
		}
	}
	slices.SortFunc(zombies, func(a, b int32) int {
		x, y := v.conns.at(a), v.conns.at(b)
		switch {
		case x.held != y.held && y.held:
			return -1
		case x.held != y.held:
			return 1
		case x.id < y.id:
			return -1
		}
		return 1
	})
	return zombies[:min(k, len(zombies))]
}
