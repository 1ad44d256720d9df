package httpreassembly

import "stallwatch/capture"

// body reads content whose end is known by its length or by the FIN.
func (m *messages) body(f *feed, s *stream, b []byte) int {
	n := len(b)
	if s.state == inBody {
		n = int(min(int64(n), s.left))
		s.left -= int64(n)
	}
	m.content(f, b[:n], s.left)
	if s.state == inBody && s.left == 0 {
		m.messageDone(f, s)
	}
	return n
}

// content takes p, content without its framing, in; at least left bytes of
// content follow.
func (m *messages) content(f *feed, p []byte, left int64) {
	if x := m.carrier(f.dir); x != nil {
		m.contentOf(f, x, p, left)
	}
}

// contentOf takes p in as content of x.
func (m *messages) contentOf(f *feed, x *call, p []byte, left int64) {
	x.count(f.dir, int64(len(p)))
	if f.dir == capture.ToClient {
		x.keepTail(f.sh, p, left)
		m.progress(f, x)
		return
	}
	if !x.has(bodyCut) {
		f.sh.keepBody(f, x, p)
	}
}
