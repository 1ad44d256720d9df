// Package capture holds the nouns of stallwatch: what was observed on the
// wire or on the host, and when. It is a leaf: it imports nothing of the
// project, does no I/O and owns no clock. Reading it is reading the
// architecture.
//
// # What goes in, what comes out
//
// A [Source] yields [Item]s in strictly growing order of time: a packet, a
// sample of the node's process, a count of packets that were lost, or a tick
// that only says how late it is. Sources live beside this package: live
// (libpcap), replay (recordings). Package decode turns the bytes of a packet
// into a [Segment], which is what the reassembly follows.
//
// # What it never does
//
// It never asks what time it is. Every instant in the core is a [Time] that
// came with an Item; that is why a replay says what the live run said.
package capture
