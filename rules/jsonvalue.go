package rules

import (
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// value is what a scan tells of one JSON value. Its text is a part of the
// scanned bytes.
type value struct {
	kind Kind
	esc  bool   // text has escapes
	cut  bool   // the input ended within the value
	long bool   // text is not all of it
	span span   // of an array's elements
	n    int    // elements of an array, members of an object, else bytes of text; see size
	text []byte // of a string what stands between the quotes, else the literal itself; nil for arrays and objects
}

// span is how long the texts of an array are, in bytes as they stand between
// the quotes: an escape counts with its backslash, since no honest client
// escapes hashes and trytes, and looking at each byte would cost all others.
// An element that is no text has a length of 0. Both are 0 for an array
// without elements, and math.MaxUint16 stands for all that is longer.
type span struct {
	least, most uint16
	any         bool
}

func (s *span) add(n int) {
	m := uint16(min(n, math.MaxUint16))
	if m < s.least || !s.any {
		s.least = m
	}
	if m > s.most {
		s.most = m
	}
	s.any = true
}

// decode returns the string's bytes without escapes, at most cap(dst) of them
// if it has any, and whether these are all. Without escapes no copy is made.
func (v *value) decode(dst []byte) (text []byte, whole bool) {
	if !v.esc {
		if len(v.text) > cap(dst) {
			return v.text[:cap(dst)], false
		}
		return v.text, !v.long
	}
	dst, total := unescape(dst, v.text)
	return dst, total == len(dst)
}

// textLen is the length of a text, 0 for what is none.
func (v *value) textLen() int {
	if v.kind != KindString {
		return 0
	}
	return v.n
}

// size returns what n says, of a string without its escapes.
func (v *value) size() int {
	if !v.esc {
		return v.n
	}
	_, n := unescape(nil, v.text)
	return n
}

// maxNumber bounds a number's text: the longest a float64 needs is 24 bytes.
const maxNumber = 32

// int returns the number, without its fraction and held within int64.
func (v *value) int() (int64, bool) {
	if v.kind != KindNumber || v.cut || len(v.text) > maxNumber {
		return 0, false
	}
	if n, err := strconv.ParseInt(string(v.text), 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(string(v.text), 64)
	switch {
	case f >= math.MaxInt64:
		return math.MaxInt64, true
	case f <= math.MinInt64:
		return math.MinInt64, true
	case err != nil:
		return 0, false
	}
	return int64(f), true
}

// unescape appends what the escapes of a string's text (RFC 8259 section 7)
// stand for, while it fits in cap(dst), and returns the length of the whole.
// It never fails: a broken escape stands for itself, half a surrogate pair for
// U+FFFD as in encoding/json.
func unescape(dst, text []byte) ([]byte, int) {
	total, full := 0, false
	for i := 0; i < len(text); {
		var one [utf8.UTFMax]byte
		piece := text[i : i+1]
		if text[i] != '\\' {
			i++
		} else {
			r, size := escape(text[i:])
			piece = utf8.AppendRune(one[:0], r)
			i += size
		}
		total += len(piece)
		full = full || len(dst)+len(piece) > cap(dst)
		if !full {
			dst = append(dst, piece...)
		}
	}
	return dst, total
}

// escape reads the escape at the start of b and returns its size in b.
func escape(b []byte) (rune, int) {
	if len(b) < 2 {
		return '\\', 1
	}
	switch c := b[1]; c {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		return escapeU(b)
	case '"', '\\', '/', '\'':
		return rune(c), 2
	default:
		return '\\', 1
	}
}

func escapeU(b []byte) (rune, int) {
	r, ok := hex4(b)
	if !ok {
		return '\\', 1
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if low, ok := hex4(b[6:]); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

// hex4 reads \uXXXX.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
