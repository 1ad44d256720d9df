// Package live captures packets with libpcap and is a [capture.Source].
//
// # What goes in, what comes out
//
// One or more interfaces, the watched ports and perhaps a filter go in;
// packets with the kernel's timestamps, samples of the host, counts of lost
// packets and ticks come out of [Source.Next], in strictly growing time:
//
//	handle ──┐
//	handle ──┴ merge ──> packets ──┐
//	prober ─────────────> samples ─┼─ by time ──> vtime.Strict ──> Next
//	pcap_stats ─────────> losses ──┘
//	an empty ring ──────> tick at (now - Grace)
//
// With one interface Next reads the ring directly, without a copy or a
// goroutine. With several, a goroutine reads each ring into batches of its
// own, at most 32 MiB of them, and Next merges them by time: what one has
// captured waits there until the others have shown that theirs is not earlier.
//
// # Time
//
// This is the only place of the data path that asks the clock. Timestamps are
// the kernel's, in nanoseconds (libpcap 1.5 and later; gopacket asks for them
// when a handle is activated, and falls back to microseconds). A tick says
// that nothing earlier can come any more: the ring was empty, and what the
// kernel still keeps in an open block (it hands a block over after Timeout at
// the latest) is younger than Grace.
//
// Nobody looked in between when the clock was set forward, the machine slept,
// or the program was stopped and the ring overflowed: the clocks that nobody
// sets tell, and a Loss says from when on and for how long, see pause.go. A
// clock set back is followed at a distance, since times grow.
//
// # What it never does
//
// It never sends a packet, it does not set the interface to promiscuous mode
// unless asked, and it needs CAP_NET_RAW only. It does not compute loss as
// received minus delivered: on lo the kernel counts each packet twice
// and libpcap delivers it once.
package live
