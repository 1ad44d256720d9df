package httpreassembly

// Stats are counters and gauges of a Tracker since its start. Plain numbers:
// copy them where you like.
type Stats struct {
	Segments, PayloadBytes                    uint64
	Ignored                                   uint64 // segments of unwatched ports
	Orphans                                   uint64 // segments of no known connection that may not open one (bare ACK, FIN, RST)
	Tombstoned                                uint64 // segments of a connection that has ended
	Retransmitted                             uint64 // segments that brought nothing new
	OutOfOrder                                uint64 // segments beyond a hole when they came
	BadChecksum                               uint64 // segments the kernel cannot have accepted
	Gaps                                      uint64
	GapBytes                                  uint64 // bytes that never were captured, where known
	BufferDropped                             uint64 // payload bytes dropped because a bound was reached
	EvictedHalfOpen, EvictedIdle, EvictedBusy uint64
	Oddities                                  [NumOddities]uint64
	Opened, Closed                            uint64
	Requests, Responses                       uint64
	UnpairedResponses                         uint64 // answers that cannot be given to a request for certain

	// Gauges.
	Conns    [NumConnStates]int
	InFlight int   // requests seen whole and unanswered
	Buffered int64 // bytes
}
