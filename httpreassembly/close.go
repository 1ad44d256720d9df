package httpreassembly

import "stallwatch/capture"

// fin takes the FIN of s. What ends a direction is the byte count, not the
// flag: beyond a hole the server's kernel does not act on it.
func (t *Tracker) fin(c *conn, dir capture.Dir, s *capture.Segment) {
	h := &c.half[dir]
	at := seq(s.Seq) + seq(s.Len())
	switch {
	case h.has(hasFIN) || at.before(h.next):
		t.stats.Retransmitted++
		return
	case at != h.next:
		t.stats.OutOfOrder++
	}
	h.fin = at
	h.flags |= hasFIN
	c.history.note(dir, 'f')
	t.checkFIN(c, dir, s.At)
	if c.has(used) {
		t.watchHole(c, dir, s.At)
	}
}

// checkFIN ends a direction whose FIN is reached.
func (t *Tracker) checkFIN(c *conn, dir capture.Dir, at capture.Time) {
	h := &c.half[dir]
	if !h.has(hasFIN) || h.has(finDone) || h.next != h.fin {
		return
	}
	h.flags = h.flags&^hasUrgent | finDone
	h.next++
	if h.held != nil { // beyond the end
		t.discard(h.held)
	}
	t.finished(c, dir, at)
	if c.half[dir.Reverse()].has(finDone) {
		t.closed(c, at, side(dir), ByFIN)
		return
	}
	e := t.event(&c.ident, at, HalfClosed)
	e.By = side(dir)
	if dir == capture.ToServer {
		c.mark = at
		c.flags |= clientFIN
		t.setState(c, StateHalfClosed)
	} else {
		t.setState(c, StateServerClosed)
	}
	if c.class == halfOpen { // its handshake had begun anew: see synAck
		t.classify(c, live)
	}
}

// side returns the sender of what goes in dir.
func side(dir capture.Dir) Side {
	if dir == capture.ToServer {
		return Client
	}
	return Server
}

// reset handles an RST that is not corrupt.
func (t *Tracker) reset(c *conn, dir capture.Dir, s *capture.Segment) {
	c.history.note(dir, 'r')
	switch {
	case c.state == StateSyn && dir == capture.ToClient:
		if s.Flags.Has(capture.ACK) && seq(s.Ack) == c.isn+1 {
			t.refused(c, s.At)
		} else {
			t.stats.Unacceptable++
		}
	case c.state == StateSyn && c.has(hasISN) && seq(s.Seq) != c.isn+1:
		t.stats.Unacceptable++ // a handshake that was not answered yet goes on
	case c.state == StateSyn:
		// The client gave up before an answer: the server holds nothing.
		t.free(c, s.At, ByRST)
	case !c.half[dir].resets(seq(s.Seq), c.has(sack)):
		t.oddity(c, s.At, dir, ResetOutOfWindow, "")
	default:
		t.endReset(c, s.At, side(dir), ByRST)
	}
}

// refused handles an RST that answers a SYN: nobody listens. That it also
// means the end of the zombies of that port is for the detectors to say: they
// may be in another shard.
func (t *Tracker) refused(c *conn, at capture.Time) {
	t.event(&c.ident, at, Refused)
	t.free(c, at, ByRST)
}

// endReset ends c by a reset, or because its ports belong to another one.
// When a call is unanswered and the client went, only the socket is gone: the
// process works on, with the descriptor open.
func (t *Tracker) endReset(c *conn, at capture.Time, by Side, how How) {
	n := len(t.out)
	if m := t.unrested(c); m != nil {
		m.reset(&t.shared, &c.ident, by, at)
		t.told(c, n)
	}
	if by != Client || c.msgs == nil || c.msgs.owed() == 0 {
		t.closed(c, at, by, how)
		return
	}
	t.dropBuffers(c)
	t.setState(c, StateZombie)
	t.classify(c, zombies)
	t.report(c, at, by, how)
	c.mark = at
	c.half[0].gapDue, c.half[1].gapDue = 0, 0
	t.timers.remove(c)
	t.arm(c)
}

// zombieSegment handles what comes on the ports of a connection that was
// reset: a SYN may open a new one beside it.
func (t *Tracker) zombieSegment(c *conn, dir capture.Dir, s *capture.Segment) {
	if dir == capture.ToServer && s.Flags&(capture.SYN|capture.ACK|capture.RST) == capture.SYN {
		t.detach(c)
		t.unknown(c.hash, s)
		return
	}
	t.stats.Tombstoned++
}

// detach takes c out of the flow table: it lives on by its timer only.
func (t *Tracker) detach(c *conn) {
	t.table.remove(c)
	c.flags |= detached
}

// closed ends c, and says so if it was ever opened.
func (t *Tracker) closed(c *conn, at capture.Time, by Side, how How) {
	switch how {
	case ByFIN:
		t.setState(c, StateClosed)
	case ByRST, ByReuse:
		t.setState(c, StateReset)
	case ByEviction, ByPause:
		t.setState(c, StateEvicted)
	}
	t.abandon(c, at, how)
	if c.has(opened) {
		t.report(c, at, by, how)
	}
	if how == ByFIN || how == ByRST {
		t.tombs.sweep(at, t.opts.Linger)
		if t.tombs.bury(c.hash, &c.flow, at, t.opts.MaxTombs) {
			t.stats.TombsDropped++
		}
	}
	t.free(c, at, how)
}

// report emits Closed.
func (t *Tracker) report(c *conn, at capture.Time, by Side, how How) {
	t.stats.Closed++
	e := t.event(&c.ident, at, Closed)
	e.By, e.How, e.Summary = by, how, t.summary(c)
}

func (t *Tracker) summary(c *conn) *Connection {
	var s *Connection
	if n := len(t.spare); n > 0 {
		s, t.spare = t.spare[n-1], t.spare[:n-1]
	} else {
		s = new(Connection)
	}
	t.given = append(t.given, s)
	*s = Connection{
		Opened:    capture.Time(c.conn),
		State:     c.state,
		Exchanges: int(c.exchanges),
		Bytes:     c.bytes,
		History:   t.histories.text(&c.history),
	}
	if c.has(clientFIN) {
		s.CloseWait = c.mark
	}
	if c.has(spoken) {
		s.Protocol = c.speaks()
		s.NotHTTP = s.Protocol != ProtoUnknown && s.Protocol != ProtoHTTP1 && s.Protocol != ProtoHTTP2 && s.Protocol != ProtoUpgraded
	}
	return s
}

// abandon ends what the HTTP half still has open on c.
func (t *Tracker) abandon(c *conn, at capture.Time, how How) {
	if m := t.unrested(c); m != nil {
		n := len(t.out)
		m.abandon(&t.shared, &c.ident, at, how, false)
		t.told(c, n)
	}
}

// free forgets c.
func (t *Tracker) free(c *conn, at capture.Time, how How) {
	if c.state == StateZombie || !c.has(opened) {
		t.abandon(c, at, how)
	}
	t.dropBuffers(c)
	t.timers.remove(c)
	t.classify(c, 0)
	if !c.has(detached) {
		t.table.remove(c)
	}
	t.gauge(c, -1)
	t.count--
	if c.msgs != nil {
		t.lent.put(c.msgs)
	}
	if c.has(contested) {
		delete(t.reuses, c.ref)
	}
	t.table.slab.put(c)
}

func (t *Tracker) dropBuffers(c *conn) {
	for d := range c.half {
		if r := c.half[d].held; r != nil {
			t.discard(r)
		}
	}
}

// settle ends the holes of c that its receiver has acknowledged: at the end
// of the capture nothing is going to fill them.
func (t *Tracker) settle(c *conn, at capture.Time) {
	for d := range c.half {
		if h := &c.half[d]; c.has(used) && h.acked.after(h.next) {
			t.giveUp(c, capture.Dir(d), at)
		}
	}
}
