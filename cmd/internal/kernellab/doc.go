// Package kernellab proves that httpreassembly.Tracker agrees with the Linux
// kernel that serves a node.
//
//	test process                                     server process
//	  Client ── frames as they are ── veth pair ──┬── kernel ── application
//	  Check <── capture of the server's end <─────┘      │          │
//	    └── the tracker's states and requests  ==  its socket table, and
//	                                               what it read
//
// A row of the tests is a corner case: it crafts segments (numbers, flags,
// checksums, options, fragments), tells the server's application what to do
// (accept, read, answer, close, die), and sets checkpoints. At a checkpoint
// the row says in words what the kernel is in, which documents the case; the
// lab waits until it is, reads the host's evidence at an instant at which no
// segment is under way, and runs all packets until then through a decoder and
// a tracker of their own. See [Judge] for what must be equal, and [Blind] for
// the few cases in which packets cannot tell: those the tracker must call
// unconfirmed.
//
// # What it leaves behind
//
// Nothing: the namespaces have no names and end with the test, however it
// ends. With -update the packets and checkpoints of a run become the fixtures
// of testdata/kernellab, so that the comparison also runs where namespaces may
// not be made.
//
// # What is not covered
//
// Where overlapping parts beyond a hole touch, Linux joins their buffers or
// not by how the driver laid them out in memory, and what overlaps both is
// then decided otherwise: no packet tells. An urgent byte that a second one
// follows before it was read stays in the stream or not by when the
// application reads. Capture losses are no kernel's matter: httpreassembly's
// own tests have them.
package kernellab
