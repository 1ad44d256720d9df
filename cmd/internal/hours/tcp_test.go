package hours

import (
	"time"

	"stallwatch/capture"
)

const (
	up, down = capture.ToServer, capture.ToClient

	segment = 1448  // bytes; of a client's segment
	flight  = 43440 // bytes; what a server sends a round trip, as one frame (GSO)
	fullWin = 65535
)

// conn is a TCP connection between a client and the node, as a capture on the
// node sees it: what clients send appears when it arrives, what the node sends
// when it leaves.
type conn struct {
	w        *world
	n        *node
	cli, srv capture.Endpoint
	rtt      time.Duration
	lossUp   float64 // share of the client's segments that come late, after others
	lossDown float64 // share of the node's flights that are sent twice

	next [2]uint32 // sequence number to send next
	got  [2]uint32 // next one that the other side expects
	held map[uint32]uint32
	upAt time.Duration // when the client's last segment arrives

	established, kernel bool // there is a socket on the node's side
	finUp               bool // the client's FIN arrived
	finSeq              uint32
	sentFin             bool // the client sent it
	closedCli           bool // the client's socket is gone: it answers with RST
	vanished            bool // the client answers nothing at all
	finDown             bool
	window              uint16
	takes               int // bytes a second that the client reads; 0: all
	unread              int

	// What the node's process knows.
	accepted bool
	hasFD    bool
	requests []*request // sent by the client, not answered
	busy     *request   // of requests[0], in the process
	out      []byte     // answer bytes that are not sent yet
	sending  bool       // a flight is on its way
	closing  bool       // FIN after out
	idleGen  int
	h2       bool
	stream   bool // upgraded: no more requests
	leaked   bool // its client left, and the process forgot it

	tries  int
	onUp   func(ok bool) // handshake done, or failed
	onEnd  func()        // the node closed or reset
	open   int           // streams of HTTP/2 in the process
	nextID uint32
}

// request is one call.
type request struct {
	c        *conn
	cmd      *command
	from, to uint32 // sequence numbers of its bytes
	whole    bool
	reply    func()        // its answer is at the client
	until    time.Duration // it does not end before
	queued   time.Duration
	id       uint32 // HTTP/2 stream
	answered bool
	done     bool // the process is done with it
	size     int  // of the answer
	worker   bool // it has one
	honest   bool
	sent     time.Duration
}

func (c *conn) emit(d capture.Dir, f capture.Flags, seq uint32, payload []byte) {
	src, dst, win := c.cli, c.srv, uint16(fullWin)
	if d == down {
		src, dst = dst, src
	} else {
		win = c.window
	}
	ack := uint32(0)
	if f.Has(capture.ACK) {
		ack = c.got[1-d]
	}
	c.w.emit(src, dst, f, seq, ack, win, payload)
}

// dial begins the handshake.
func (c *conn) dial() {
	c.w.in(c.rtt/2, c.syn)
}

func (c *conn) syn() {
	isn := c.next[up]
	c.w.emit(c.cli, c.srv, capture.SYN, isn, 0, fullWin, nil)
	switch c.n.knock() {
	case refused:
		c.got[up] = isn + 1
		c.w.emit(c.srv, c.cli, capture.RST|capture.ACK, 0, isn+1, 0, nil)
		c.w.in(c.rtt/2, func() { c.result(false) })
		return
	case dropped:
		if c.tries++; c.tries > 4 {
			c.result(false)
			return
		}
		c.w.in(second<<(c.tries-1), c.syn)
		return
	}
	c.next[up]++
	c.got[up] = c.next[up]
	c.emit(down, capture.SYN|capture.ACK, c.next[down], nil)
	c.next[down]++
	c.got[down] = c.next[down]
	c.kernel = true
	c.n.sockets[c] = true
	if c.vanished {
		return
	}
	c.w.in(c.rtt, func() {
		if !c.kernel {
			return
		}
		c.emit(up, capture.ACK, c.next[up], nil)
		c.established = true
		c.upAt = c.w.now
		c.n.arrived(c)
		c.w.in(-1, func() { c.result(true) })
	})
}

func (c *conn) result(ok bool) {
	if f := c.onUp; f != nil {
		c.onUp = nil
		f(ok)
	}
}

// send gives bytes to the client's socket; each of the pieces is a segment.
func (c *conn) send(b []byte) (from, to uint32) {
	from = c.next[up]
	for len(b) > 0 {
		n := min(len(b), segment)
		c.sendSegment(b[:n], 0)
		b = b[n:]
	}
	return from, c.next[up]
}

func (c *conn) sendSegment(b []byte, f capture.Flags) {
	seq := c.next[up]
	c.next[up] += uint32(len(b))
	if f.Has(capture.FIN) {
		c.finSeq = c.next[up]
		c.next[up]++
	}
	at := max(c.w.now+c.rtt/2, c.upAt+20*time.Microsecond)
	if c.w.chance(c.lossUp) {
		at += 200*time.Millisecond + c.rtt // sent again; what follows overtakes it
	} else {
		c.upAt = at
	}
	c.w.in(at-c.w.now, func() { c.comes(seq, b, f|capture.ACK) })
}

// comes is a segment of the client at the node.
func (c *conn) comes(seq uint32, b []byte, f capture.Flags) {
	if c.vanished && !c.established {
		return
	}
	c.emit(up, f|capture.PSH, seq, b)
	if !c.kernel {
		if !f.Has(capture.RST) {
			c.w.emit(c.srv, c.cli, capture.RST, c.next[down], 0, 0, nil)
			c.w.in(c.rtt/2, c.ended)
		}
		return
	}
	if c.accepted && !c.hasFD && len(b) > 0 { // the process closed it
		c.w.emit(c.srv, c.cli, capture.RST, c.next[down], 0, 0, nil)
		c.gone()
		c.w.in(c.rtt/2, c.ended)
		return
	}
	size := uint32(len(b))
	if f.Has(capture.FIN) {
		size++
	}
	if seq == c.got[up] {
		c.got[up] += size
		for n, ok := c.held[c.got[up]]; ok; n, ok = c.held[c.got[up]] {
			delete(c.held, c.got[up])
			c.got[up] += n
		}
	} else if int32(seq-c.got[up]) > 0 {
		if c.held == nil {
			c.held = make(map[uint32]uint32)
		}
		c.held[seq] = size
	}
	c.emit(down, capture.ACK, c.next[down], nil)
	if c.sentFin && !c.finUp && int32(c.got[up]-c.finSeq) > 0 {
		c.finUp = true
		if c.finDown {
			c.gone()
			return
		}
	}
	c.n.readable(c)
}

// shut sends the client's FIN; closed: it will not read either.
func (c *conn) shut(closed bool) {
	if c.sentFin || !c.established || c.vanished {
		return
	}
	c.sentFin, c.closedCli = true, closed
	c.sendSegment(nil, capture.FIN)
}

// reset is the client's RST.
func (c *conn) reset() {
	if c.vanished || c.sentFin {
		return
	}
	c.closedCli, c.sentFin = true, true
	c.w.in(c.rtt/2, func() {
		if !c.kernel {
			return
		}
		c.emit(up, capture.RST|capture.ACK, c.next[up], nil)
		c.gone()
		c.n.broken(c)
	})
}

// gone forgets the socket on the node's side.
func (c *conn) gone() {
	c.kernel = false
	delete(c.n.sockets, c)
}

// write gives bytes to the node's socket.
func (c *conn) write(b []byte) {
	c.out = append(c.out, b...)
	c.pump()
}

// pump sends the next flight.
func (c *conn) pump() {
	if c.sending || !c.kernel {
		return
	}
	if len(c.out) == 0 {
		if c.closing {
			c.fin()
		}
		return
	}
	if c.window == 0 {
		return
	}
	n := min(len(c.out), flight, int(c.window))
	b := c.out[:n]
	c.emit(down, capture.ACK|capture.PSH, c.next[down], b)
	c.next[down] += uint32(n)
	c.out = c.out[n:]
	c.sending = true
	wait := c.rtt
	if c.vanished {
		return
	}
	if c.w.chance(c.lossDown) {
		again := append([]byte(nil), b...)
		seq := c.next[down] - uint32(n)
		c.w.in(200*time.Millisecond+c.rtt, func() {
			if c.kernel {
				c.emit(down, capture.ACK|capture.PSH, seq, again)
			}
		})
		wait += 200*time.Millisecond + c.rtt
	}
	c.w.in(wait, func() { c.flown(n) })
}

// flown is a flight's acknowledgement, back at the node.
func (c *conn) flown(n int) {
	c.sending = false
	if !c.kernel || c.vanished {
		return
	}
	if c.closedCli {
		c.w.emit(c.cli, c.srv, capture.RST, c.next[up], 0, 0, nil)
		c.gone()
		c.n.broken(c)
		return
	}
	c.got[down] += uint32(n)
	if c.takes > 0 {
		c.unread += n
		c.window = uint16(max(0, fullWin-c.unread))
		if c.window < segment {
			c.window = 0
			c.w.in(time.Duration(float64(c.unread)/float64(c.takes)*float64(second)), func() {
				if c.kernel {
					c.unread, c.window = 0, fullWin
					c.emit(up, capture.ACK, c.next[up], nil)
					c.pump()
				}
			})
		}
	}
	c.emit(up, capture.ACK, c.next[up], nil)
	if len(c.out) == 0 {
		c.n.drained(c)
	}
	c.pump()
}

// close is the process's close: FIN when all is sent.
func (c *conn) close() {
	if c.hasFD {
		c.hasFD = false
		c.n.freed()
	}
	c.closing = true
	c.pump()
}

func (c *conn) fin() {
	if c.finDown {
		return
	}
	c.finDown = true
	c.emit(down, capture.FIN|capture.ACK, c.next[down], nil)
	c.next[down]++
	if c.finUp {
		c.gone()
		if !c.vanished {
			c.w.in(c.rtt, func() { c.got[down] = c.next[down]; c.emit(up, capture.ACK, c.next[up], nil) })
		}
		c.w.in(c.rtt/2, c.ended)
		return
	}
	c.w.in(c.rtt, func() {
		if c.vanished || !c.kernel {
			if c.vanished {
				c.w.in(10*second, c.gone)
			}
			return
		}
		c.got[down] = c.next[down]
		if c.closedCli {
			return // its own FIN is on the way
		}
		c.emit(up, capture.ACK, c.next[up], nil)
		c.ended()
		c.w.in(c.w.between(0, 50*time.Millisecond), func() { c.shut(true) })
	})
}

func (c *conn) ended() {
	if f := c.onEnd; f != nil {
		c.onEnd = nil
		f()
	}
}
