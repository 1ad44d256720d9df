package httpreassembly

import "stallwatch/capture"

// corrupt reports whether the kernel drops s for its checksum. An attacker
// sends such decoys to make a monitor see what the server does not.
func (t *Tracker) corrupt(c *conn, dir capture.Dir, s *capture.Segment) bool {
	sum := s.Sum()
	if sum != capture.Bad && !(sum == capture.Offloaded && c.unfinished(dir)) {
		return false
	}
	t.corruption(c, dir, s)
	return true
}

func (t *Tracker) corruption(c *conn, dir capture.Dir, s *capture.Segment) {
	t.stats.BadChecksum++
	c.history.note(dir, 'c')
	t.oddity(c, s.At, dir, BadTCPChecksum, "")
}

// unfinished reports whether a bare sum of the pseudo header in dir is an
// unlikely one: the client's SYN had a whole checksum, so that its host, or
// the wire between, leaves none to a network card here.
func (c *conn) unfinished(dir capture.Dir) bool { return dir == capture.ToServer && c.has(summed) }

// treatment is what the kernel does with a segment.
type treatment uint8

const (
	accepted treatment = iota
	doubted            // most likely dropped, by the look of it; the server's acknowledgement tells
	refused
)

// judge says whether the kernel would look at s at all. The checksum of an
// answer that is simply next is not verified: only the server's own host could
// forge it, and it is most of the bytes.
func (t *Tracker) judge(c *conn, dir capture.Dir, s *capture.Segment) treatment {
	h, peer := &c.half[dir], &c.half[dir.Reverse()]
	next := seq(s.Seq) == h.next && h.held == nil
	bare := false
	if s.Len() > 0 && (dir == capture.ToServer || !next) || seq(s.Ack).after(peer.next) {
		switch s.Sum() {
		case capture.Bad:
			t.corruption(c, dir, s)
			return refused
		case capture.Offloaded:
			bare = c.unfinished(dir)
		}
	}
	if dir == capture.ToServer && s.HasTS && !c.has(unstamped) && h.stale(s) {
		t.oddity(c, s.At, dir, StaleTimestamp, "")
		return refused
	}
	if !next && !h.inWindow(s, c.has(heardOf(dir.Reverse()))) {
		t.stats.Unacceptable++
		return refused
	}
	if dir == capture.ToServer && (s.Len() > 0 || s.Flags.Has(capture.FIN)) && (bare || c.doubtful(s)) {
		return doubted
	}
	return accepted
}

// doubtful reports whether a client's payload or FIN is one that Linux drops,
// if the capture has not missed something: for a signature that nobody asked
// for (tcp_inbound_md5_hash), an IP header that hosts may drop (ip_rcv_options,
// ip_rcv_core), an acknowledgement of what was never sent or of what is too old
// (RFC 5961 section 5.2, tcp_ack), or for bytes beyond the window
// (tcp_sequence). Where nothing of the server was captured nobody could say
// otherwise, and all is believed.
func (c *conn) doubtful(s *capture.Segment) bool {
	h, peer := &c.half[capture.ToServer], &c.half[capture.ToClient]
	if !c.has(heardServer) {
		return false
	}
	ack, end := seq(s.Ack), seq(s.Seq)+seq(s.Len())
	return s.Signed || s.Strange || ack.after(peer.next) || h.has(announced) && end.after(h.edge) ||
		int64(peer.acked.sub(ack)) > min(int64(peer.window), c.bytes[capture.ToClient])
}

// doubt handles a doubted segment. A FIN on it is not taken: if the server
// acknowledges it, that tells. Its acknowledgement may be true, and is
// contradicted by the server if it is not.
func (t *Tracker) doubt(c *conn, dir capture.Dir, s *capture.Segment) {
	if seq(s.Ack).after(c.half[dir.Reverse()].next) {
		if t.acknowledge(c, dir, s); !c.has(used) {
			return
		}
	}
	if s.Len() == 0 {
		t.stats.Unacceptable++
		return
	}
	t.suspect(c, dir, s)
}

// stale applies PAWS (RFC 7323 section 5.3, tcp_paws_check in
// include/net/tcp.h), and otherwise takes s's timestamp over as Linux does:
// from segments that begin at or below what was acknowledged last. A stale
// segment that brings nothing new is a plain duplicate and not judged.
func (h *half) stale(s *capture.Segment) bool {
	if h.older(s, pawsWindow) {
		end := seq(s.Seq) + seq(s.Len())
		return end.after(h.next) || s.Flags.Has(capture.FIN) && end == h.next && !h.has(finDone)
	}
	if !seq(s.Seq).after(h.acked) && (!h.has(hasTS) || int32(s.TSVal-h.tsRecent) > 0) {
		h.tsRecent = s.TSVal
		h.flags |= hasTS
	}
	return false
}

// older reports whether s's timestamp is more than window ticks before the
// latest. To Linux one of zero is none.
func (h *half) older(s *capture.Segment, window int32) bool {
	return h.has(hasTS) && h.tsRecent != 0 && int32(s.TSVal-h.tsRecent) < -window
}

// pawsWindow is TCP_PAWS_WINDOW of include/net/tcp.h, in ticks of the sender.
const pawsWindow = 1

// inWindow reports whether s begins where its receiver can take it
// (tcp_sequence in net/ipv4/tcp_input.c). Old segments pass: their
// acknowledgement counts. The window is doubled, since the capture may have
// missed the packet that opened it; where no packet of the receiver was
// captured at all, every window is possible.
func (h *half) inWindow(s *capture.Segment, receiverSeen bool) bool {
	edge, window := h.acked, int64(maxJump)
	if edge.before(h.next) {
		edge = h.next
	}
	if receiverSeen {
		window = 2*int64(h.window) + slackWindow
	}
	return int64(seq(s.Seq).sub(edge)) <= window && seq(s.Seq).sub(h.next) <= maxJump
}

// slackWindow is what may be in flight before any window was seen.
const slackWindow = 1 << 16

// resets reports whether an RST with sequence number q, sent in h's
// direction, is one that the receiver's kernel obeys (RFC 5961 section 3.2,
// tcp_validate_incoming): exactly at its next byte. That is somewhere from
// what it acknowledged last to the end of what is contiguous here; where the
// receiver tells of bytes beyond a hole (SACK), their end and, after a FIN,
// the FIN itself count as well.
func (h *half) resets(q seq, sacks bool) bool {
	low, high := h.acked, h.next
	if high.before(low) {
		low, high = high, low
	}
	if !q.before(low) && !q.after(high) {
		return true
	}
	if sacks && h.beyond() && q == h.held.pieces[len(h.held.pieces)-1].end() {
		return true
	}
	return h.has(finDone) && q == h.fin
}
