package httpreassembly

import (
	"cmp"
	"math"
	"slices"

	"stallwatch/capture"
)

// Tracker follows the TCP connections of the watched ports. It is not safe
// for concurrent use: the pipeline's goroutine owns it.
type Tracker struct {
	shared
	now    capture.Time
	ports  ports
	table  table
	tombs  tombs
	timers timers
	lent   lending
	lists  [numClasses]list
	holes  holes
	count  int              // connections, zombies included
	ending []*conn          // by FinishPart, still to do
	reuses map[uint32]reuse // by conn.ref, of those contested: what is rare takes no room in each

	levelDown, levelUp int64 // bytes buffered at which the level changes

	histories histories
	given     []*Connection // handed out since the last Recycle
	spare     []*Connection
}

// New returns a Tracker. It panics on nothing: every zero field of o takes
// its default.
func New(o Options) *Tracker {
	t := &Tracker{histories: histories{}, reuses: map[uint32]reuse{}}
	t.opts = o.WithDefaults()
	t.ports.init(o.Ports)
	t.table.init()
	t.pool.most = int(t.opts.MaxBuffered / 4)
	t.watchLevel()
	return t
}

// Segment handles s and appends what it means to dst: first the deadlines
// that were due at or before s.At, then s itself. Times must strictly grow.
// s and its payload are not kept.
func (t *Tracker) Segment(dst []Event, s *capture.Segment) []Event {
	t.out, t.now, t.parts = dst, s.At, t.parts[:0]
	t.fire(s.At)
	t.stats.Segments++
	t.stats.PayloadBytes += uint64(s.Len())
	if !t.ports.watched(s) {
		t.ignore(s)
		if t.opts.Perimeter {
			t.perimeter(s)
		}
	} else if h := t.table.hash(s); true {
		if c, dir := t.table.find(h, s); c != nil {
			t.known(c, dir, s)
		} else {
			t.unknown(h, s)
		}
	}
	return t.done()
}

// ignore counts a segment that no watched port is part of. Of a capture that
// was read for the wrong port somebody will ask which would have been right.
func (t *Tracker) ignore(s *capture.Segment) {
	t.stats.Ignored++
	if looksLikeRequest(s.Payload) {
		t.stats.HTTPElsewhere.add(s.Dst.Port())
	}
}

// Advance appends what falls due at or before now.
func (t *Tracker) Advance(dst []Event, now capture.Time) []Event {
	t.out, t.now, t.parts = dst, now, t.parts[:0]
	t.fire(now)
	return t.done()
}

// Finish ends the capture at now: connections still open are Closed by
// ByCaptureEnd in the order of their ConnID, with the state they are in. A
// request that is whole and unanswered stays owed, and gets no ExchangeDone;
// what is incomplete is Cut. The Tracker is empty afterwards, but for Stats.
func (t *Tracker) Finish(dst []Event, now capture.Time) []Event {
	dst, _ = t.FinishPart(dst, now, math.MaxInt)
	return dst
}

// FinishPart is Finish in steps of n connections at most: the events of a
// million at once would take more room than the million did. more means that
// it has to be called again, with the same now, before anything else.
func (t *Tracker) FinishPart(dst []Event, now capture.Time, n int) (_ []Event, more bool) {
	t.out, t.now, t.parts = dst, now, t.parts[:0]
	if t.ending == nil {
		t.fire(now)
		t.ending = t.stillOpen()
	}
	return t.endPart(n, func(c *conn) {
		if c.state == StateZombie {
			t.free(c, now, ByCaptureEnd)
		} else if t.settle(c, now); c.has(used) {
			t.closed(c, now, Nobody, ByCaptureEnd)
		}
	})
}

// endPart ends the next n connections of those that are to end.
func (t *Tracker) endPart(n int, end func(*conn)) (_ []Event, more bool) {
	n = min(n, len(t.ending))
	for _, c := range t.ending[:n] {
		end(c)
	}
	if t.ending = t.ending[n:]; len(t.ending) == 0 {
		t.ending = nil
	}
	return t.done(), t.ending != nil
}

// stillOpen returns the connections that are there, in the order of their ConnID.
func (t *Tracker) stillOpen() []*conn {
	open := make([]*conn, 0, t.count)
	for _, b := range t.table.slab.blocks {
		for i := range b {
			if b[i].has(used) {
				open = append(open, &b[i])
			}
		}
	}
	slices.SortFunc(open, func(a, b *conn) int { return cmp.Compare(a.conn, b.conn) })
	return open
}

func (t *Tracker) done() []Event {
	t.weigh(t.now)
	dst := t.out
	t.out = nil
	return dst
}

// Recycle says that the Events returned since the last call were consumed:
// what they point to may be used again.
func (t *Tracker) Recycle() {
	t.restore(&t.given)
	t.pool.recycle()
}

func (t *Tracker) restore(given *[]*Connection) {
	t.spare = append(t.spare, *given...)
	clear(*given)
	*given = (*given)[:0]
}

// Spent is what the Events of some calls point to and the Tracker has done
// with. Who consumes Events later than the Tracker makes them, in another
// goroutine, takes it away with them, and gives it back with Reuse. The zero
// value is empty.
type Spent struct {
	given []*Connection
	calls spentCalls
}

// Take moves what is spent since the last Recycle or Take to s, which is
// empty.
func (t *Tracker) Take(s *Spent) {
	t.given, s.given = s.given, t.given
	t.pool.spentCalls, s.calls = s.calls, t.pool.spentCalls
}

// SpentBytes returns how many bytes of contents are spent and not taken.
func (t *Tracker) SpentBytes() int { return t.pool.bytes }

// Reuse takes back what Take gave: those Events were consumed. s is empty
// afterwards.
func (t *Tracker) Reuse(s *Spent) {
	t.restore(&s.given)
	t.pool.reuse(&s.calls)
}

// Stats returns the counters and gauges.
func (t *Tracker) Stats() Stats { return t.stats }

// known handles a segment of a connection in the table.
func (t *Tracker) known(c *conn, dir capture.Dir, s *capture.Segment) {
	c.last = s.At
	c.flags |= touched | heardOf(dir)
	if s.Flags&(capture.SYN|capture.RST|capture.FIN|capture.ACK) == capture.ACK {
		t.ordinary(c, dir, s)
	} else {
		t.control(c, dir, s)
	}
	if c.has(used) && (c.class == busy || c.timer < 0) {
		t.review(c)
	}
}

// review looks at c after something has changed: it may not be pinned any
// more, and wait for something now.
func (t *Tracker) review(c *conn) {
	if c.class == busy {
		t.unpin(c)
	}
	if c.timer < 0 {
		t.arm(c)
	}
}

// control handles the segments that open and end connections.
func (t *Tracker) control(c *conn, dir capture.Dir, s *capture.Segment) {
	if t.corrupt(c, dir, s) {
		return
	}
	switch {
	case c.state == StateZombie:
		t.zombieSegment(c, dir, s)
	case s.Flags.Has(capture.RST):
		t.reset(c, dir, s)
	case s.Flags.Has(capture.SYN | capture.ACK):
		t.synAck(c, dir, s)
	case s.Flags.Has(capture.SYN):
		t.syn(c, dir, s)
	case s.Flags.Has(capture.ACK):
		t.ordinary(c, dir, s)
	default: // neither SYN, RST nor ACK: the kernel drops it (RFC 9293 3.10.7.4, fifth)
		t.stats.Unacceptable++
	}
}

// ordinary handles acknowledgement, payload and FIN.
func (t *Tracker) ordinary(c *conn, dir capture.Dir, s *capture.Segment) {
	switch {
	case c.state == StateZombie:
		t.stats.Tombstoned++
		return
	case c.state == StateSyn || c.state == StateHandshake:
		if !t.complete(c, dir, s) {
			return
		}
	}
	switch t.judge(c, dir, s) {
	case refused:
		return
	case doubted:
		t.doubt(c, dir, s)
		return
	}
	if s.Flags.Has(capture.URG) {
		t.noteUrgent(c, dir, s)
	}
	if s.Len() == 0 && !s.Flags.Has(capture.FIN) {
		c.history.note(dir, 'a')
		t.acknowledge(c, dir, s)
		t.contradict(c, dir, s)
		return
	}
	if t.acknowledge(c, dir, s); !c.has(used) {
		return
	}
	if s.Len() > 0 {
		c.history.note(dir, 'd')
		t.data(c, dir, s)
	}
	if s.Flags.Has(capture.FIN) && c.has(used) {
		t.fin(c, dir, s)
	}
}

// unknown handles a segment of no connection in the table.
func (t *Tracker) unknown(h uint32, s *capture.Segment) {
	dir := t.ports.orient(s)
	if s.Flags&(capture.SYN|capture.RST|capture.ACK|capture.FIN) == capture.SYN && dir == capture.ToServer {
		t.firstSyn(h, s)
		return
	}
	if t.tombs.holds(h, s, t.opts.Linger) {
		t.stats.Tombstoned++
		return
	}
	switch {
	case s.Flags.Has(capture.RST) || !s.Flags.Has(capture.ACK):
		t.stats.Orphans++
	case s.Flags.Has(capture.SYN):
		t.firstSynAck(h, dir, s)
	case s.Len() < 2: // a bare ACK, a FIN scan, a keep-alive probe
		t.stats.Orphans++
	default:
		t.midStream(h, dir, s)
	}
}

// add makes a connection whose first segment is s, or returns nil when there
// is no room.
func (t *Tracker) add(h uint32, dir capture.Dir, s *capture.Segment, st ConnState) *conn {
	if !t.room() {
		return nil
	}
	c := t.table.slab.get()
	c.conn, c.flow = ConnID(s.At), flowOf(s, dir)
	c.hash, c.state = h, st
	c.last, c.mark = s.At, s.At
	c.flags |= heardOf(dir)
	t.count++
	t.gauge(c, 1)
	t.table.add(c)
	t.tombs.clear(h, s)
	return c
}

// midStream picks up a connection whose beginning was not captured. Only
// payload does: a scan's bare FIN or ACK must not raise a phantom.
func (t *Tracker) midStream(h uint32, dir capture.Dir, s *capture.Segment) {
	if s.Sum() == capture.Bad {
		t.stats.BadChecksum++
		return
	}
	c := t.add(h, dir, s, StateOpen)
	if c == nil {
		return
	}
	if dir == capture.ToClient && t.ports.any {
		c.history.note(dir, '^')
	}
	c.half[0].scale, c.half[1].scale = maxScale, maxScale
	c.half[dir].start(seq(s.Seq))
	c.half[dir.Reverse()].start(seq(s.Ack))
	t.classify(c, live)
	t.open(c, s.At, StateOpen, true)
	t.resume(c, dir, s)
	t.ordinary(c, dir, s)
	if c.has(used) {
		t.arm(c)
	}
}

// resume tells the HTTP half what it missed before the first payload. A
// request's first line needs nothing before it; an answer's lacks its request;
// anything else is the middle of something.
func (t *Tracker) resume(c *conn, dir capture.Dir, s *capture.Segment) {
	m := t.messages(c)
	if dir == capture.ToClient {
		m.hole(&t.shared, &c.ident, capture.ToServer, s.At, -1)
	}
	if dir == capture.ToServer && looksLikeRequest(s.Payload) || dir == capture.ToClient && looksLikeResponse(s.Payload) {
		return
	}
	m.hole(&t.shared, &c.ident, dir, s.At, -1)
}
