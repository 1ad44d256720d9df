package httpreassembly

import (
	"time"

	"stallwatch/capture"
)

// The events of this file say what the two kernels do about bytes, so that a
// call that hangs can be blamed on the one who hangs. They come when
// something changes: a connection that is well sends none but Established.

// smallWindow is the window below which a receiver has no room: a kernel
// holds back smaller ones (RFC 9293 3.8.6.2.2), and no segment is smaller
// than 536 bytes for lack of room in the network.
const smallWindow = 512

// choke notes that the receiver of dir has no room any more, or has again.
func (t *Tracker) choke(c *conn, dir capture.Dir, at capture.Time) {
	h := &c.half[dir]
	h.flags ^= choked
	k := WindowOpened
	if h.has(choked) {
		k = WindowClosed
	}
	e := t.event(&c.ident, at, k)
	e.Dir, e.Bytes = dir, c.bytes[dir]
}

// resend notes that bytes of dir up to end came again.
func (t *Tracker) resend(c *conn, dir capture.Dir, at capture.Time, end seq) {
	h := &c.half[dir]
	if h.has(resent) || !end.after(h.acked) {
		return // the other end has them: an acknowledgement was lost, or late
	}
	h.flags |= resent
	e := t.event(&c.ident, at, Retransmitting)
	e.Dir = dir
}

// content reports whether a stream in state s is inside the content of a
// message.
func (s state) content() bool { return s >= inBody && s <= inTrailers }

// headSeen notes that the head of the request being received is whole, and
// its content is not.
func (m *messages) headSeen(f *feed) {
	if m.cur.has(headTold) {
		return
	}
	m.cur.flags |= headTold
	f.sh.event(f.id, f.at, HeadSeen)
}

// progressEvery separates two RequestProgress of a request, and two
// ResponseProgress of an answer.
const progressEvery = time.Second

// uploads notes that the content of the request x goes on.
func (m *messages) uploads(f *feed, x *call) {
	if f.at.Sub(max(x.told, x.RequestStart)) < progressEvery {
		return
	}
	x.told = f.at
	e := f.sh.event(f.id, f.at, RequestProgress)
	e.Dir, e.Bytes, e.Exchange = capture.ToServer, x.RequestBytes, &x.Exchange
}

// progress notes that the answer to x goes on.
func (m *messages) progress(f *feed, x *call) {
	if f.at.Sub(max(x.told, x.ResponseStart)) < progressEvery {
		return
	}
	x.told = f.at
	e := f.sh.event(f.id, f.at, ResponseProgress)
	e.Dir, e.Bytes = capture.ToClient, x.ResponseBytes
}

// perimeter looks at a segment of a port that is not watched. Both facts stand
// in one segment, so nothing is kept: a kernel answers a SYN that nobody
// listens for with RST, ACK and the sequence number 0 (RFC 9293 3.10.7.1).
func (t *Tracker) perimeter(s *capture.Segment) {
	const mask = capture.SYN | capture.RST | capture.ACK | capture.FIN
	e := Event{At: s.At, Slot: -1, Conn: ConnID(s.At)}
	switch s.Flags & mask {
	case capture.SYN:
		e.Kind, e.Flow = Knocked, flowOf(s, capture.ToServer)
	case capture.RST | capture.ACK:
		if s.Seq != 0 {
			return
		}
		e.Kind, e.Flow = PortRefused, flowOf(s, capture.ToClient)
	default:
		return
	}
	if s.Sum() != capture.Bad {
		t.emit(e)
	}
}
