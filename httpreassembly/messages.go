package httpreassembly

import "stallwatch/capture"

// messages is the HTTP half of a connection. Its zero value waits for the
// first byte of a connection that was seen from its start; one that is picked
// up in its middle is told so by hole with n < 0.
//
//	           first line, fields        framing                last byte
//	atStart ──────────> inHead ──────> inBody | chunk… ──────────> atStart
//	                      │  │            │      │
//	        cannot be read│  │hole        │hole  │hole, bad chunk
//	  request: opaque <───┘  └──> lost <──┘(beyond its length)
//	  answer:  lost               a segment that begins with a certain first line ──> inHead
//
// What decides, where servers differ or a capture has holes, is what can be
// said for certain:
//
//   - A request that cannot be read is still owed an answer: it is sealed as
//     it is, and from then on the connection is opaque. Its requests are not
//     parsed any more; bytes from the client while nothing is owed count as
//     one nameless request, which the next answer settles. So no malformed
//     byte hides a call that hangs.
//   - After a hole an answer is given to a request only if it is the only one
//     owed, was begun after the hole, and the client never pipelined; or if
//     the client had acknowledged all of the hole when it asked. Otherwise it
//     is nobody's, and the requests it could belong to are Lost.
//   - Bytes that a hole hides inside a content of known length shift nothing.
type messages struct {
	side        [2]stream // by direction
	cur         *call     // the request being received
	resp        *call     // the one being answered, which may be cur
	first, last *call     // owed, oldest first
	rare        *rare
	h2          *h2    // valid iff the streams are framed
	odd         uint64 // oddities reported, as bits
	n           int32  // owed
	depth       int32
	flags       msgFlags
	proto       Protocol
	keys        [2]uint8 // of the familiar heads, by direction
	of          uint32   // the connection's place in the slab; 0: lent to none
}

// rare is what few connections have.
type rare struct {
	peer          *capture.Flow // named by a PROXY header; nil: none
	informational int           // 1xx answers since the last final one
}

type msgFlags uint16

const (
	proxyOver  msgFlags = 1 << iota // a PROXY header was read or cannot come any more
	begun                           // the client's first message is known to be HTTP
	doubt                           // answers of requests that were not seen may come
	pipelined                       // the client sent a request while one was owed
	clientLeft                      // the client's FIN or RST was seen
	bodyless                        // the last answer may have no content
	skipped                         // bytes were passed over in waiting
	expired                         // the server closed with nothing owed or begun: what comes is not read
)

func (m *messages) has(f msgFlags) bool { return m.flags&f != 0 }

// stream is one direction of the connection.
type stream struct {
	head  []byte       // a head, or first line, that is split over segments
	left  int64        // bytes of content, chunk or preamble that follow; the chunk size being read
	began capture.Time // first byte of the message in progress
	count int32        // bytes of the head, chunk line or trailers so far
	state state
	line  lineState
}

type state uint8

const (
	atStart state = iota
	inHead
	inBody      // left bytes of content
	untilClose  // content that the FIN ends
	inChunkSize // hexadecimal digits
	inChunkExt  // the rest of that line
	inChunkData // left bytes of content
	inChunkEnd  // CRLF after them
	inTrailers  // fields after the last chunk
	lost        // a segment that begins with a certain first line ends it
	opaque      // requests only: not parsed, timed only
	waiting     // requests only: behind CONNECT, until its answer
	framed      // HTTP/2
	blind       // bytes pass unread: upgraded, not HTTP, closed
)

// feed is one call of the TCP half.
type feed struct {
	sh  *shared
	id  *ident
	at  capture.Time
	dir capture.Dir
}

// bytes reads the next bytes of dir. b is not kept.
func (m *messages) bytes(sh *shared, id *ident, dir capture.Dir, at capture.Time, b []byte) {
	f := feed{sh, id, at, dir}
	if m.side[dir].state == lost {
		b = m.resync(&f, b)
	}
	m.run(&f, b)
	if dir == capture.ToServer && m.cur != nil && m.side[dir].state.content() {
		m.headSeen(&f)
	}
}

func (m *messages) run(f *feed, b []byte) {
	for len(b) > 0 {
		b = b[m.step(f, &m.side[f.dir], b):]
	}
}

// step reads some of b and returns how much. It may return 0 only when it
// changed the state.
func (m *messages) step(f *feed, s *stream, b []byte) int {
	switch s.state {
	case atStart:
		if f.dir == capture.ToClient {
			s.startHead(f.at)
			return 0
		}
		if !m.has(begun) {
			return m.open(f, s, b)
		}
		return m.startRequest(f, s, b)
	case inHead:
		return m.head(f, s, b)
	case inBody, untilClose:
		return m.body(f, s, b)
	case inChunkSize, inChunkExt, inChunkData, inChunkEnd, inTrailers:
		return m.chunked(f, s, b)
	case opaque:
		return m.unread(f, b)
	case framed:
		return m.frames(f, b)
	case waiting:
		m.flags |= skipped
	case blind:
		m.late(f)
	}
	return len(b)
}

// oddity counts o and reports it, once a connection and kind.
func (m *messages) oddity(f *feed, o Oddity, detail string) {
	if m.odd&(1<<o) != 0 {
		f.sh.stats.Oddities[o]++
		return
	}
	m.odd |= 1 << o
	f.sh.odd(f.id, f.at, f.dir, o, detail)
}

func (f *feed) emit(k Kind, x *call) {
	e := f.sh.event(f.id, f.at, k)
	e.Exchange = &x.Exchange
}

// owed returns how many requests were seen whole whose final answer has not
// begun.
func (m *messages) owed() int { return int(m.n) }

// busy reports whether anything is unfinished.
func (m *messages) busy() bool {
	return m.n > 0 || m.h2 != nil && len(m.h2.streams) > 0 || m.cur != nil || m.resp != nil ||
		len(m.side[0].head) > 0 || len(m.side[1].head) > 0
}

func (m *messages) protocol() Protocol { return m.proto }

// hole is told that n bytes of dir will never come; n < 0: nobody knows how
// many.
func (m *messages) hole(sh *shared, id *ident, dir capture.Dir, at capture.Time, n int64) {
	f := feed{sh, id, at, dir}
	s := &m.side[dir]
	if s.state == framed {
		m.h2Hole(&f, n)
		return
	}
	if n > 0 {
		n = m.missing(&f, s, n)
	}
	if n == 0 {
		return
	}
	switch s.state {
	case blind, opaque:
		return
	case waiting:
		m.flags |= skipped
		return
	}
	if dir == capture.ToServer {
		m.loseRequests(&f)
	} else if n < 0 {
		m.loseAnswers(&f)
	} else {
		// A request whose client had the missing bytes already when it asked
		// was not answered in them.
		m.loseAnswersOf(&f, func(x *call) bool { return x.heard.before(sh.edge) })
	}
}

// missing counts what of n missing bytes lies within a content whose length
// is known, and returns how many lie beyond it.
func (m *messages) missing(f *feed, s *stream, n int64) int64 {
	if s.state != inBody && s.state != untilClose {
		return n
	}
	k := n
	if s.state == inBody {
		k = min(n, s.left)
		s.left -= k
	}
	if x := m.carrier(f.dir); x != nil {
		x.Lost += k
		x.flags |= bodyCut
		x.count(f.sh, f.dir, k)
		if f.dir == capture.ToClient {
			x.ResponseTail = x.ResponseTail[:0] // what follows is not contiguous with it
		}
	}
	if s.state == inBody && s.left == 0 {
		m.messageDone(f, s)
	}
	return n - k
}

// carrier returns the exchange that the bytes of dir belong to, if any.
func (m *messages) carrier(dir capture.Dir) *call {
	if dir == capture.ToServer {
		return m.cur
	}
	return m.resp
}

// count counts k bytes of content.
func (x *call) count(sh *shared, dir capture.Dir, k int64) {
	if dir == capture.ToServer {
		x.RequestBody += k
		x.RequestBytes += k
	} else {
		a := sh.answer(x) // in HTTP/2 content may come before the head of an answer, if a server errs
		a.ResponseBody += k
		a.ResponseBytes += k
	}
}

// framing counts k bytes around the content.
func (m *messages) framing(dir capture.Dir, k int) {
	if x := m.carrier(dir); x == nil {
		return
	} else if dir == capture.ToServer {
		x.RequestBytes += int64(k)
	} else {
		x.ResponseBytes += int64(k)
	}
}

// messageDone ends the message of f.dir.
func (m *messages) messageDone(f *feed, s *stream) {
	s.state, s.began = atStart, 0
	if f.dir == capture.ToServer {
		m.requestDone(f)
	} else {
		m.answerDone(f)
	}
}

// discard drops what s has buffered, and moves it to st.
func (s *stream) discard(sh *shared, st state) {
	sh.pool.give(s.head)
	*s = stream{state: st}
}
