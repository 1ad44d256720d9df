package httpreassembly

import (
	"time"

	"stallwatch/capture"
)

// minRetransmit separates a repeated SYN or SYN-ACK from the same packet
// captured twice: Linux repeats neither before TCP_RTO_MIN, 200 ms
// (include/net/tcp.h).
const minRetransmit = 200 * time.Millisecond

// maxScale is RFC 7323's largest window shift (section 2.3), assumed where
// the handshake was not captured.
const maxScale = 14

// firstSyn begins a connection.
func (t *Tracker) firstSyn(h uint32, s *capture.Segment) {
	if s.Sum() == capture.Bad {
		t.stats.BadChecksum++
		return
	}
	if s.Signed || s.Strange { // most likely dropped in silence, which must not look like a full queue; if the server answers, that counts
		t.stats.Unacceptable++
		return
	}
	c := t.add(h, capture.ToServer, s, StateSyn)
	if c == nil {
		return
	}
	c.begin(s)
	t.classify(c, halfOpen)
	t.synPayload(c, s)
	t.arm(c)
}

// begin takes the numbers of the client's SYN.
func (c *conn) begin(s *capture.Segment) {
	c.isn = seq(s.Seq)
	c.flags |= hasISN
	c.half[capture.ToServer].start(c.isn + 1)
	c.half[capture.ToServer].option(s)
	c.half[capture.ToServer].stamp(s)
	if s.Sum() == capture.Good {
		c.flags |= summed
	}
	if c.flags &^= sack; s.HasSACK {
		c.flags |= sack
	}
	c.history.note(capture.ToServer, 's')
}

// synPayload notes payload in a SYN: without Fast Open the server does not
// take it, and the client sends it again (RFC 9293 3.10.7.2).
func (t *Tracker) synPayload(c *conn, s *capture.Segment) {
	if s.Len() > 0 {
		t.oddity(c, s.At, capture.ToServer, DataInSyn, "")
	}
}

// firstSynAck begins a connection whose SYN was not captured.
func (t *Tracker) firstSynAck(h uint32, dir capture.Dir, s *capture.Segment) {
	if dir == capture.ToServer { // from the client: somebody reflects off us
		t.stats.Orphans++
		return
	}
	if s.Sum() == capture.Bad {
		t.stats.BadChecksum++
		return
	}
	c := t.add(h, dir, s, StateSyn)
	if c == nil {
		return
	}
	c.isn = seq(s.Ack) - 1
	c.flags |= hasISN
	c.half[capture.ToServer].start(seq(s.Ack))
	c.half[capture.ToServer].scale = maxScale
	t.classify(c, halfOpen)
	t.synAck(c, dir, s)
	t.arm(c)
}

// syn handles a SYN on the ports of a connection that is there.
func (t *Tracker) syn(c *conn, dir capture.Dir, s *capture.Segment) {
	if dir == capture.ToClient {
		t.oddity(c, s.At, dir, SynInConnection, "from the server's end")
		return
	}
	same, late := c.has(hasISN) && seq(s.Seq) == c.isn, s.At.Sub(c.mark) >= minRetransmit
	if same && c.state == StateSyn && !c.has(summed) {
		c.begin(s) // the first one may have been a decoy, with other options
	}
	switch {
	case s.Flags.Has(capture.FIN) || s.Signed:
		t.stats.Unacceptable++
	case c.state == StateSyn && !same && late: // the client has begun anew
		h := c.hash
		t.free(c, s.At, ByReuse)
		t.firstSyn(h, s)
	case c.state == StateSyn && late:
		t.unanswered(c, s.At)
	case same:
		t.stats.Retransmitted++
	default:
		// The kernel may answer with a challenge ACK (the old connection, or
		// handshake, lives) or, when it holds none, with a SYN-ACK: see synAck.
		c.flags |= contested
		t.reuses[c.ref] = reuse{seq(s.Seq), s.At}
		t.oddity(c, s.At, dir, SynInConnection, "")
	}
}

// unanswered reports that c's SYN got no reaction, or that its handshake
// starts over: the accept queue is full. Once a connection.
func (t *Tracker) unanswered(c *conn, at capture.Time) {
	if c.has(synReported) {
		return
	}
	c.flags |= synReported
	t.event(&c.ident, at, SynUnanswered)
}

// synAck handles the server's answer to a SYN.
func (t *Tracker) synAck(c *conn, dir capture.Dir, s *capture.Segment) {
	switch {
	case dir == capture.ToServer:
		t.oddity(c, s.At, dir, SynInConnection, "")
	case c.has(contested) && seq(s.Ack) == t.reuses[c.ref].isn+1:
		t.reused(c, s, t.reuses[c.ref])
	case c.state > StateHandshake && seq(s.Seq)+1 != c.half[capture.ToClient].next && (!c.has(hasISN) || seq(s.Ack) != c.isn+1):
		// Another connection on these ports, whose SYN was not captured.
		t.reused(c, s, reuse{seq(s.Ack) - 1, s.At})
	case c.state != StateSyn && (!c.has(hasISN) || seq(s.Ack) != c.isn+1):
		t.stats.Unacceptable++
	case c.state == StateSyn:
		if seq(s.Ack) != c.isn+1 { // of several SYNs the server took another than the first or the last
			c.isn = seq(s.Ack) - 1
			c.half[capture.ToServer] = half{scale: maxScale}
			c.half[capture.ToServer].start(seq(s.Ack))
		}
		h := &c.half[capture.ToClient]
		h.start(seq(s.Seq) + 1)
		h.option(s)
		if h.stamp(s); !s.HasTS {
			c.flags |= unstamped
		}
		if !s.HasWScale && c.half[capture.ToServer].scale != maxScale {
			c.half[capture.ToServer].scale = 0 // both must offer it (RFC 7323 section 2.2)
		}
		if !s.HasSACK {
			c.flags &^= sack
		}
		c.half[capture.ToServer].announce(seq(s.Ack) + seq(s.Window)) // without the shift (section 2.2 as well)
		c.mark = s.At
		c.history.note(dir, 'h')
		t.open(c, s.At, StateHandshake, false)
	case c.state == StateHandshake:
		t.stats.Retransmitted++
		c.mark = s.At
		c.half[capture.ToClient].stamp(s)
	case c.state == StateOpen && !c.has(confirmed) && s.At.Sub(c.mark) >= minRetransmit:
		// The server repeats itself although the client has acknowledged:
		// its accept queue had no room and the kernel dropped that ACK.
		c.mark = s.At
		c.half[capture.ToClient].stamp(s)
		t.setState(c, StateHandshake)
		t.classify(c, halfOpen)
		t.unanswered(c, s.At)
		t.arm(c)
	default:
		t.stats.Retransmitted++
	}
}

// reuse is a SYN on the ports of a connection: it begins another one if the
// server agrees.
type reuse struct {
	isn seq
	at  capture.Time
}

// reused ends c, whose ports the server has given to a new connection, and
// begins that one by r. Its ID is the time of its SYN.
func (t *Tracker) reused(c *conn, s *capture.Segment, r reuse) {
	h, flow := c.hash, c.flow
	t.endReset(c, s.At, Client, ByReuse)
	if c.has(used) && !c.has(detached) {
		t.detach(c)
	}
	n := t.add(h, capture.ToClient, s, StateSyn)
	if n == nil {
		return
	}
	n.conn, n.flow, n.isn = ConnID(r.at), flow, r.isn
	n.flags |= hasISN
	n.flags |= heardClient
	n.half[capture.ToServer].start(r.isn + 1)
	n.half[capture.ToServer].scale = maxScale
	n.history.note(capture.ToServer, 's')
	t.classify(n, halfOpen)
	t.synAck(n, capture.ToClient, s)
	t.arm(n)
}

// complete handles a segment without SYN of a connection whose handshake is
// not done; true means that it is now.
func (t *Tracker) complete(c *conn, dir capture.Dir, s *capture.Segment) bool {
	switch {
	case c.state == StateHandshake && dir == capture.ToServer && !t.completes(c, s):
		return false
	case c.state == StateHandshake && dir == capture.ToClient && s.Len() == 0 && !s.Flags.Has(capture.FIN) && seq(s.Ack) == c.isn+1:
		// A challenge: it answers a segment that the handshake has no use for.
		t.stats.Unacceptable++
		return false
	case c.state == StateHandshake:
	case s.Len() == 0:
		// A bare ACK after a SYN without an answer: a challenge from a
		// connection older than the capture, or a client's lie.
		t.stats.Orphans++
		return false
	default: // the SYN-ACK was not captured; payload proves that it was sent
		c.half[capture.ToClient].start(seq(s.Ack))
		if dir == capture.ToClient {
			c.half[dir].start(seq(s.Seq))
		}
		c.half[0].scale, c.half[1].scale = maxScale, maxScale
		t.open(c, s.At, StateOpen, true)
	}
	t.established(c)
	return true
}

// completes reports whether the kernel takes the client's s as the end of the
// handshake (tcp_check_req in net/ipv4/tcp_minisocks.c). A decoy that it drops
// would be a first call to us.
func (t *Tracker) completes(c *conn, s *capture.Segment) bool {
	h, peer := &c.half[capture.ToServer], &c.half[capture.ToClient]
	switch sum := s.Sum(); {
	case seq(s.Ack) != peer.next:
		// It acknowledges something else, and the kernel answers with RST; or
		// the server spoke first and that was not captured: then its next
		// segment says so.
		t.stats.Unacceptable++
	case sum == capture.Bad:
		t.corruption(c, capture.ToServer, s)
	case s.HasTS && !c.has(unstamped) && h.older(s, 0):
		t.oddity(c, s.At, capture.ToServer, StaleTimestamp, "")
	case sum == capture.Offloaded && c.unfinished(capture.ToServer), s.Signed || s.Strange,
		s.HasTS && s.TSEcr != 0 && peer.has(hasTS) && s.TSEcr != peer.tsRecent: // an echo of what was not sent: since Linux 6.15
		t.doubt(c, capture.ToServer, s)
	default:
		return true
	}
	return false
}

// stamp takes the timestamp of a SYN or SYN-ACK.
func (h *half) stamp(s *capture.Segment) {
	if h.flags &^= hasTS; s.HasTS {
		h.tsRecent = s.TSVal
		h.flags |= hasTS
	}
}
