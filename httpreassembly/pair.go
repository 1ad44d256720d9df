package httpreassembly

import (
	"time"

	"stallwatch/capture"
)

// begin makes the exchange of a request whose first byte came at start. It
// returns false if there is no room for it.
func (m *messages) begin(f *feed, start capture.Time) bool {
	if m.n > 0 && (!f.sh.missed || m.last.heard == f.sh.heard) {
		m.flags |= pipelined // else it has heard what the capture missed, and that is most likely its answer
	}
	x := f.sh.take()
	if x == nil {
		m.loseRequests(f)
		return false
	}
	m.depth++
	x.Conn, x.Flow = f.id.conn, f.id.flow
	x.Depth, x.RequestStart, x.heard = int(m.depth), start, f.sh.heard
	if m.rare != nil {
		x.Peer = m.rare.peer
	}
	if m.has(doubt) {
		x.flags |= isDoubtful
	}
	m.cur = x
	f.emit(RequestStarted, x)
	return true
}

// requestDone is reached with the last byte of a request.
func (m *messages) requestDone(f *feed) {
	x := m.cur
	if x == nil {
		return
	}
	m.cur = nil
	x.RequestEnd = f.at
	f.sh.stats.Requests++
	f.sh.pool.spend(x)
	f.emit(RequestSeen, x)
	f.sh.out[len(f.sh.out)-1].Early = x.has(hasResponse)
	switch {
	case x.has(whole):
		m.finish(f, x, Answered)
	case x.has(hasResponse): // its answer goes on
	case int(m.n) >= f.sh.opts.MaxPipeline:
		m.oddity(f, PipelineTooDeep, "")
		m.finish(f, x, Lost)
		m.flags |= doubt | pipelined
		m.side[capture.ToServer].discard(f.sh, opaque)
	default:
		m.push(f, x)
		if x.has(isConnect) {
			m.side[capture.ToServer].state = waiting
		}
	}
}

func (m *messages) push(f *feed, x *call) {
	if m.last == nil {
		m.first = x
	} else {
		m.last.next = x
	}
	m.last = x
	m.n++
	f.sh.stats.InFlight++
}

func (m *messages) pop(f *feed) *call {
	x := m.first
	m.first, x.next = x.next, nil
	if m.first == nil {
		m.last = nil
	}
	m.n--
	f.sh.stats.InFlight--
	return x
}

// drop ends every request that is owed with o.
func (m *messages) drop(f *feed, o Outcome) {
	for m.n > 0 {
		m.finish(f, m.pop(f), o)
	}
}

// finish ends x.
func (m *messages) finish(f *feed, x *call, o Outcome) {
	x.Outcome = o
	f.emit(ExchangeDone, x)
	f.sh.pool.retire(x)
}

// sealed ends a request that cannot be read: it is owed an answer as it is.
func (m *messages) sealed(f *feed) {
	s := &m.side[capture.ToServer]
	s.discard(f.sh, opaque)
	m.requestDone(f)
	s.state = opaque
}

// failRequest is reached when a request cannot be read for certain.
func (m *messages) failRequest(f *feed, o Oddity, detail string) {
	m.oddity(f, o, detail)
	m.sealed(f)
}

// unread times bytes of the client that are not parsed.
func (m *messages) unread(f *feed, b []byte) int {
	if m.n == 0 && m.cur == nil && m.resp == nil && m.begin(f, f.at) {
		m.sealed(f)
	}
	return len(b)
}

// pairs returns the request that the final answer which begins now belongs
// to; nil if that is not certain or there is none.
func (m *messages) pairs(f *feed) *call {
	f.sh.stats.Responses++
	switch x := m.first; {
	case x != nil && !x.has(isDoubtful):
		return m.pop(f)
	case x != nil && m.n == 1 && !m.has(pipelined):
		m.flags &^= doubt
		if m.cur != nil {
			m.cur.flags &^= isDoubtful
		}
		return m.pop(f)
	case x != nil:
		m.drop(f, Lost)
	case m.cur != nil && !m.cur.has(hasResponse|isDoubtful):
		m.oddity(f, EarlyResponse, "")
		return m.cur
	case !m.has(doubt) && m.side[capture.ToServer].state != opaque:
		m.oddity(f, UnaskedResponse, "")
	}
	f.sh.stats.UnpairedResponses++
	return nil
}

// answerDone is reached with the last byte of a final answer.
func (m *messages) answerDone(f *feed) {
	x := m.resp
	m.resp = nil
	if x == nil {
		return
	}
	x.ResponseEnd = f.at
	if x == m.cur {
		x.flags |= whole
		return
	}
	m.finish(f, x, Answered)
}

// loseRequests is reached when requests may have gone by unseen. Those owed
// are older, so the next answers are theirs.
func (m *messages) loseRequests(f *feed) {
	m.leave(f, Lost)
	m.flags |= doubt | begun
	m.side[capture.ToServer].discard(f.sh, lost)
}

// loseAnswers is reached when answers may have gone by unseen, whole or in
// part: none of those owed can be told any more.
func (m *messages) loseAnswers(f *feed) { m.loseAnswersOf(f, func(*call) bool { return true }) }

// loseAnswersOf is that for the requests that which names, the oldest ones.
func (m *messages) loseAnswersOf(f *feed, which func(*call) bool) {
	m.side[capture.ToClient].discard(f.sh, lost)
	m.flags |= doubt
	if x := m.resp; x != nil {
		m.resp = nil
		if x == m.cur {
			m.cur = nil
			if m.side[capture.ToServer].state != opaque {
				m.side[capture.ToServer].discard(f.sh, lost)
			}
		}
		m.finish(f, x, Lost)
	}
	for m.n > 0 && which(m.first) {
		m.finish(f, m.pop(f), Lost)
	}
	if m.cur != nil && which(m.cur) {
		m.cur.flags |= isDoubtful
	}
	m.unwait(f)
}

// leave ends the request being received, which will never be whole, with o.
// One whose answer is in progress is ended by that.
func (m *messages) leave(f *feed, o Outcome) {
	x := m.cur
	m.cur = nil
	switch {
	case x == nil || x == m.resp:
	case x.has(whole):
		m.finish(f, x, Answered)
	default:
		m.finish(f, x, o)
	}
}

// unwait goes on after a CONNECT that did not hand off.
func (m *messages) unwait(f *feed) {
	s := &m.side[capture.ToServer]
	if s.state != waiting {
		return
	}
	s.state = atStart
	if m.has(skipped) {
		m.loseRequests(f)
	}
}

// upgrade hands the connection off to another protocol: no request that
// follows is HTTP, so none can stall.
func (m *messages) upgrade(f *feed) {
	m.proto = ProtoUpgraded
	x := m.resp
	m.resp = nil
	if x != nil {
		x.ResponseEnd = f.at
		if x == m.cur {
			m.cur = nil
		}
		m.finish(f, x, Answered)
	}
	m.stop(f, Lost)
}

// stop ends everything with o and reads no more of either direction.
func (m *messages) stop(f *feed, o Outcome) {
	if m.h2 != nil {
		m.stopH2(f, o)
	}
	if x := m.resp; x != nil {
		m.resp = nil
		if x == m.cur {
			m.cur = nil
		}
		m.finish(f, x, o)
	}
	m.drop(f, o)
	m.leave(f, o)
	m.side[0].discard(f.sh, blind)
	m.side[1].discard(f.sh, blind)
}

// end is told that the FIN of dir was reached, in order. The sender of the FIN
// has not acknowledged the last unheard bytes of the other direction.
func (m *messages) end(sh *shared, id *ident, dir capture.Dir, at capture.Time, unheard int64) {
	f := feed{sh, id, at, dir}
	if dir == capture.ToServer {
		if m.h2 != nil {
			m.clientLeftH2(&f, true)
		}
		m.leave(&f, ClientGone)
		m.flags |= clientLeft
		if m.side[dir].state != waiting {
			m.side[dir].discard(sh, blind)
		}
		return
	}
	if s := &m.side[dir]; s.state == untilClose {
		m.messageDone(&f, s)
	}
	idle := !m.busy() && m.proto == ProtoHTTP1 && m.side[capture.ToServer].state == atStart
	m.stop(&f, m.ending(&f, ServerClosed, unheard))
	if idle {
		m.flags |= expired
	}
}

// outcome is o, or ClientGone if the client had left before: then the server
// only cleared up.
func (m *messages) outcome(o Outcome) Outcome {
	if m.has(clientLeft) {
		return ClientGone
	}
	return o
}

// atOnce is how soon after a request the RST comes of a server that closes
// without having read it: its timer for idle connections ran out, or the last
// request that it grants a connection was answered, while this one came.
const atOnce = 200 * time.Millisecond

// ending is how what is owed ends when the server closes: o, or Unread for a
// lone request on a kept connection. Linux answers with a RST what comes after
// the close, and closes with a RST when bytes are unread (net/ipv4/tcp.c,
// tcp_close), whereas a process that dies of a request has read it.
func (m *messages) ending(f *feed, o Outcome, unheard int64) Outcome {
	if m.n != 1 || m.resp != nil || m.h2 != nil || m.proto != ProtoHTTP1 || m.first.Depth == 1 || m.has(clientLeft) {
		return m.outcome(o)
	}
	x := m.first
	if o == ServerReset && f.at.Sub(x.RequestStart) > atOnce || o == ServerClosed && unheard < max(x.RequestBytes, 1) {
		return o
	}
	asked := *f
	asked.dir = capture.ToServer
	m.oddity(&asked, RequestUnread, "")
	return Unread
}

// late notes what a client sends when the server has closed a kept connection:
// the client has not noticed yet.
func (m *messages) late(f *feed) {
	if f.dir == capture.ToServer && m.has(expired) {
		m.flags &^= expired
		m.oddity(f, RequestUnread, "after the server's FIN")
	}
}

// reset is told of an acceptable RST. What is owed stays owed if the client
// sent it: the process does not notice.
func (m *messages) reset(sh *shared, id *ident, by Side, at capture.Time) {
	f := feed{sh, id, at, capture.ToServer}
	if by == Server {
		f.dir = capture.ToClient
		m.stop(&f, m.ending(&f, ServerReset, 0))
		return
	}
	m.flags |= clientLeft
	if m.h2 != nil {
		m.clientLeftH2(&f, false)
	}
	if x := m.resp; x != nil {
		m.resp = nil
		if x == m.cur {
			m.cur = nil
		}
		m.finish(&f, x, ClientGone)
	}
	m.leave(&f, ClientGone)
	m.side[0].discard(sh, blind)
	m.side[1].discard(sh, blind)
}

// abandon is told that the tracker forgets the connection. At the capture's
// end a request that is owed gets no ExchangeDone, since it is pending; its
// state is freed all the same.
func (m *messages) abandon(sh *shared, id *ident, at capture.Time, how How, due bool) {
	f := feed{sh, id, at, capture.ToServer}
	from := len(sh.out)
	if how == ByCaptureEnd && m.h2 != nil {
		m.pendingH2(&f)
	}
	if how == ByCaptureEnd {
		for m.n > 0 {
			sh.pool.retire(m.pop(&f))
		}
	}
	o := Cut
	if how == ByPause {
		o = Lost
	} else if how == ByReuse || m.has(clientLeft) && how != ByCaptureEnd && how != ByEviction {
		o = ClientGone
	}
	m.stop(&f, o)
	for i := from; due && i < len(sh.out); i++ {
		sh.out[i].Due = true
	}
}
