package httpreassembly

// maxInformational is how many 1xx answers in a row are ordinary.
const maxInformational = 16

// statusLine reads HTTP/1.x SP 3DIGIT [SP reason] (RFC 9112 4).
func statusLine(l []byte) (code, minor int, ok bool) {
	if len(l) < 12 || string(l[:7]) != "HTTP/1." || l[7] < '0' || l[7] > '9' || l[8] != ' ' ||
		len(l) > 12 && l[12] != ' ' {
		return 0, 0, false
	}
	for _, c := range l[9:12] {
		if c < '0' || c > '9' {
			return 0, 0, false
		}
		code = code*10 + int(c-'0')
	}
	return code, int(l[7] - '0'), code >= 100
}

// notAnAnswer is reached when bytes of the server do not begin an HTTP/1
// answer where one should be.
func (m *messages) notAnAnswer(f *feed, s *stream) {
	switch {
	case m.n > 0 && m.first.has(isSimple):
		m.simpleAnswer(f, s)
		return
	case m.proto == ProtoUnknown && m.n == 0 && m.cur == nil:
		m.notHTTP(f, ProtoOther, NotHTTP, "the server speaks first")
		return
	case m.n > 0 || m.cur != nil && !m.cur.has(hasResponse):
		m.oddity(f, BadStatusLine, "")
	case m.has(bodyless):
		m.oddity(f, BodyOnBodyless, "")
	default:
		m.oddity(f, ExtraBytes, "")
	}
	m.loseAnswers(f)
}

// simpleAnswer begins an answer to HTTP/0.9: content, until the FIN.
func (m *messages) simpleAnswer(f *feed, s *stream) {
	m.answer(f, s, m.pairs(f), 0)
	n := len(s.head) // a beginning that looked like a status line
	if x := m.resp; x != nil {
		x.count(f.sh, f.dir, int64(n))
		x.keepTail(f.sh, s.head, 0)
	}
	f.sh.pool.give(s.head)
	s.head, s.state = nil, untilClose
}

// answer begins the final answer to x, which may be nil.
func (m *messages) answer(f *feed, s *stream, x *call, code int) {
	if m.rare != nil {
		m.rare.informational = 0
	}
	m.resp = x
	if x == nil {
		return
	}
	a := f.sh.answer(x)
	a.Status, a.ResponseStart = code, s.began
	x.flags |= hasResponse
	f.emit(ResponseSeen, x)
	f.sh.out[len(f.sh.out)-1].Early = x.RequestEnd == 0
}

// answerHead reads the head h of an answer.
func (m *messages) answerHead(f *feed, s *stream, h []byte) {
	w := fields{rest: h, first: true}
	code, minor, ok := statusLine(w.line())
	if !ok {
		m.oddity(f, BadStatusLine, "")
		m.loseAnswers(f)
		return
	}
	m.proto = ProtoHTTP1
	var fr framing
	clear := false // it agrees to HTTP/2
	w.all = w.rest
	for {
		name, value := w.next(&fr)
		if name == nil {
			break
		}
		fr.field(fieldOf(name), value)
		clear = clear || code == 101 && is(name, "upgrade") && is(value, "h2c")
	}
	if m.odds(f, h, &w, &fr) {
		m.familiar(f).missed(nil, w.all, &fr)
	}
	if minor > 1 {
		m.oddity(f, VersionUnknown, "")
	}
	s.state = atStart
	if code < 200 && code != 101 {
		m.informational(f, s)
		return
	}
	m.finalHead(f, s, code, len(h), &fr, clear)
}

// familiarAnswer is familiarRequest for the head of a final answer.
func (m *messages) familiarAnswer(f *feed, s *stream, l []byte, n int, fr *framing) bool {
	code, minor, ok := statusLine(l)
	if !ok || minor > 1 || code < 200 || valueLen(l) < len(l) { // a reason may hide what is odd
		return false
	}
	s.left, s.state = 0, atStart
	m.proto = ProtoHTTP1
	m.finalHead(f, s, code, n, fr, false)
	return true
}

// finalHead is reached with the head of a final answer, n bytes; clear means
// that it agrees to HTTP/2.
func (m *messages) finalHead(f *feed, s *stream, code, n int, fr *framing, clear bool) {
	x := m.pairs(f)
	if clear && !m.has(doubt) && (x == nil || x != m.cur) {
		m.upgradeH2(f, x)
		return
	}
	m.answer(f, s, x, code)
	switch {
	case x != nil:
		x.ResponseBytes = int64(n)
	case m.has(doubt) && code != 101:
		// Whose answer it is decides whether content follows (HEAD), so
		// the next first line has to be looked for.
		m.loseAnswers(f)
		return
	}
	m.answerFraming(f, s, x, code, fr)
}

// informational counts a 1xx answer: the final one is still to come.
func (m *messages) informational(f *feed, s *stream) {
	s.began = 0
	if m.rare == nil {
		m.rare = new(rare)
	}
	if m.rare.informational++; m.rare.informational > maxInformational {
		m.oddity(f, Informational, "")
	}
}

// answerFraming decides where the answer ends (RFC 9112 6.3).
func (m *messages) answerFraming(f *feed, s *stream, x *call, code int, fr *framing) {
	m.flags &^= bodyless
	switch {
	case code == 101 || x != nil && x.has(isConnect) && code/100 == 2 && fr.length == 0 && fr.codings == 0:
		// With content it is no hand-off, whatever RFC 9110 9.3.6 says: a
		// server that knows no tunnels has answered a method like any other.
		m.upgrade(f)
		return
	case x != nil && x.has(isHead) || code == 204 || code == 304:
		m.flags |= bodyless
		m.messageDone(f, s)
	case fr.unsafe != OddNone:
		m.oddity(f, fr.unsafe, fr.detail)
		s.state = untilClose
	case fr.codings > 0:
		m.answerCoding(f, s, fr)
	case fr.lengths == 0:
		s.state = untilClose
	case fr.length == 0:
		m.messageDone(f, s)
	default:
		s.state, s.left = inBody, fr.length
	}
	m.unwait(f)
}

// answerCoding handles a Transfer-Encoding: chunked if that is the last
// coding, else until the FIN (RFC 9112 6.3 rule 4).
func (m *messages) answerCoding(f *feed, s *stream, fr *framing) {
	if fr.lengths > 0 {
		m.oddity(f, LengthAndChunked, "")
	}
	switch {
	case !fr.last || fr.chunks > 1:
		m.oddity(f, BadTransferCoding, "chunked is not last")
		s.state = untilClose
		return
	case fr.codings > 1:
		m.oddity(f, BadTransferCoding, "chunked is not alone")
	}
	s.startChunk()
}
