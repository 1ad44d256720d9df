package main

import "github.com/rs/zerolog"

// silentSeconds is how long a watch waits for its first packet before it
// doubts that it looks at the right place: a public node is never so quiet.
const silentSeconds = 60

// silence tells once that nothing at all is captured. A wrong port or
// interface looks just like a node without clients: nothing fires, for ever.
type silence struct {
	log        zerolog.Logger
	interfaces []string
	ports      []uint16
	seconds    int
	over       bool
}

// second is called about once a second with the packets so far.
func (s *silence) second(packets uint64) {
	if s.over {
		return
	}
	s.seconds++
	s.over = packets > 0 || s.seconds >= silentSeconds
	if s.over && packets == 0 {
		s.log.Warn().Strs("interfaces", s.interfaces).Uints16("ports", s.ports).
			Str("problem", "if the node has clients, they come by another port or interface: see -p and -i, as in -i any").
			Msg("not one packet in the first minute")
	}
}
