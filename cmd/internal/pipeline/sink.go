package pipeline

import (
	"time"

	"stallwatch/capture"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Sink is told everything the core found, in order of time, from the
// pipeline's goroutine. What it is given holds during the call only, except
// that a Finding's Alert may be kept. It must not block: a sink
// with something slow behind it has a bounded queue of its own.
type Sink interface {
	// Event reports what happened on a connection. v is nil unless ev has an
	// Exchange whose request was seen whole.
	Event(ev *httpreassembly.Event, v *rules.Verdict)
	// Finding reports a change of an alert, a call that hangs, or the state
	// of a node.
	Finding(f *detect.Finding)
	// Loss reports packets that the capture lost.
	Loss(at capture.Time, l capture.Loss)
}

// Stats describe a run as a whole, so far.
type Stats struct {
	First, Last capture.Time // of the packets; zero when there was none
	Packets     uint64
	Bytes       uint64       // on the wire
	Loss        capture.Loss // the sum
	Pauses      uint64       // times in which nobody looked: Loss.Unwatched in all
	Decode      DecodeStats
	Tracker     httpreassembly.Stats
	Detect      detect.Stats
	Unscanned   uint64 // long contents that were not read for their command: beyond Options.MaxScans
	// Broken says where the sources could not be read on, a line each and
	// safe to print. The pipeline does not know: whoever reads the source
	// fills it in.
	Broken []string
	// Jumps is how often the sources' clock was set back, and Shift what its
	// times were moved by to go on: filled in as Broken is.
	Jumps uint64
	Shift time.Duration
}

// DecodeStats count the frames that did not become a segment, by reason: a
// closed set of names made by package decode.
type DecodeStats struct {
	Segments uint64
	Skipped  []Skip // in decode's order, zero counts left out
}

// Skip is a reason and its count.
type Skip struct {
	Reason string
	N      uint64
}
