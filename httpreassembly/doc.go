// Package httpreassembly follows TCP connections as the Linux kernel of the
// watched node does, and turns their bytes into HTTP exchanges.
//
// # What goes in, what comes out
//
// A [Tracker] is given [capture.Segment]s in order of time and appends
// [Event]s to a slice of its caller: a connection opened, its client left, a
// request is whole, its answer began. Nothing is said by callback, and no
// goroutine, clock or logger is inside: time is what the segments and
// [Tracker.Advance] say.
//
//	Segment ─> flow table ─> conn ─> half (one a direction) ─> messages ─> Event
//	                          │        in-order bytes, holes, FIN
//	                          └─ handshake, RST, deadlines, eviction
//
// # States of a connection
//
//	        SYN            SYN-ACK              client's ACK
//	(none) ────> StateSyn ────────> StateHandshake ────────> StateOpen
//	                │ RST               ▲   SYN-ACK again        │
//	                ▼                   └────────────────────────┤
//	             Refused                 (accept queue full)     │
//	                                                             │
//	    client's FIN, in order        server's FIN, in order     │
//	  StateHalfClosed <──────────────────┬──> StateServerClosed <┘
//	        │   CLOSE_WAIT on the node   │          │
//	        └──── server's FIN ──> StateClosed <── client's FIN
//
//	an acceptable RST ──> StateReset, or StateZombie when the client sent it
//	while a call was unanswered: the kernel has forgotten the socket, the
//	process has not, and its descriptor stays taken.
//
// # What is believed
//
// The server. Bytes count when they are contiguous; a checksum, a timestamp
// (PAWS) or a sequence number that Linux would refuse is refused here; what the
// server acknowledges it has got, even when the capture has not. What Linux
// most likely drops although its numbers fit (signed, beyond the window,
// acknowledging what was never sent) is set aside until the server
// acknowledges it, and anything else for the same bytes goes first. A client's
// acknowledgement of bytes that were not captured is believed too, unless the
// server contradicts it: otherwise a client could hide a stalled call by
// acknowledging an answer that nobody sent.
//
// # HTTP/2
//
// Connections that begin with HTTP/2's preface, or switch to it by an Upgrade,
// give an Exchange a stream ([Exchange.StreamID]; Depth is the order of the
// streams). Frames are read as they come; a header block that cannot be
// decoded costs the names of its direction's further calls, not their times.
// gRPC is HTTP/2 too. A connection of HTTP/2 that is picked up in its middle
// is not recognised.
//
// # Pressure
//
// As the buffers fill up, less is read: first long contents are not kept,
// then no content, then no further call is followed ([Level]). Each step is
// counted and said, and takes back what the steps before had kept, so that
// nobody holds it down by holding still.
//
// # What is not handled
//
// Simultaneous open (RFC 9293 figure 8), TCP Fast Open data before it is
// retransmitted, urgent data under SO_OOBINLINE, two urgent bytes of which the
// first was not read when the second came, and an RST by which the server's
// kernel gives up a silent client: it looks as if the process had ended.
//
// # Bounds
//
// Connections, bytes beyond holes, tombstones, requests owed: each has a bound
// in [Options] or beside its type, and a counter in [Stats] that tells when it
// was reached. Under pressure half-open connections go first, then idle ones;
// one that holds an unanswered call or sits in CLOSE_WAIT never goes for
// another's sake.
package httpreassembly
