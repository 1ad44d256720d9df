package pipeline

import "fmt"

// DefaultMemory is what a run takes unless it is told otherwise. MinMemory is
// below what anything useful can be done with.
const (
	DefaultMemory = 128 << 20
	MinMemory     = 32 << 20
)

// What the parts cost, in bytes, of clients who mean to be dear:
// TestCostsAreMeasured holds them to it. Slices that grow by doubling are
// charged at their worst. An honest crowd takes less, an idle connection 400
// bytes and a call that hangs 300 more, since calls in the same words share
// their heads and verdicts.
const (
	// fixedCost is what does not depend on the traffic: rules, code's data,
	// metrics, a round's arena.
	fixedCost = 20 << 20
	// connCost is a connection: its state and, while a message is in progress,
	// HTTP half, its places in the flow table and the timers, and its entry
	// among the detectors'.
	connCost = 608
	// callCost is a call in flight: its exchange, a head and a verdict of its
	// own, and the detectors' entry.
	callCost = 800
	// legCost is a call on one side of a proxy, and its places in two indices.
	legCost = 440
	// tombCost is an ended connection that is remembered, in a ring and an index.
	tombCost = 120
	// scanCost is a content that is read while it comes (rules.Scan).
	scanCost = 3 << 10
	// fragCost is a datagram that waits for fragments, without its bytes.
	fragCost = 1 << 10
)

// Shares of what may be live, in percent. What is left is for the events and
// payloads of a round.
const (
	bufferShare   = 23 // bytes beyond holes, heads and contents
	connShare     = 38
	callShare     = 23
	legShare      = 3
	tombShare     = 4
	scanShare     = 4
	fragmentShare = 3
)

// bounded divides o.Memory into the bounds that are not set. Two thirds of
// what is not fixed may be live; the collector works in the rest.
func (o Options) bounded() (Options, error) {
	if o.Memory == 0 {
		return o, nil
	}
	if o.Memory < MinMemory {
		return o, fmt.Errorf("memory of %d bytes: want at least %d MiB", o.Memory, MinMemory>>20)
	}
	live := (o.Memory - fixedCost) / 3 * 2
	share := func(percent, cost int64) int { return int(live / 100 * percent / cost) }
	t, d := &o.Tracker, &o.Detect
	def(&t.MaxBuffered, live/100*bufferShare)
	def(&t.MaxConnBuffered, int(min(256<<10, t.MaxBuffered/16)))
	def(&t.MaxConns, share(connShare, connCost))
	def(&t.MaxExchanges, share(callShare, callCost))
	def(&t.MaxTombs, share(tombShare, tombCost))
	def(&d.MaxConns, t.MaxConns)
	def(&d.MaxCalls, t.MaxExchanges)
	def(&d.MaxLegs, share(legShare, legCost))
	def(&o.MaxScans, share(scanShare, scanCost))
	def(&o.Decode.Bytes, share(fragmentShare, 1))
	def(&o.Decode.Datagrams, share(fragmentShare, fragCost))
	return o, nil
}

func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
