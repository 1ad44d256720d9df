package httpreassembly

import "bytes"

// maxMethod bounds a method in bytes; the longest registered one,
// BASELINE-CONTROL, has 16.
const maxMethod = 32

// methods are the common ones of the IANA registry.
var methods = [...][]byte{
	[]byte("GET"), []byte("POST"), []byte("OPTIONS"), []byte("HEAD"), []byte("PUT"),
	[]byte("DELETE"), []byte("PATCH"), []byte("CONNECT"), []byte("TRACE"),
}

// knownMethod returns b as one of methods, or nil.
func knownMethod(b []byte) []byte {
	for _, k := range methods {
		if string(k) == string(b) {
			return k
		}
	}
	return nil
}

// line1 is a request line.
type line1 struct {
	method, target []byte
	minor          int // of HTTP/1.x; -1: HTTP/0.9, which has none
	ok             bool
}

// requestLine reads method SP target SP HTTP/1.x (RFC 9112 3), or the
// HTTP/0.9 form GET SP target. The target may hold any byte but CTL and SP.
func requestLine(l []byte) (r line1) {
	i := bytes.IndexByte(l, ' ')
	if i <= 0 || i > maxMethod {
		return r
	}
	r.method, l = l[:i], l[i+1:]
	for _, c := range r.method {
		if !isToken[c] {
			return r
		}
	}
	i = bytes.IndexByte(l, ' ')
	r.minor = -1
	r.target = l
	if i >= 0 {
		v := l[i+1:]
		r.target = l[:i]
		if len(v) != 8 || string(v[:7]) != "HTTP/1." || v[7] < '0' || v[7] > '9' {
			return r
		}
		r.minor = int(v[7] - '0')
	} else if string(r.method) != "GET" || len(l) == 0 || l[0] != '/' {
		return r
	}
	for _, c := range r.target {
		if c <= ' ' || c == 0x7f {
			return r
		}
	}
	r.ok = len(r.target) > 0
	return r
}

// startRequest passes over empty lines before a request (RFC 9112 2.2).
func (m *messages) startRequest(f *feed, s *stream, b []byte) int {
	n := blanks(b)
	if n == len(b) {
		return n
	}
	if s.began == 0 {
		s.began = f.at
	}
	if m.begin(f, s.began) {
		s.left = 0
		s.startHead(f.at)
	}
	return n
}

// blanks returns how many CR and LF b begins with.
func blanks(b []byte) (n int) {
	for n < len(b) && (b[n] == '\r' || b[n] == '\n') {
		n++
	}
	return n
}

// views are the fields of a request that are kept, where they stand in the
// head.
type views struct {
	of         [numViews][]byte
	apiVersion bool
}

// kept is as much of a value as is kept.
func kept(value []byte) []byte { return value[:min(len(value), MaxField)] }

// take keeps value if name is of interest.
func (v *views) take(p *exchangePool, k field, value []byte) {
	switch {
	case k == fieldForwardedFor:
		v.forward(p, value)
	case k == fieldAPIVersion:
		v.apiVersion = true
	case k < numViews && v.of[k] == nil:
		v.of[k] = kept(value)
	}
}

// forward joins the values of X-Forwarded-For in the pool's scratch space.
func (v *views) forward(p *exchangePool, value []byte) {
	j := p.join[:len(v.of[fieldForwardedFor])]
	if len(j) > 0 {
		j = append(j, ", "[:min(2, MaxField-len(j))]...)
	}
	v.of[fieldForwardedFor] = append(j, value[:min(len(value), MaxField-len(j))]...)
}

// requestHead reads the head h of a request. Its exchange begins to be
// answered for when it is whole, so a head alone settles nothing.
func (m *messages) requestHead(f *feed, s *stream, h []byte) {
	x := m.cur
	x.RequestBytes = int64(len(h))
	w := fields{rest: h, first: true}
	l := w.line()
	r := requestLine(l)
	if !r.ok {
		m.failRequest(f, versionOr(r, h, BadRequestLine), "")
		return
	}
	m.proto = ProtoHTTP1
	var fr framing
	var v views
	w.all = w.rest
	for {
		name, value := w.next(&fr)
		if name == nil {
			break
		}
		k := fieldOf(name)
		fr.field(k, value)
		v.take(&f.sh.pool, k, value)
	}
	if m.odds(f, h, &w, &fr) {
		m.familiar(f).missed(l, w.all, &fr)
	}
	m.describe(f, x, &r, &v)
	m.requestFraming(f, s, &r, &fr)
}

// familiarRequest reads a head of n bytes, whose first line is l and whose
// fields say fr and v. It returns false, and changes nothing, if l has to be
// read with what is odd about it.
func (m *messages) familiarRequest(f *feed, s *stream, l []byte, n int, fr *framing, v *views) bool {
	slot := m.familiar(f)
	r := &slot.head.r
	if !slot.share(m.cur, l) {
		read := requestLine(l)
		if r = &read; !r.ok || r.minor < 0 {
			return false
		}
		m.describe(f, m.cur, r, v)
	}
	s.left = 0
	m.cur.RequestBytes = int64(n)
	m.proto = ProtoHTTP1
	m.requestFraming(f, s, r, fr)
	return true
}

// familiar is the slot of the messages of f.dir.
func (m *messages) familiar(f *feed) *familiarSlot {
	return &f.sh.familiars.slots[f.dir][m.keys[f.dir]]
}

// versionOr returns VersionUnknown if all that is wrong with a request line is
// its version, else o.
func versionOr(r line1, h []byte, o Oddity) Oddity {
	if i := bytes.IndexByte(h, '\n'); len(r.target) > 0 && bytes.Contains(h[:i], []byte(" HTTP/")) {
		v := h[bytes.LastIndex(h[:i], []byte(" HTTP/"))+6 : i]
		if len(v) > 0 && v[0] != '1' && len(bytes.TrimRight(v, "0123456789.\r")) == 0 {
			return VersionUnknown
		}
	}
	return o
}

// describe copies what is kept of the head into x.
func (m *messages) describe(f *feed, x *call, r *line1, v *views) {
	target := r.target[:min(len(r.target), MaxTarget)]
	h := f.sh.pool.ownHead(x)
	h.TargetBytes = len(r.target)
	h.HasAPIVersion = v.apiVersion // known even without room for text
	h.Method = knownMethod(r.method)
	other := r.method
	if h.Method != nil {
		other = nil
	} else {
		m.oddity(f, MethodUnknown, "")
	}
	n := len(other) + len(target)
	for _, b := range v.of {
		n += len(b)
	}
	var ok bool
	if h.text, ok = f.sh.grown(nil, n); !ok {
		return // counted; the call is timed without a name
	}
	if other != nil {
		h.Method = h.write(other)
	}
	h.Target = h.write(target)
	for i := range v.of {
		v.of[i] = h.write(v.of[i])
	}
	h.see(v)
}

// see takes what is kept of the fields.
func (h *Head) see(v *views) {
	h.HasAPIVersion = v.apiVersion
	h.Host = v.of[fieldHost]
	h.ContentType = v.of[fieldContentType]
	h.ContentEncoding = v.of[fieldContentEncoding]
	h.UserAgent = v.of[fieldUserAgent]
	h.ForwardedFor = v.of[fieldForwardedFor]
	h.Forwarded = v.of[fieldForwarded]
}

// write appends b to the text of h, which has room, and returns it there.
func (h *Head) write(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	n := len(h.text)
	h.text = append(h.text, b...)
	return h.text[n:len(h.text):len(h.text)]
}

// requestFraming decides where the request ends (RFC 9112 6.3). What servers
// read differently is not guessed: the request is sealed.
func (m *messages) requestFraming(f *feed, s *stream, r *line1, fr *framing) {
	x := m.cur
	switch string(r.method) {
	case "HEAD":
		x.flags |= isHead
	case "CONNECT":
		x.flags |= isConnect
	}
	if r.minor > 1 {
		m.oddity(f, VersionUnknown, "")
	}
	s.state = atStart
	switch {
	case r.minor < 0:
		m.oddity(f, VersionUnknown, "HTTP/0.9")
		x.flags |= isSimple
		m.sealed(f)
	case fr.unsafe != OddNone:
		m.failRequest(f, fr.unsafe, fr.detail)
	case fr.codings > 0:
		m.requestCoding(f, s, r, fr)
	case fr.length > 0:
		s.state, s.left = inBody, fr.length
	default:
		m.messageDone(f, s)
	}
}

// requestCoding handles a Transfer-Encoding, which wins over a Content-Length.
func (m *messages) requestCoding(f *feed, s *stream, r *line1, fr *framing) {
	if fr.lengths > 0 {
		m.oddity(f, LengthAndChunked, "")
	}
	if !fr.last || fr.chunks > 1 {
		m.failRequest(f, BadTransferCoding, "chunked is not last")
		return
	}
	if fr.codings > 1 {
		m.oddity(f, BadTransferCoding, "chunked is not alone")
	}
	if r.minor == 0 {
		m.oddity(f, BadTransferCoding, "in HTTP/1.0")
	}
	s.startChunk()
}

// notHTTP is reached when the connection speaks another protocol. On watched
// ports that is an oddity.
func (m *messages) notHTTP(f *feed, p Protocol, o Oddity, detail string) {
	m.proto = p
	if len(f.sh.opts.Ports) > 0 {
		m.oddity(f, o, detail)
	}
	m.stop(f, Lost)
}
