package httpreassembly

import "stallwatch/capture"

// half is one direction of a connection: where its bytes are, and what its
// receiver has said about them.
type half struct {
	next     seq    // the next contiguous byte
	acked    seq    // the receiver has all before it
	fin      seq    // valid iff hasFIN
	urgent   seq    // the urgent byte; valid iff hasUrgent
	tsRecent uint32 // valid iff hasTS; of the server its latest SYN-ACK's
	window   uint32 // the receiver's window in bytes, as announced last
	edge     seq    // the receiver announced room before it; valid iff announced
	scale    uint8  // shift of the windows that this direction's sender announces
	flags    halfFlags
	gapDue   capture.Time
	held     *reorder // nil unless bytes beyond a hole are buffered
}

type halfFlags uint8

const (
	hasFIN    halfFlags = 1 << iota // the sender's FIN was seen, perhaps beyond a hole
	finDone                         // and it is reached
	hasUrgent                       // urgent is valid
	hasTS                           // tsRecent is valid
	announced                       // edge is valid
	resent                          // Retransmitting was sent and its end was not
	choked                          // WindowClosed was sent and its end was not
)

func (h *half) has(f halfFlags) bool { return h.flags&f != 0 }

func (h *half) start(q seq) {
	h.next, h.acked = q, q
}

// maxLag bounds how far the acknowledged bytes may stay behind: where the
// receiver's packets are not captured they do so for ever, and beyond 2 GiB
// they would count as ahead.
const maxLag = 1 << 29

// advance moves the next byte on to q.
func (h *half) advance(q seq) {
	h.next = q
	if q.sub(h.acked) > maxLag {
		h.acked = q - maxLag
	}
}

// option takes the window scale of a SYN or SYN-ACK.
func (h *half) option(s *capture.Segment) {
	h.scale = 0
	if s.HasWScale {
		h.scale = min(s.WScale, maxScale)
	}
}

// announce takes a window of the receiver. The right edge never moves back
// (RFC 9293 section 3.8.6).
func (h *half) announce(edge seq) {
	if !h.has(announced) || edge.after(h.edge) {
		h.edge = edge
		h.flags |= announced
	}
}

// beyond reports whether bytes beyond a hole are buffered.
func (h *half) beyond() bool { return h.held != nil && len(h.held.pieces) > 0 }

// broken reports whether something is known to be missing.
func (h *half) broken() bool {
	return h.beyond() || h.has(hasFIN) && !h.has(finDone) || h.acked.after(h.next)
}

// maxJump bounds how far an acknowledgement may lie beyond what was captured:
// RFC 7323's largest window.
const maxJump = 1 << 30

// acknowledge takes what s says about the other direction's bytes. That may
// be the end of c.
func (t *Tracker) acknowledge(c *conn, dir capture.Dir, s *capture.Segment) {
	p, ack := &c.half[dir.Reverse()], seq(s.Ack)
	p.window = uint32(s.Window) << c.half[dir].scale
	p.announce(ack + seq(p.window))
	if room := uint32(s.Window) << c.half[dir].scale; (room < smallWindow) != p.has(choked) {
		t.choke(c, dir.Reverse(), s.At)
	}
	if dir == capture.ToClient && !c.has(confirmed) && (s.Len() > 0 || ack.after(p.acked)) {
		t.confirm(c)
	}
	switch d := ack.sub(p.acked); {
	case d < 0 || d >= maxJump: // old, or nonsense
	case d == 0:
		if p.gapDue != 0 && ack == p.next {
			p.gapDue = 0 // the receiver lacks it too: it will come again
		}
	case ack.sub(p.next) <= 0:
		p.acked = ack
		if p.has(resent) {
			p.flags &^= resent
			e := t.event(&c.ident, s.At, Acknowledged)
			e.Dir = dir.Reverse()
		}
	case ack.sub(p.next) < maxJump && !(dir == capture.ToServer && c.has(distrusted)):
		p.acked = ack
		if p.held != nil && len(p.held.doubted) > 0 {
			t.trust(c, dir.Reverse(), s.At)
			t.checkFIN(c, dir.Reverse(), s.At)
		}
		if c.has(used) {
			t.watchHole(c, dir.Reverse(), s.At)
		}
	}
}

// contradict judges a bare segment of the server after its client
// acknowledged bytes that were not captured. Linux answers an acknowledgement
// of what it never sent with its own true position (RFC 5961 section 5.2);
// the client's claim is void then, and so are all that follow.
func (t *Tracker) contradict(c *conn, dir capture.Dir, s *capture.Segment) {
	h := &c.half[capture.ToClient]
	if dir == capture.ToClient && seq(s.Seq) == h.next && h.acked.after(h.next) {
		h.acked = h.next
		h.gapDue = 0
		c.flags |= distrusted
		t.watchHole(c, dir, s.At)
	}
}

// data takes the payload of s. The first lines are the path of nearly every
// segment: no copy, no allocation.
func (t *Tracker) data(c *conn, dir capture.Dir, s *capture.Segment) {
	h := &c.half[dir]
	if seq(s.Seq) == h.next && h.held == nil && s.Missing == 0 && !h.has(hasFIN|hasUrgent) {
		h.advance(h.next + seq(len(s.Payload)))
		t.deliver(c, dir, s.At, s.Payload)
		if h.gapDue != 0 {
			t.watchHole(c, dir, s.At)
		}
		return
	}
	t.irregular(c, dir, s)
	t.checkFIN(c, dir, s.At)
	if c.has(used) {
		t.watchHole(c, dir, s.At)
	}
}

// noteUrgent remembers the urgent byte, which Linux takes out of the stream.
// The pointer names the byte after it, and 0 says the same as 1; of two that
// are to come the farther counts (tcp_check_urg with tcp_stdurg off).
func (t *Tracker) noteUrgent(c *conn, dir capture.Dir, s *capture.Segment) {
	h := &c.half[dir]
	at := seq(s.Seq) + seq(max(s.Urgent, 1)) - 1
	if at.before(h.next) || h.has(hasUrgent) && !at.after(h.urgent) {
		return
	}
	h.urgent = at
	h.flags |= hasUrgent
	t.oddity(c, s.At, dir, UrgentData, "")
}

// irregular takes a payload that is old, overlaps, is cut, or lies beyond a
// hole.
func (t *Tracker) irregular(c *conn, dir capture.Dir, s *capture.Segment) {
	h := &c.half[dir]
	p := piece{start: seq(s.Seq), data: s.Payload, cut: s.Missing}
	if !p.end().after(h.next) {
		if s.Len() > 1 || p.end() != h.next { // else a keep-alive probe
			t.stats.Retransmitted++
			t.resend(c, dir, s.At, p.end())
		}
		return
	}
	if !t.toCome(c, dir, s.At, &p) {
		return
	}
	if s.Missing > 0 {
		t.oddity(c, s.At, dir, PacketCut, "")
	}
	if p.start == h.next {
		if h.held != nil && h.held.differs(&p) {
			t.oddity(c, s.At, dir, OverlapDiffers, "")
		}
		t.take(c, dir, s.At, &p)
		t.drain(c, dir, s.At)
		return
	}
	t.stats.OutOfOrder++
	t.park(c, dir, s.At, &p)
}

// toCome cuts p down to what is still to come, from the next byte up to the
// FIN; false means that nothing is.
func (t *Tracker) toCome(c *conn, dir capture.Dir, at capture.Time, p *piece) bool {
	h := &c.half[dir]
	if h.has(hasFIN) && p.end().after(h.fin) {
		t.oddity(c, at, dir, DataAfterFin, "")
		if !p.keep(h.fin) {
			return false
		}
	}
	if !p.end().after(h.next) {
		return false
	}
	p.skip(h.next)
	return true
}

// take delivers what is to come of p, which begins at the next byte or before
// it: p may have been put aside before the FIN that lies within it came.
func (t *Tracker) take(c *conn, dir capture.Dir, at capture.Time, p *piece) {
	if !t.toCome(c, dir, at, p) {
		return
	}
	h := &c.half[dir]
	i := int(h.urgent.sub(p.start))
	urgent := h.passes(p.end())
	h.advance(p.end())
	switch {
	case !urgent:
		t.deliver(c, dir, at, p.data)
	case i < len(p.data):
		t.deliver(c, dir, at, p.data[:i])
		t.deliver(c, dir, at, p.data[i+1:])
	default:
		t.deliver(c, dir, at, p.data)
		p.cut--
	}
	if p.cut > 0 {
		t.lose(c, dir, at, int64(p.cut))
	}
}

// passes forgets the urgent byte if it lies before q, and reports whether it
// did.
func (h *half) passes(q seq) bool {
	if !h.has(hasUrgent) || !h.urgent.before(q) {
		return false
	}
	h.flags &^= hasUrgent
	return true
}

// watchHole sets or clears the time at which the hole of dir is given up.
func (t *Tracker) watchHole(c *conn, dir capture.Dir, now capture.Time) {
	h := &c.half[dir]
	if !h.broken() {
		h.gapDue = 0
		return
	}
	due := now.Add(t.opts.GapPatience)
	if h.acked.after(h.next) {
		due = now.Add(reorderGrace)
	}
	if h.gapDue == 0 || due < h.gapDue {
		h.gapDue = due
		t.arm(c)
	}
}

// giveUp declares lost what h misses: the receiver has it, or nobody said
// anything about it for long enough. A single byte that the receiver has
// beyond the end is a FIN that was not captured.
func (t *Tracker) giveUp(c *conn, dir capture.Dir, at capture.Time) {
	h := &c.half[dir]
	h.gapDue = 0
	for first := true; c.has(used) && h.broken() && (first || h.acked.after(h.next)); first = false {
		from := h.next
		if t.bridge(c, dir, at); c.has(used) && h.next == from {
			h.acked = from // an acknowledgement that leads nowhere is nonsense
		}
	}
	if c.has(used) {
		t.watchHole(c, dir, at)
	}
}

// bridge goes over the first hole of dir.
func (t *Tracker) bridge(c *conn, dir capture.Dir, at capture.Time) {
	h := &c.half[dir]
	if h.has(finDone) { // acknowledged beyond its FIN: nonsense
		h.acked = h.next
		return
	}
	if !h.has(hasFIN) && !h.beyond() && h.acked == h.next+1 {
		h.fin = h.next
		h.flags |= hasFIN
	}
	edge, claimed := h.acked, h.acked.after(h.next)
	if h.beyond() && (!claimed || h.held.pieces[0].start.before(edge)) {
		edge = h.held.pieces[0].start
	} else if !claimed {
		edge = h.fin
	}
	if h.has(hasFIN) && edge.after(h.fin) {
		edge = h.fin
	}
	if h.held != nil && claimed {
		edge = h.held.believed(edge, h.next, h.acked)
	}
	if n := int64(edge.sub(h.next)); n > 0 {
		if h.passes(edge) {
			n-- // not of the stream
		}
		if h.advance(edge); n > 0 {
			t.lose(c, dir, at, n)
		}
	}
	t.trust(c, dir, at)
	t.drain(c, dir, at)
	t.checkFIN(c, dir, at)
}
