package httpreassembly

// Stats are counters and gauges of a Tracker since its start. Plain numbers:
// copy them where you like.
type Stats struct {
	Segments, PayloadBytes                    uint64
	Ignored                                   uint64 // segments of unwatched ports
	HTTPElsewhere                             Ports  // that are not watched and that requests were sent to
	Orphans                                   uint64 // segments of no known connection that may not open one (bare ACK, FIN, RST)
	Tombstoned                                uint64 // segments of a connection that has ended
	Retransmitted                             uint64 // segments that brought nothing new
	OutOfOrder                                uint64 // segments beyond a hole when they came
	BadChecksum                               uint64 // segments the kernel cannot have accepted
	Gaps                                      uint64
	GapBytes                                  uint64 // bytes that never were captured, where known
	BufferDropped                             uint64 // payload bytes dropped because a bound was reached
	EvictedHalfOpen, EvictedIdle, EvictedBusy uint64
	Unwatched                                 uint64 // connections given up because what they waited for may have come when nobody watched
	Unadmitted                                uint64 // connections not followed because every place was held by one that must not go
	Untracked                                 uint64 // requests not followed because too many exchanges are alive, or in LevelStates
	StreamResets                              uint64 // RST_STREAM of streams that were not over
	TombsDropped                              uint64 // ended connections forgotten before Options.Linger
	Unacceptable                              uint64 // segments that the kernel drops for another reason: outside the window, no ACK
	Oddities                                  [NumOddities]uint64
	Opened, Closed                            uint64
	Requests, Responses                       uint64
	UnpairedResponses                         uint64 // answers that cannot be given to a request for certain

	Degraded  [NumLevels]uint64 // how often each Level was entered from above
	Recovered uint64            // how often a Level was left for a better one

	// Gauges.
	Level       Level // of several trackers the worst
	Conns       [NumConnStates]int
	Unconfirmed int   // of Conns open or half closed: the server has acknowledged no payload and sent none, so it may hold no socket (SYN cookies, deferred accept)
	InFlight    int   // requests seen whole and unanswered
	Buffered    int64 // bytes
}

// Add adds b to a: the sum over trackers that share the traffic.
func (a *Stats) Add(b *Stats) {
	for _, f := range []struct{ a, b *uint64 }{
		{&a.Segments, &b.Segments}, {&a.PayloadBytes, &b.PayloadBytes}, {&a.Ignored, &b.Ignored},
		{&a.Orphans, &b.Orphans}, {&a.Tombstoned, &b.Tombstoned}, {&a.Retransmitted, &b.Retransmitted},
		{&a.OutOfOrder, &b.OutOfOrder}, {&a.BadChecksum, &b.BadChecksum}, {&a.Gaps, &b.Gaps},
		{&a.GapBytes, &b.GapBytes}, {&a.BufferDropped, &b.BufferDropped},
		{&a.EvictedHalfOpen, &b.EvictedHalfOpen}, {&a.EvictedIdle, &b.EvictedIdle}, {&a.EvictedBusy, &b.EvictedBusy},
		{&a.Unwatched, &b.Unwatched}, {&a.Unadmitted, &b.Unadmitted}, {&a.Untracked, &b.Untracked}, {&a.TombsDropped, &b.TombsDropped}, {&a.StreamResets, &b.StreamResets}, {&a.Unacceptable, &b.Unacceptable},
		{&a.Opened, &b.Opened}, {&a.Closed, &b.Closed}, {&a.Requests, &b.Requests},
		{&a.Responses, &b.Responses}, {&a.UnpairedResponses, &b.UnpairedResponses},
	} {
		*f.a += *f.b
	}
	for _, n := range b.HTTPElsewhere {
		a.HTTPElsewhere.add(n)
	}
	for i := range a.Oddities {
		a.Oddities[i] += b.Oddities[i]
	}
	for i := range a.Degraded {
		a.Degraded[i] += b.Degraded[i]
	}
	a.Recovered += b.Recovered
	a.Level = max(a.Level, b.Level)
	for i := range a.Conns {
		a.Conns[i] += b.Conns[i]
	}
	a.Unconfirmed += b.Unconfirmed
	a.InFlight += b.InFlight
	a.Buffered += b.Buffered
}

// Ports are the lowest of the ports that were added, each once and in order;
// then zeros. Which they are does not depend on the order of adding, so it is
// the same over any number of trackers.
type Ports [4]uint16

func (p *Ports) add(n uint16) {
	for i, have := range p {
		if n == 0 || n == have {
			return
		}
		if have == 0 || n < have {
			p[i], n = n, have
		}
	}
}
