// Package replay reads recordings as a [capture.Source], and makes them.
//
//	a.pcap        ┐
//	a.host.jsonl  ├── merged by time ──> vtime.Strict ──> capture.Item ... Tick, io.EOF
//	b.pcapng.zst  ┘
//
// # What goes in, what comes out
//
// pcap (microseconds, nanoseconds, the modified format of Kuznetzov) and
// pcapng in both byte orders, plain or compressed with gzip or zstd: told by
// their first bytes, never by their names. Beside NAME.pcap, NAME.host.jsonl
// joins by itself: what the host said meanwhile (see [SidePath] and
// sidefile.go for the format). Several files are merged by packet time;
// where they do not overlap only one is open at a time.
//
// # Broken input
//
// Of a broken or cut file all is delivered that can be read; then the place
// is kept ([Source.Errors]) and the other files go on. A record that claims an
// insane length is an error at its offset, never an allocation.
//
// # What it never does
//
// It does not wait, and asks no clock: a recording's own times are the only
// ones. Packets are handed out in place, without a copy.
package replay
