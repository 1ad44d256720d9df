package httpreassembly

import (
	"slices"

	"stallwatch/capture"
)

// maxResets is how many unanswered streams a client may reset on one
// connection before it looks like the attack of CVE-2023-44487: a browser
// that leaves a page resets some dozens.
const maxResets = 100

// openStream begins the exchange of stream id; nil: it is none, or there is
// no room.
func (m *messages) openStream(f *feed, id uint32, began capture.Time) *call {
	h := m.h2
	if id%2 == 0 || id <= h.last {
		return nil // trailers, or nonsense
	}
	h.last = id
	if len(h.streams) >= f.sh.opts.MaxPipeline {
		m.oddity(f, PipelineTooDeep, "streams")
		f.sh.stats.Untracked++
		return nil
	}
	x := f.sh.take()
	if x == nil {
		return nil
	}
	m.depth++
	x.Conn, x.Flow = f.id.conn, f.id.flow
	x.Depth, x.StreamID, x.RequestStart = int(m.depth), id, began
	if m.rare != nil {
		x.Peer = m.rare.peer
	}
	h.streams[id] = x
	f.emit(RequestStarted, x)
	return x
}

// framed counts k bytes of a header block.
func (x *call) framed(sh *shared, dir capture.Dir, k int) {
	if x.ended(dir) {
		return
	}
	if dir == capture.ToServer {
		x.RequestBytes += int64(k)
	} else {
		sh.answer(x).ResponseBytes += int64(k) // perhaps of a block that is not the final one
	}
}

// endStream is reached with the last byte of a direction of stream id.
func (m *messages) endStream(f *feed, id uint32) {
	x := m.h2.streams[id]
	switch {
	case x == nil:
	case f.dir == capture.ToClient && x.has(hasResponse):
		x.ResponseEnd = f.at
		if x.RequestEnd == 0 {
			x.flags |= whole
			return
		}
		m.closeStream(f, x, Answered)
	case f.dir == capture.ToServer && x.RequestEnd == 0:
		m.streamRequestDone(f, x)
	}
}

// ended reports whether dir of x's stream had its END_STREAM: what follows is
// an error of the peer (RFC 9113 section 5.1, closed), and nothing of a
// message that was told may change.
func (x *call) ended(dir capture.Dir) bool {
	if dir == capture.ToServer {
		return x.RequestEnd != 0
	}
	return x.has(whole)
}

// streamRequestDone is reached with the last byte of a request.
func (m *messages) streamRequestDone(f *feed, x *call) {
	x.RequestEnd = f.at
	f.sh.stats.Requests++
	f.sh.pool.spend(x)
	f.emit(RequestSeen, x)
	switch {
	case x.has(whole):
		m.closeStream(f, x, Answered)
	case !x.has(hasResponse):
		m.owe(f, x)
	}
}

// owe counts x as owed an answer.
func (m *messages) owe(f *feed, x *call) {
	x.flags |= isOwed
	m.n++
	f.sh.stats.InFlight++
}

// settle ends that.
func (m *messages) settle(f *feed, x *call) {
	if x.has(isOwed) {
		x.flags &^= isOwed
		m.n--
		f.sh.stats.InFlight--
	}
}

// answerStream begins the final answer of stream id. Without a status, since
// its block could not be decoded, the first one counts.
func (m *messages) answerStream(f *feed, id uint32, head *h2head, began capture.Time) {
	x := m.h2.streams[id]
	if x == nil || x.has(hasResponse) || head.status >= 100 && head.status < 200 {
		return // of a stream that is over, trailers, or not final
	}
	f.sh.stats.Responses++
	m.settle(f, x)
	a := f.sh.answer(x)
	a.Status, a.ResponseStart = head.status, began
	x.flags |= hasResponse
	f.emit(ResponseSeen, x)
}

// closeStream ends the exchange x with o.
func (m *messages) closeStream(f *feed, x *call, o Outcome) {
	delete(m.h2.streams, x.StreamID)
	m.settle(f, x)
	for d := range m.h2.side {
		if b := &m.h2.side[d].block; b.call == x {
			b.call = nil
		}
	}
	m.finish(f, x, o)
}

// resetStream handles RST_STREAM. A server that has answered may say with
// NO_ERROR that it does not want the rest of the request (RFC 9113 section
// 8.1). What the node goes on computing for a stream that its client reset
// nobody sees: the stream is over for both.
func (m *messages) resetStream(f *feed, id, code uint32) {
	x := m.h2.streams[id]
	if x == nil {
		return
	}
	f.sh.stats.StreamResets++
	switch {
	case x.has(whole):
		m.closeStream(f, x, Answered)
	case f.dir == capture.ToClient:
		m.closeStream(f, x, ServerReset)
	default:
		if m.h2.resets++; m.h2.resets > maxResets && !x.has(hasResponse) {
			m.oddity(f, RapidReset, "")
		}
		m.closeStream(f, x, ClientGone)
	}
}

// goAway handles GOAWAY: the server has not taken streams beyond last and
// never will.
func (m *messages) goAway(f *feed, last uint32) {
	if f.dir == capture.ToServer {
		return // of the server's pushes
	}
	m.closeStreams(f, func(x *call) bool { return x.StreamID > last }, ServerClosed)
}

// closeStreams ends those of the exchanges that which names, oldest first.
func (m *messages) closeStreams(f *feed, which func(*call) bool, o Outcome) {
	for _, x := range m.h2.ordered(which) {
		end := o
		if x.has(whole) {
			end = Answered
		}
		m.closeStream(f, x, end)
	}
}

// ordered returns the open exchanges that which names, by stream.
func (h *h2) ordered(which func(*call) bool) []*call {
	var list []*call
	for _, x := range h.streams {
		if which(x) {
			list = append(list, x)
		}
	}
	slices.SortFunc(list, func(a, b *call) int { return int(a.StreamID) - int(b.StreamID) })
	return list
}

func allStreams(*call) bool { return true }

// stopH2 ends every stream with o and forgets the rest.
func (m *messages) stopH2(f *feed, o Outcome) {
	m.closeStreams(f, allStreams, o)
	f.sh.release(m.h2.charged)
	m.h2 = nil
}

// clientLeftH2 is told that the client's bytes have ended: what it has not
// sent whole it never will, what it is owed it stays.
func (m *messages) clientLeftH2(f *feed, answers bool) {
	m.closeStreams(f, func(x *call) bool {
		return !x.has(isOwed) && (x.RequestEnd == 0 || !answers)
	}, ClientGone)
}

// pendingH2 forgets what is owed at the capture's end: it is pending.
func (m *messages) pendingH2(f *feed) {
	for _, x := range m.h2.ordered(func(x *call) bool { return x.has(isOwed) }) {
		delete(m.h2.streams, x.StreamID)
		m.settle(f, x)
		f.sh.pool.retire(x)
	}
}

// upgradeH2 goes on in HTTP/2 behind an answer 101 with Upgrade: h2c. The
// request x that asked for it is stream 1, and owed (RFC 7540 section 3.2).
func (m *messages) upgradeH2(f *feed, x *call) {
	m.startH2(f)
	if len(f.sh.opts.Ports) > 0 {
		m.oddity(f, HTTP2Instead, "upgrade")
	}
	h := m.h2
	h.last = 1
	if x == nil {
		return
	}
	x.StreamID = 1
	h.streams[1] = x
	if x.RequestEnd != 0 {
		m.owe(f, x)
	}
}
