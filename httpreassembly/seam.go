package httpreassembly

import "stallwatch/capture"

// The package has two halves. The TCP half (tracker, conn, half-streams)
// decides which bytes the server got, in which order and when. The HTTP half
// (messages) turns each direction's bytes into requests and responses. They
// meet here and nowhere else:
//
//	Tracker.Segment ─> conn ─> half ─ in-order bytes, holes, FIN, RST ─> messages ─> Events
//
// shared is what both halves use; the Tracker owns the only one.
type shared struct {
	opts  Options // with defaults filled in
	stats Stats
	out   []Event // the dst of the call in progress
	pool  exchangePool

	familiars familiars

	heard  seq  // of the server's bytes, what the client of the bytes being read has acknowledged
	missed bool // some of that was not captured
	edge   seq  // of the server's bytes, the end of the hole being told

	level Level
	parts [][]byte // of the BodyParts in out
}

// ident is what the HTTP half has to know about its connection.
type ident struct {
	conn ConnID
	flow capture.Flow
	ref  uint32 // of the slab, from 1
	hash uint32 // of flow, as the table has it
}

// emit appends an Event.
func (sh *shared) emit(e Event) { sh.out = append(sh.out, e) }

// event appends an Event of a connection. The caller fills in the rest, in
// place: an Event is two cache lines, and to copy it costs as much as to make it.
func (sh *shared) event(id *ident, at capture.Time, k Kind) *Event {
	sh.out = append(sh.out, Event{})
	e := &sh.out[len(sh.out)-1]
	e.At, e.Kind, e.Slot, e.Conn, e.Flow = at, k, int32(id.ref)-1, id.conn, id.flow
	return e
}

// odd counts an oddity and reports it. detail is ours, never the wire's.
func (sh *shared) odd(id *ident, at capture.Time, dir capture.Dir, o Oddity, detail string) {
	sh.stats.Oddities[o]++
	e := sh.event(id, at, Odd)
	e.Dir, e.Odd, e.Detail = dir, o, detail
}

// reserve asks for n more bytes of buffer of the global budget
// (Options.MaxBuffered); false means there is no room and the bytes must be
// dropped, which the caller counts. release gives them back.
func (sh *shared) reserve(n int) bool {
	if sh.stats.Buffered+int64(n) > sh.opts.MaxBuffered {
		return false
	}
	sh.stats.Buffered += int64(n)
	return true
}

func (sh *shared) release(n int) { sh.stats.Buffered -= int64(n) }

// What the TCP half calls, per connection (type messages; a connection has one
// while a message is in progress or an answer owed, see rest.go):
//
//	bytes(sh, id, dir, at, b)  contiguous stream bytes; b is not kept
//	hole(sh, id, dir, at, n)   n bytes of dir will never come; n<0: unknown how many. Called before
//	                           the first bytes of dir, it says that they are the middle of something
//	end(sh, id, dir, at)       the FIN of dir was reached, in order
//	reset(sh, id, by, at)      an acceptable RST; a call owed stays owed if by is Client: the
//	                           process does not notice (zombie)
//	abandon(sh, id, at, how, due)  the tracker forgets the connection (idle, eviction, capture end,
//	                           zombie expiry): every exchange still open gets its Outcome
//	owed() int                 requests seen whole whose final response has not begun
//	busy() bool                anything unfinished: owed, a partial request or a partial response
//	protocol() Protocol
