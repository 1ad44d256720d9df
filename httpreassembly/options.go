package httpreassembly

import "time"

// Options configure a Tracker. The zero value of a field takes the default.
type Options struct {
	// Ports are the watched ports, host byte order. Segments with neither end
	// on one of them are ignored and counted. Empty: every port; the server's
	// end is then found by SYN, by content, or, last, as the lower port.
	Ports []uint16
	// Perimeter reports SYNs to other ports and the RSTs that answer them,
	// each as one Event and without any state.
	Perimeter bool

	BodyPrefix  int  // bytes of a request's content kept for classification (0: 64 KiB)
	LendBodies  bool // Exchange.Body may lie in the segment: it holds until the next call of the Tracker only
	BodyParts   bool // what exceeds BodyPrefix is handed on as BodyPart; the consumer must take it before the next call
	MaxHead     int  // bytes of a message head before it counts as a flood (0: 64 KiB)
	MaxPipeline int  // requests owed on one connection (0: 1024); beyond it the connection falls back to TCP-level timing

	MaxConns        int   // connections tracked at once, all kinds (0: 65536 live ones are far from it: 1<<20)
	MaxExchanges    int   // exchanges alive at once, all connections; beyond it requests are not followed, which Stats.Untracked counts (0: 1<<17)
	MaxTombs        int   // ended connections remembered for Linger (0: 1<<16)
	MaxBuffered     int64 // bytes buffered beyond holes, in heads and bodies, all connections (0: 64 MiB)
	MaxConnBuffered int   // the same for one direction of one connection (0: 256 KiB)

	SynPatience time.Duration // a SYN without reaction for so long is SynUnanswered (0: 500 ms)
	HalfOpen    time.Duration // a handshake that does not complete is dropped after (0: 60 s)
	Idle        time.Duration // a connection with nothing owed is dropped after silence of (0: 10 min)
	Linger      time.Duration // tombstone: packets without SYN of a closed connection are ignored for (0: 60 s)
	Zombie      time.Duration // an unanswered call on a reset connection is given up after (0: 5 min)
	GapPatience time.Duration // a hole is declared lost when nothing filled it for (0: 1 s)
}

// WithDefaults returns o with its zero fields filled in.
func (o Options) WithDefaults() Options {
	fill(&o.BodyPrefix, 64<<10)
	fill(&o.MaxHead, 64<<10)
	fill(&o.MaxPipeline, 1024)
	fill(&o.MaxConns, 1<<20)
	fill(&o.MaxExchanges, 1<<17)
	fill(&o.MaxTombs, 1<<16)
	fill(&o.MaxBuffered, 64<<20)
	fill(&o.MaxConnBuffered, 256<<10)
	fill(&o.SynPatience, 500*time.Millisecond)
	fill(&o.HalfOpen, time.Minute)
	fill(&o.Idle, 10*time.Minute)
	fill(&o.Linger, time.Minute)
	fill(&o.Zombie, 5*time.Minute)
	fill(&o.GapPatience, time.Second)
	return o
}

func fill[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
