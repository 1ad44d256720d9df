// Package pipeline puts the stages in a row: frames in, Events, verdicts and
// Findings out to the Sinks, in order of time. It has no clock and does no
// I/O; what it is given decides what it says.
//
//	Item ─> decode ─> shard: Tracker ─> rules ─┐
//	                  shard: Tracker ─> rules ─┼─ merge by (At, due first, Conn) ─> detect ─> Sinks
//	                  shard: Tracker ─> rules ─┘
//
// With one shard there is no goroutine and no copy: each Item runs through to
// the Sinks before Item returns. With more, Items are gathered into rounds;
// segments are dealt by a symmetric hash of their flow, the shards work a
// round in parallel, and the merge restores the order that one shard would
// have produced. A property test holds the two to the same bytes.
//
// A Pipeline is not safe for concurrent use: the goroutine that calls Item
// owns it. Its shard goroutines live only within a call.
package pipeline
