// Package evidence keeps what an alert is backed by: when one fires it writes
// a directory, a bundle, that a person can read and stallwatch can replay.
//
//	packets.pcap        the packets of the flows involved, nanoseconds: what was
//	                    before the alert, and what followed for a while
//	packets.host.jsonl  what the host said meanwhile; replay takes it by itself
//	calls.jsonl         the ledger of calls over their budget and in flight, as records
//	timeline.txt        alerts, nodes and hanging calls in order of time
//	alert.json          the alert, as a record
//	reproduce.sh        curl lines that ask a node of one's own the same
//	advise.txt          what can be done, with undo and cost
//	manifest.json       sizes and SHA-256 of the rest, and what is missing
//
// # Who owns what
//
// The goroutine of the pipeline calls [Collector.Item] with every Item before
// the pipeline takes it, and the Collector's methods of a pipeline.Sink. It
// copies each packet into the [Ring] and does no I/O. One goroutine of the
// Collector reads snapshots of the ring and writes; between them is a queue
// of few places, and when it is full a bundle is given up and counted.
//
// # What is bounded
//
// The ring by bytes and age, with as much again while snapshots of it are
// read; a bundle's packets by bytes; the bundles by number, total size and
// age, the oldest going first; and nothing is written when the disk has less
// than a floor free. Each refusal has a counter in [Stats].
//
// # What is private
//
// A bundle holds what users sent: directories have mode 0700 and files 0600.
// Names are made of the time, the alert's name and a number only. A bundle is
// written under a temporary name and renamed when it is whole and on disk.
// The values of parameters in reproduce.sh are replaced by others of the same
// length, unless Options.Full; packets.pcap has them in any case.
package evidence
