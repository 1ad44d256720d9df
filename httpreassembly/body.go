package httpreassembly

import "stallwatch/capture"

// body reads content whose end is known by its length or by the FIN.
func (m *messages) body(f *feed, s *stream, b []byte) int {
	n := len(b)
	if s.state == inBody {
		n = int(min(int64(n), s.left))
		s.left -= int64(n)
	}
	if x := m.cur; f.dir == capture.ToServer && s.left == 0 && x != nil && x.lend(f.sh, b[:n]) {
		x.count(f.sh, f.dir, int64(n))
	} else {
		m.content(f, b[:n], s.left)
	}
	if s.state == inBody && s.left == 0 {
		m.messageDone(f, s)
	}
	return n
}

// lend makes p, which is the rest of x's content of known length, its Body
// without a copy, if it is all of it: the request is told before p goes.
func (x *call) lend(sh *shared, p []byte) bool {
	if !sh.opts.LendBodies || len(x.Body) > 0 || x.has(bodyCut|bodyParts) || len(p) > sh.bodyLimit() {
		return false
	}
	x.Body = p[:len(p):len(p)]
	x.flags |= bodyLent
	return true
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
	x.count(f.sh, f.dir, int64(len(p)))
	if f.dir == capture.ToClient {
		x.keepTail(f.sh, p, left)
		m.progress(f, x)
		return
	}
	if !x.has(bodyCut) {
		f.sh.keepBody(f, x, p)
	}
	m.uploads(f, x)
}
