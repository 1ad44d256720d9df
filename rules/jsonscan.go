package rules

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// scanner reads the top level of a JSON text in one pass, without allocation
// or recursion. It accepts more than RFC 8259 does, because the nodes do: IRI
// parses with a lenient Gson, which takes single quotes, names without quotes,
// `=` and `=>` for `:`, `;` for `,` and three kinds of comments. A stricter
// reader than the node's would let an attacker call a command that the monitor
// cannot see. What it steps over within values is not checked.
//
// Its time is linear in the input whatever that holds: each byte is looked at
// a bounded number of times, which work counts for the tests.
type scanner struct {
	b       []byte
	i       int
	lenient bool // met something that only Gson takes
	first   bool // nothing was read yet of what was entered last: no comma is due
	bad     bool // met something that nobody takes; the scan ended there
	cut     bool // the input ended too early
	work    int  // bytes looked at
}

// maxChecked is the depth to which brackets must match in kind. Deeper ones
// are only counted: a deep value before `command` must not hide it, and must
// not cost memory either.
const maxChecked = 64

// Bytes by what they mean outside a string.
const (
	isSpace  = 1 << iota // RFC 8259 section 2
	endsWord             // ends an unquoted literal in Gson's lenient mode
)

var byteClass = [256]byte{
	' ': isSpace | endsWord, '\t': isSpace | endsWord, '\n': isSpace | endsWord, '\r': isSpace | endsWord, '\f': endsWord,
	'/': endsWord, '\\': endsWord, ';': endsWord, '#': endsWord, '=': endsWord, ',': endsWord, ':': endsWord,
	'{': endsWord, '}': endsWord, '[': endsWord, ']': endsWord,
}

var (
	bom       = []byte("\xef\xbb\xbf")
	gsonGuard = []byte(")]}'\n") // Gson skips it: the usual prefix against script inclusion
)

// open goes to the first byte of the top-level value and returns it, 0 if
// there is none.
func (s *scanner) open() byte {
	s.b = bytes.TrimPrefix(s.b, bom)
	if c := s.peek(); c != ')' {
		return c
	}
	if bytes.HasPrefix(s.b[s.i:], gsonGuard) {
		s.i += len(gsonGuard)
		s.lenient = true
		return s.peek()
	}
	return ')'
}

// peek skips space and comments and returns the byte there; 0 at the end, and
// also if there is a NUL.
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		c := s.b[s.i]
		switch {
		case byteClass[c]&isSpace != 0:
			s.i++
			s.work++
		case c == '#', c == '/':
			if !s.comment() {
				return c
			}
		default:
			return c
		}
	}
	return 0
}

// comment skips a comment, if there is one.
func (s *scanner) comment() bool {
	rest := s.b[s.i:]
	end := []byte("\n")
	switch {
	case rest[0] == '#':
	case len(rest) > 1 && rest[1] == '/':
	case len(rest) > 1 && rest[1] == '*':
		end = []byte("*/")
		s.i += 2 // "/*/" is only the start of one
	default:
		return false
	}
	s.lenient = true
	n := bytes.Index(s.b[s.i:], end)
	if n < 0 {
		n = len(s.b) - s.i
	} else {
		n += len(end)
	}
	s.i += n
	s.work += n
	return true
}

// enter steps into the object or array at i.
func (s *scanner) enter() {
	s.i++
	s.first = true
}

// member reads the next member of the object that was entered. It returns
// false at the object's end, and if the scan cannot go on; a member whose
// value was cut is still returned.
func (s *scanner) member(key, val *value) bool {
	if !s.more('}') {
		return false
	}
	if c := s.peek(); byteClass[c]&endsWord != 0 {
		s.bad = true
		return false
	}
	s.value(key)
	if key.cut || !s.colon() {
		s.cut = s.cut || key.cut
		return false
	}
	if s.peek() == 0 && s.i == len(s.b) {
		s.cut = true
		return false
	}
	s.value(val)
	s.cut = s.cut || val.cut
	return !s.bad
}

// element reads the next element of the array that was entered if it is no
// object. An object is entered, for the caller to read to its end.
func (s *scanner) element(val *value) (entered, ok bool) {
	if !s.more(']') {
		return false, false
	}
	if s.peek() == '{' {
		s.enter()
		return true, true
	}
	s.value(val)
	s.cut = s.cut || val.cut
	return false, !s.bad
}

// more skips separators and reports whether something follows before shut,
// which it consumes.
func (s *scanner) more(shut byte) bool {
	if s.bad || s.cut {
		return false
	}
	due := !s.first
	s.first = false
	for {
		switch c := s.peek(); {
		case c == ',' || c == ';':
			s.i++
			s.work++
			s.lenient = s.lenient || c == ';' || !due
			due = false
		case c == shut:
			s.i++
			return false
		case c == 0 && s.i == len(s.b):
			s.cut = true
			return false
		default:
			s.bad = due || byteClass[c]&endsWord != 0 && c != '{' && c != '['
			return !s.bad
		}
	}
}

// colon consumes what stands between a key and its value.
func (s *scanner) colon() bool {
	switch c := s.peek(); {
	case c == ':':
		s.i++
	case c == '=':
		s.i++
		s.lenient = true
		if s.i < len(s.b) && s.b[s.i] == '>' {
			s.i++
		}
	case c == 0 && s.i == len(s.b):
		s.cut = true
		return false
	default:
		s.bad = true
		return false
	}
	return true
}

// value reads the value at i, of any kind, to its end.
func (s *scanner) value(v *value) {
	*v = value{}
	switch c := s.peek(); c {
	case '"':
		s.quoted(v)
	case '\'':
		s.lenient = true
		s.quoted(v)
	case '{':
		v.kind = KindObject
		s.composite(v)
	case '[':
		v.kind = KindArray
		s.composite(v)
	default:
		s.word(v)
	}
}

// quoted reads the string at i. It looks for the quote and for backslashes
// apart, both with the processor's help, and remembers the quote while it
// steps over the escapes before it: that keeps a text of nothing but
// backslashes linear.
func (s *scanner) quoted(v *value) {
	v.kind = KindString
	q := s.b[s.i]
	s.i++
	start := s.i
	if n := shortText(s.b[start:], q); n >= 0 {
		v.text = s.b[start : start+n]
		v.n = n
		s.i = start + n + 1
		s.work += n + 1
		return
	}
	end := s.find(s.i, q)
	for {
		n := bytes.IndexByte(s.b[s.i:end], '\\')
		if n < 0 {
			s.work += end - s.i
			break
		}
		v.esc = true
		s.work += n + 2
		if s.i += n + 2; s.i > end {
			end = s.find(min(s.i, len(s.b)), q)
		}
		s.i = min(s.i, len(s.b))
	}
	v.text = s.b[start:end]
	v.cut = end == len(s.b)
	s.i = min(end+1, len(s.b))
	v.n = len(v.text)
}

// shortText returns how long the text is that q ends, if that is within the
// first words of b and no backslash comes before; else -1. Names are short,
// and for them the two searches below take longer than all the rest.
func shortText(b []byte, q byte) int {
	const low, high, words = 0x0101010101010101, 0x8080808080808080, 3
	quote := uint64(q) * low
	for n := 0; n < 8*words && n+8 <= len(b); n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		y, z := x^quote, x^'\\'*low
		if m := ((y-low)&^y | (z-low)&^z) & high; m != 0 { // the lowest mark is exact
			if n += bits.TrailingZeros64(m) / 8; b[n] == q {
				return n
			}
			return -1
		}
	}
	return -1
}

// find returns where c is from i on, the input's length if it is not.
func (s *scanner) find(i int, c byte) int {
	n := bytes.IndexByte(s.b[i:], c)
	if n < 0 {
		s.work += len(s.b) - i
		return len(s.b)
	}
	s.work += n + 1
	return i + n
}

// word reads a literal: a number, true, false, null, or a string without
// quotes, which Gson takes.
func (s *scanner) word(v *value) {
	start := s.i
	for s.i < len(s.b) && byteClass[s.b[s.i]]&endsWord == 0 {
		s.i++
	}
	s.work += s.i - start
	v.text = s.b[start:s.i]
	v.n = len(v.text)
	v.cut = s.i == len(s.b)
	switch {
	case v.n == 0:
		v.kind = KindNull // as Gson reads `[,]` and `{"a":}`
		s.lenient = true
	case string(v.text) == "true", string(v.text) == "false":
		v.kind = KindBool
	case string(v.text) == "null":
		v.kind = KindNull
	case isNumber(v.text):
		v.kind = KindNumber
	default:
		v.kind = KindString
		s.lenient = true
	}
}

// composite steps over the array or object at i and counts what it has at its
// own level.
func (s *scanner) composite(v *value) {
	var kinds uint64 // the open brackets, innermost lowest: 1 for an object
	depth, filled := 0, false
	var inner value
	for {
		c := s.peek()
		s.work++
		filled = filled || depth == 1 && c != ']' && c != '}'
		switch c {
		case '{', '[':
			if depth++; depth <= maxChecked {
				kinds = kinds<<1 | isObject(c)
			}
			if depth == 2 {
				v.span.add(0)
			}
			s.i++
		case '}', ']':
			if depth <= maxChecked {
				s.bad = kinds&1 != isObject(c)
				kinds >>= 1
			}
			depth--
			s.i++
		case ',', ';':
			if depth == 1 {
				v.n++
			}
			s.i++
		case ':', '=', '/', '\\', '\f':
			s.i++
		case '"', '\'':
			s.quoted(&inner)
			if depth == 1 && !inner.cut {
				v.span.add(inner.n)
			}
		default:
			if s.i == len(s.b) {
				v.cut = true
			} else if s.word(&inner); depth == 1 && !inner.cut {
				v.span.add(inner.textLen())
			}
		}
		if depth == 0 || v.cut || s.bad {
			break
		}
	}
	if filled {
		v.n++
	}
}

// isObject is 1 for a curly bracket and 0 for a square one: ASCII has them 32
// apart.
func isObject(c byte) uint64 { return uint64(c >> 5 & 1) }

// isNumber reports whether b is a number of RFC 8259 section 6.
func isNumber(b []byte) bool {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	whole := digits(b)
	if whole == 0 || whole > 1 && b[0] == '0' {
		return false
	}
	if b = b[whole:]; len(b) > 0 && b[0] == '.' {
		n := digits(b[1:])
		if n == 0 {
			return false
		}
		b = b[1+n:]
	}
	if len(b) == 0 || b[0]|0x20 != 'e' {
		return len(b) == 0
	}
	if b = b[1:]; len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		b = b[1:]
	}
	n := digits(b)
	return n > 0 && n == len(b)
}

// digits returns how many decimal digits b starts with.
func digits(b []byte) int {
	n := 0
	for n < len(b) && b[n]-'0' <= 9 {
		n++
	}
	return n
}
