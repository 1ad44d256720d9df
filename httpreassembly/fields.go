package httpreassembly

import "bytes"

// framing is what the fields of a head say about the length of its message.
type framing struct {
	length  int64  // valid iff lengths > 0
	lengths int    // Content-Length values
	codings int    // transfer codings
	chunks  int    // those that are "chunked"
	last    bool   // the last one is "chunked"
	unsafe  Oddity // set: servers read the framing differently, so nobody knows it
	detail  string
}

// fields walks the lines of a head, and notes what is odd about them.
type fields struct {
	all    []byte // behind the first line
	rest   []byte
	crlf   int  // lines that ended in CRLF
	lf     bool // a line ended in a bare LF
	first  bool // no field line was read yet
	oddity [4]Oddity
	n      int
}

func (w *fields) note(o Oddity) {
	for _, k := range w.oddity[:w.n] {
		if k == o {
			return
		}
	}
	if w.n < len(w.oddity) {
		w.oddity[w.n] = o
		w.n++
	}
}

// line returns the next line without its end, or nil at the empty one.
func (w *fields) line() []byte {
	i := bytes.IndexByte(w.rest, '\n')
	if i < 0 {
		return nil
	}
	l := w.rest[:i]
	w.rest = w.rest[i+1:]
	if i > 0 && l[i-1] == '\r' {
		w.crlf++
		return l[:i-1]
	}
	w.lf = true
	return l
}

// next returns the next field; name is nil at the end. A line that is no
// field is noted and passed over.
func (w *fields) next(fr *framing) (name, value []byte) {
	for {
		l := w.line()
		if len(l) == 0 {
			return nil, nil
		}
		i := 0
		for i < len(l) && isToken[l[i]] {
			i++
		}
		if i == 0 || i == len(l) || l[i] != ':' {
			w.noField(fr, l)
			continue
		}
		w.first = false
		if len(w.rest) > 0 && isBlank(w.rest[0]) && frames(l[:i]) {
			fr.refuse(ObsFold, "in a framing field")
		}
		return l[:i], trim(l[i+1:])
	}
}

// noField notes what is wrong with the line l, which is not empty. One that
// may hide a framing field makes fr unsafe.
func (w *fields) noField(fr *framing, l []byte) {
	if isBlank(l[0]) {
		// RFC 9112 2.2: before the first field it is a smuggling
		// attempt; 5.2: later a fold, which readers join or refuse.
		o := ObsFold
		if w.first {
			o = BadHeader
		}
		w.note(o)
		fr.suspect(l, o)
		return
	}
	w.first = false
	i := bytes.IndexByte(l, ':')
	if i <= 0 {
		w.note(BadHeader)
		return
	}
	if isName(bytes.TrimRight(l[:i], " \t")) {
		w.note(SpaceBeforeColon)
	} else {
		w.note(BadHeader)
	}
	fr.suspect(l[:i], BadHeader)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isName(b []byte) bool {
	for _, c := range b {
		if !isToken[c] {
			return false
		}
	}
	return true
}

// frames reports whether name is a field that frames a message.
func frames(name []byte) bool {
	return is(name, "content-length") || is(name, "transfer-encoding")
}

// suspect makes fr unsafe if raw, less what is no letter or hyphen, is the
// name of a framing field: some servers read it as one.
func (fr *framing) suspect(raw []byte, o Oddity) {
	if i := bytes.IndexByte(raw, ':'); i >= 0 {
		raw = raw[:i]
	}
	var name [32]byte
	n := 0
	for _, c := range raw {
		if c == '-' || c|0x20 >= 'a' && c|0x20 <= 'z' {
			if n == len(name) {
				return
			}
			name[n] = c
			n++
		}
	}
	if frames(name[:n]) {
		fr.refuse(o, "hides a framing field")
	}
}

func (fr *framing) refuse(o Oddity, detail string) {
	if fr.unsafe == OddNone {
		fr.unsafe, fr.detail = o, detail
	}
}

// field takes the value of a field in if it frames the message.
func (fr *framing) field(k field, value []byte) {
	switch k {
	case fieldLength:
		fr.contentLength(value)
	case fieldCoding:
		fr.transferEncoding(value)
	}
}

// contentLength reads a list of equal numbers (RFC 9112 6.3 rule 5).
func (fr *framing) contentLength(value []byte) {
	if n, ok := decimal(value); ok && fr.lengths == 0 {
		fr.length, fr.lengths = n, 1
		return
	}
	for more := true; more; {
		var one []byte
		one, value, more = bytes.Cut(value, comma)
		n, ok := decimal(trim(one))
		switch {
		case !ok:
			fr.refuse(BadContentLength, "")
			return
		case fr.lengths > 0 && n != fr.length:
			fr.refuse(ContentLengthDiffers, "")
			return
		}
		fr.length = n
		fr.lengths++
	}
}

var comma = []byte(",")

func (fr *framing) transferEncoding(value []byte) {
	for more := true; more; {
		var one []byte
		one, value, more = bytes.Cut(value, comma)
		fr.codings++
		fr.last = is(trim(one), "chunked")
		if fr.last {
			fr.chunks++
		}
	}
}

// trim returns b without the white space around it (OWS, RFC 9110 5.6.3).
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for n := len(b); n > 0 && (b[n-1] == ' ' || b[n-1] == '\t'); n = len(b) {
		b = b[:n-1]
	}
	return b
}

// decimal reads b, digits only, up to 2^63-1.
func decimal(b []byte) (n int64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		d := int64(c - '0')
		if c < '0' || c > '9' || n > (1<<63-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// is reports whether b is lower, a lower-case ASCII word, but for case.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c != lower[i] && (c < 'A' || c > 'Z' || c|0x20 != lower[i]) {
			return false
		}
	}
	return true
}

// odds reports what is odd about the head h as bytes: fields went over its
// lines before. none means that nothing is.
func (m *messages) odds(f *feed, h []byte, w *fields, fr *framing) (none bool) {
	none = w.n == 0 && !w.lf && fr.unsafe == OddNone
	for _, o := range w.oddity[:w.n] {
		m.oddity(f, o, "")
	}
	if w.lf {
		m.oddity(f, BareLF, "")
	}
	if bytes.IndexByte(h, 0) >= 0 {
		m.oddity(f, NulInHead, "")
		none = false
	}
	if bytes.Count(h, cr) != w.crlf && bareCR(h, fr) {
		m.oddity(f, BareCR, "")
		none = false
	}
	return none
}

// bareCR reports whether h has a CR that no LF follows. Some servers end a
// line there: a framing field behind it makes fr unsafe.
func bareCR(h []byte, fr *framing) (found bool) {
	for {
		i := bytes.IndexByte(h, '\r') + 1
		if i == 0 || i == len(h) {
			return found || i > 0
		}
		if h[i] != '\n' {
			found = true
			fr.suspect(h[i:min(len(h), i+maxMethod)], BareCR)
		}
		h = h[i:]
	}
}
