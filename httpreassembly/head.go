package httpreassembly

import (
	"bytes"

	"stallwatch/capture"
)

// lineState is what is known of the line that a scan has stopped in.
type lineState uint8

const (
	lineEmpty lineState = iota
	lineCR              // only CR so far
	lineText
)

// headEnd looks for the empty line that ends a head or trailers, and returns
// the index after it, or -1. It goes on where the last call stopped: no byte
// is looked at twice, however the head is cut.
func (s *stream) headEnd(b []byte) int {
	for i := 0; i < len(b); {
		if s.line != lineText {
			switch c := b[i]; {
			case c == '\n':
				s.line = lineEmpty
				return i + 1
			case c == '\r' && s.line == lineEmpty:
				s.line = lineCR
				i++
				continue
			}
			s.line = lineText
		}
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return -1
		}
		i += j + 1
		s.line = lineEmpty
	}
	return -1
}

// startHead begins a head whose first byte came at at, unless an earlier part
// of it was set aside.
func (s *stream) startHead(at capture.Time) {
	if s.began == 0 {
		s.began = at
	}
	s.state, s.line, s.count = inHead, lineEmpty, 0
}

// head reads on in a head. Only one that is split over segments is copied.
func (m *messages) head(f *feed, s *stream, b []byte) int {
	if s.count == 0 {
		if n := m.familiarHead(f, s, b); n > 0 {
			return n
		}
	}
	if !m.firstBytes(f, s, b) {
		return 0
	}
	firstEnds := false
	if f.dir == capture.ToServer && s.left == behindMethod {
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			firstEnds, s.left = true, behindLine
			if len(s.head) > 0 || !hasVersion(b[:i]) {
				b = b[:i+1]
			}
		}
	}
	n := s.headEnd(b)
	ended := n >= 0
	if !ended {
		n = len(b)
		ended = firstEnds && len(s.head) == 0 && !hasVersion(b)
	}
	if int(s.count)+n > f.sh.opts.MaxHead {
		m.failHead(f, s, HeadTooLarge, "")
		return 0
	}
	s.count += int32(n)
	if ended && len(s.head) == 0 {
		m.headDone(f, s, b[:n])
		return n
	}
	if !m.keep(f, s, b[:n]) || !ended && (!firstEnds || hasVersion(s.head)) {
		return n
	}
	h := s.head
	s.head = nil
	if m.familiarHead(f, s, h) == 0 {
		m.headDone(f, s, h)
	}
	f.sh.pool.give(h)
	return n
}

// familiarHead reads a head that b begins with, if it is whole and familiar,
// and returns its length; else 0, and nothing is changed.
func (m *messages) familiarHead(f *feed, s *stream, b []byte) int {
	i := bytes.IndexByte(b, '\n')
	if f.sh.familiars.off || i < 1 || b[i-1] != '\r' {
		return 0
	}
	var fr framing
	var v views
	n := m.familiar(f).find(b[i+1:], &fr, &v)
	if n == 0 || i+1+n > f.sh.opts.MaxHead {
		return 0
	}
	n += i + 1
	if f.dir == capture.ToServer && m.familiarRequest(f, s, b[:i-1], n, &fr, &v) ||
		f.dir == capture.ToClient && m.familiarAnswer(f, s, b[:i-1], n, &fr) {
		return n
	}
	return 0
}

// firstBytes checks the bytes by which a head can be told from anything else
// before its end is reached. It returns false when the head has failed.
func (m *messages) firstBytes(f *feed, s *stream, b []byte) bool {
	const version = "HTTP/1."
	at := int(s.count)
	if f.dir == capture.ToClient {
		for i := 0; i < len(b) && at+i < len(version); i++ {
			if b[i] != version[at+i] {
				m.notAnAnswer(f, s)
				return false
			}
		}
		return true
	}
	for i := 0; i < len(b) && s.left == 0; i++ {
		switch {
		case b[i] == ' ' && at+i > 0:
			s.left = behindMethod
		case at+i >= maxMethod || !isToken[b[i]]:
			m.failHead(f, s, BadRequestLine, "method")
			return false
		}
	}
	return true
}

// How far a request's head was read, in stream.left: nothing else is left.
const (
	behindMethod = -1
	behindLine   = -2
)

// hasVersion reports whether a request line names a version. One that does
// not is HTTP/0.9 or nothing: no fields follow it.
func hasVersion(l []byte) bool {
	if n := len(l) - len(" HTTP/1.1\r"); n >= 0 && string(l[n:n+6]) == " HTTP/" {
		return true // where nearly all have it: the search takes as long as the rest of the line
	}
	return bytes.Contains(l, []byte(" HTTP/"))
}

// keep appends b to the buffered part of the head. Without room, the
// direction's sync is lost.
func (m *messages) keep(f *feed, s *stream, b []byte) bool {
	if f.sh.level >= LevelHeaders && (len(s.head)+len(b) > squeezedHead || f.dir == capture.ToServer && len(s.head)+len(b) > headLimit(f.sh.level)) {
		f.sh.stats.BufferDropped += uint64(len(b))
		m.desync(f)
		return false
	}
	to, ok := f.sh.grown(s.head, len(b))
	if !ok {
		m.desync(f)
		return false
	}
	s.head = append(to, b...)
	return true
}

// desync gives up a direction whose bytes there is no room for.
func (m *messages) desync(f *feed) {
	if f.dir == capture.ToServer {
		m.loseRequests(f)
	} else {
		m.loseAnswers(f)
	}
}

func (m *messages) headDone(f *feed, s *stream, h []byte) {
	s.left = 0
	if f.dir == capture.ToServer {
		m.requestHead(f, s, h)
	} else {
		m.answerHead(f, s, h)
	}
}

func (m *messages) failHead(f *feed, s *stream, o Oddity, detail string) {
	if f.dir == capture.ToServer {
		m.failRequest(f, o, detail)
		return
	}
	m.oddity(f, o, detail)
	m.loseAnswers(f)
}

// resync looks for a certain first line at the start of a segment. While what
// came is a beginning of one, it is set aside. It returns what of b remains
// to be read.
func (m *messages) resync(f *feed, b []byte) []byte {
	s := &m.side[f.dir]
	n := bytes.IndexByte(b, '\n') + 1
	part := b[:n]
	if n == 0 {
		part = b
	}
	line, set := part, len(s.head) > 0
	if set {
		if len(s.head)+len(part) > maxFirstLine || !m.keep(f, s, part) {
			m.stillLost(f, s)
			return nil
		}
		line = s.head
	}
	if len(line) > maxFirstLine || !mayBegin(f.dir, line) || n > 0 && !begins(f.dir, line) {
		m.stillLost(f, s)
		return nil
	}
	if s.began == 0 {
		s.began = f.at
	}
	if n == 0 {
		if !set {
			m.keep(f, s, part)
		}
		return nil
	}
	return m.resynced(f, s, b, n, set)
}

// stillLost is reached with a segment that begins no message. From the server
// it is the middle of an answer: if one is owed it is probably that one, and
// its request must not seem to stall.
func (m *messages) stillLost(f *feed, s *stream) {
	s.discard(f.sh, lost)
	if f.dir == capture.ToClient {
		m.drop(f, Lost)
	}
}

// maxFirstLine bounds a first line that resync waits for, in bytes.
const maxFirstLine = 8 << 10

// resynced goes on with a message whose first line ends at b[n]; set tells
// that the line is in the buffer, as a whole.
func (m *messages) resynced(f *feed, s *stream, b []byte, n int, set bool) []byte {
	m.proto = ProtoHTTP1
	began := s.began
	if f.dir == capture.ToServer && !m.begin(f, began) {
		return nil
	}
	s.state, s.line, s.count, s.left = inHead, lineEmpty, 0, 0
	if !set {
		return b
	}
	s.count, s.left = int32(len(s.head)), behindLine
	return b[n:]
}

// mayBegin reports whether line, which may be cut, begins as the first line
// of a message in dir does.
func mayBegin(dir capture.Dir, line []byte) bool {
	if dir == capture.ToClient {
		return matches(line, "HTTP/1.")
	}
	i := bytes.IndexByte(line[:min(len(line), maxMethod)], ' ')
	if i >= 0 {
		return knownMethod(line[:i]) != nil
	}
	for _, k := range methods {
		if len(line) <= len(k) && matches(line, string(k)) {
			return true
		}
	}
	return false
}

// begins reports whether line, with its LF, is a certain first line.
func begins(dir capture.Dir, line []byte) bool {
	line = bytes.TrimSuffix(line[:len(line)-1], cr)
	if dir == capture.ToClient {
		_, _, ok := statusLine(line)
		return ok
	}
	r := requestLine(line)
	return r.ok && r.minor >= 0
}

// matches reports whether b and p agree as far as both go.
func matches(b []byte, p string) bool {
	n := min(len(b), len(p))
	return string(b[:n]) == p[:n]
}

var cr = []byte("\r")

// isToken is the set of tchar (RFC 9110 5.6.2).
var isToken = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()
