package httpreassembly

import (
	"net/netip"
	"time"

	"stallwatch/capture"
)

// tombs remember the connections that ended, so that a late or repeated
// segment does not raise a phantom: without them every duplicated last ACK
// looked like a connection picked up in its middle.
//
// Bounded by Options.MaxTombs: a tomb is 60 bytes and a connection, which the flow
// table would otherwise keep for a minute, is 300. When it is full the oldest
// goes first; what then comes late can only be an orphan or, with payload, a
// connection in its middle.
type tombs struct {
	at   map[tuple]capture.Time // when the connection ended
	ring []tuple                // in order of ending, as a circle
	head int
	n    int
}

// tuple names the two ends of a connection without a pointer, in an order
// that both directions share.
type tuple struct {
	low, high         [16]byte
	lowPort, highPort uint16
}

func tupleOf(a, b netip.AddrPort) tuple {
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return tuple{a.Addr().As16(), b.Addr().As16(), a.Port(), b.Port()}
}

// bury remembers k, and reports whether the oldest tomb before its time had
// to make room.
func (ts *tombs) bury(k tuple, now capture.Time, most int) (crowded bool) {
	if ts.at == nil {
		ts.at = map[tuple]capture.Time{}
	}
	if _, again := ts.at[k]; again {
		ts.at[k] = now // its older place in the ring finds a younger time and leaves it
		return false
	}
	if crowded = ts.n >= most; crowded {
		ts.drop()
	}
	if ts.n == len(ts.ring) {
		ts.grow()
	}
	ts.ring[(ts.head+ts.n)%len(ts.ring)] = k
	ts.n++
	ts.at[k] = now
	return crowded
}

func (ts *tombs) grow() {
	ring := make([]tuple, max(64, 2*len(ts.ring)))
	for i := range ts.n {
		ring[i] = ts.ring[(ts.head+i)%len(ts.ring)]
	}
	ts.ring, ts.head = ring, 0
}

func (ts *tombs) drop() {
	delete(ts.at, ts.ring[ts.head])
	ts.head = (ts.head + 1) % len(ts.ring)
	ts.n--
}

// holds reports whether the connection of s ended less than linger ago.
func (ts *tombs) holds(s *capture.Segment, linger time.Duration) bool {
	if ts.n == 0 {
		return false
	}
	ended, ok := ts.at[tupleOf(s.Src, s.Dst)]
	return ok && s.At < ended.Add(linger)
}

// clear forgets that a connection on these ends has ended: a new one begins.
func (ts *tombs) clear(a, b netip.AddrPort) {
	if ts.n == 0 {
		return
	}
	k := tupleOf(a, b)
	if _, ok := ts.at[k]; ok {
		ts.at[k] = -1 << 62
	}
}

// sweep drops what is older than linger.
func (ts *tombs) sweep(now capture.Time, linger time.Duration) {
	for range 2 * maxSweep {
		if ts.n == 0 || ts.at[ts.ring[ts.head]].Add(linger) > now {
			return
		}
		ts.drop()
	}
}

// maxSweep tombs are dropped for each connection that ends: enough to shrink,
// few enough not to stall a packet.
const maxSweep = 4
