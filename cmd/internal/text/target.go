package text

import "strconv"

// Bounds of a target in bytes, after escaping.
const (
	MaxTarget = 512  // redacted: what is left are words and lengths
	MaxWhole  = 8192 // not redacted: four times what the core keeps, so that escapes fit
)

// Target returns a request target as printable ASCII. With redact, values of
// query parameters and whatever in the path may be a secret are replaced by
// their length in braces.
func Target(b []byte, redact bool) string { return string(AppendTarget(nil, b, redact)) }

// AppendTarget appends what Target returns.
func AppendTarget(dst, b []byte, redact bool) []byte {
	if !redact {
		return Append(dst, b, MaxWhole)
	}
	path, query, hasQuery := cutByte(b, '?')
	l := limited{dst: dst, start: len(dst)}
	l.path(path)
	if hasQuery {
		l.put('?')
		l.params(query)
	}
	return l.dst
}

// limited appends redacted pieces until MaxTarget is reached.
type limited struct {
	dst   []byte
	start int
	full  bool
}

func (l *limited) room() int { return MaxTarget - len(cut) - (len(l.dst) - l.start) }

func (l *limited) put(c byte) {
	if l.full || l.room() < 1 {
		l.stop()
		return
	}
	l.dst = append(l.dst, c)
}

func (l *limited) show(b []byte) {
	n := len(l.dst)
	if l.full {
		return
	}
	l.dst = Append(l.dst, b, MaxTarget)
	if l.room() < 0 {
		l.dst = l.dst[:n]
		l.stop()
	}
}

func (l *limited) hide(n int) {
	if l.full || l.room() < len("{2147483647}") {
		l.stop()
		return
	}
	l.dst = append(strconv.AppendInt(append(l.dst, '{'), int64(n), 10), '}')
}

func (l *limited) stop() {
	if !l.full {
		l.full = true
		l.dst = append(l.dst, cut...)
	}
}

// path handles the segments between slashes. An absolute-form target
// (RFC 9112 section 3.2.2) needs no case of its own: its scheme and authority
// are segments too.
func (l *limited) path(b []byte) {
	var before []byte
	for !l.full {
		seg, rest, more := cutByte(b, '/')
		l.segment(seg, before)
		if !more {
			return
		}
		l.put('/')
		before, b = seg, rest
	}
}

// segment handles one path segment, matrix parameters (RFC 3986 section 3.3)
// and user information included.
func (l *limited) segment(seg, before []byte) {
	if i := lastByte(seg, '@'); i >= 0 {
		l.hide(i)
		l.put('@')
		seg = seg[i+1:]
	}
	for !l.full {
		part, rest, more := cutByte(seg, ';')
		if name, value, ok := cutByte(part, '='); ok {
			l.word(name, nil)
			l.put('=')
			l.value(value)
		} else {
			l.word(part, before)
		}
		if !more {
			return
		}
		l.put(';')
		seg = rest
	}
}

// params handles a query: names stay unless they look like a secret
// themselves (a bare ?KEY is common), values go.
func (l *limited) params(b []byte) {
	for !l.full {
		i := indexAny(b, '&', ';')
		part := b
		if i >= 0 {
			part = b[:i]
		}
		name, value, ok := cutByte(part, '=')
		l.word(name, nil)
		if ok {
			l.put('=')
			l.value(value)
		}
		if i < 0 {
			return
		}
		l.put(b[i])
		b = b[i+1:]
	}
}

func (l *limited) value(v []byte) {
	if len(v) > 0 {
		l.hide(len(v))
	}
}

func (l *limited) word(w, before []byte) {
	if Secret(w) || follows(before) && !plainWord(w) {
		l.hide(len(w))
		return
	}
	l.show(w)
}

// Lengths that decide in Secret, in bytes. The longest honest words of the
// routes known are compute-white-flag-mutations (28) and IRI's
// getTransactionsToApprove (24); a key or hash in use has 16 or more.
const (
	alwaysSecret = 32
	maybeSecret  = 16
)

// Secret reports whether a word of a path may be a key, an address, a hash or
// a seed: it is long, or of middle length with digits among letters or more
// capitals than a camelCase name has, or hides its letters by percent
// encoding. It errs on the side of hiding.
func Secret(w []byte) bool {
	if len(w) >= alwaysSecret {
		return true
	}
	var digits, uppers, percents, others int
	for _, c := range w {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'A' && c <= 'Z':
			uppers++
		case c == '%':
			percents++
		case c < ' ' || c > '~':
			others++
		}
	}
	if percents+others > 0 {
		return percents > 1 || len(w) >= maybeSecret || encodesSeparator(w)
	}
	return len(w) >= maybeSecret && (digits > 0 || uppers*3 > len(w))
}

// encodesSeparator reports whether w has an encoded ?, =, @, &, / or ;: what
// follows it is a value in disguise.
func encodesSeparator(w []byte) bool {
	for i := 0; i+2 < len(w); i++ {
		if w[i] != '%' {
			continue
		}
		switch string([]byte{w[i+1], w[i+2] | 0x20}) {
		case "3f", "3d", "3b", "26", "2f", "40":
			return true
		}
	}
	return false
}

// announcing words say that the next segment is a secret, however short.
var announcing = [...]string{"seed", "mnemonic", "password", "passwd", "pass", "secret", "private", "privatekey", "token",
	"key", "keys", "apikey", "api-key", "api_key", "auth", "salt", "field-id", "jwt", "bearer"}

func follows(before []byte) bool {
	for _, w := range announcing {
		if equalFold(before, w) {
			return true
		}
	}
	return false
}

// plainWord reports whether w is a short word in lower case, such as the
// login of /auth/login.
func plainWord(w []byte) bool {
	for _, c := range w {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return len(w) < 8
}

func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func cutByte(b []byte, c byte) (before, after []byte, found bool) {
	if i := indexAny(b, c, c); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}

func indexAny(b []byte, x, y byte) int {
	for i, c := range b {
		if c == x || c == y {
			return i
		}
	}
	return -1
}

func lastByte(b []byte, c byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == c {
			return i
		}
	}
	return -1
}
