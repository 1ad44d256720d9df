package rules

import "unicode/utf8"

// scanned is a key or value in the making: what its text says without escapes,
// as far as anybody looks at it.
type scanned struct {
	kind Kind
	open bool
	cut  bool
	full bool // buf has not all of it
	n    int  // bytes of the whole text, without escapes; or elements
	span span
	len  int
	most int
	np   int
	pend [12]byte // an escape in the making: at most a pair of surrogates
	buf  [maxText]byte
}

func (t *scanned) reset(key bool) {
	t.kind, t.open, t.cut, t.full, t.n, t.len, t.np = KindNone, true, false, false, 0, 0, 0
	if t.most = maxText; key {
		t.most = maxName
	}
}

// raw takes the next byte between the quotes.
func (t *scanned) raw(b byte) {
	if t.np == 0 && b != '\\' {
		t.put1(b)
		return
	}
	t.pend[t.np] = b
	t.np++
	t.drain(false)
}

// drain decodes the escapes that are whole; at the end of the string all.
func (t *scanned) drain(end bool) {
	for t.np > 0 {
		p := t.pend[:t.np]
		if p[0] != '\\' {
			t.put1(p[0])
			t.shift(1)
			continue
		}
		if !end && len(p) < escapeNeeds(p) {
			return
		}
		r, size := escape(p)
		var one [utf8.UTFMax]byte
		t.put(utf8.AppendRune(one[:0], r))
		t.shift(size)
	}
}

// escapeNeeds returns how many bytes decide what the escape at p is.
func escapeNeeds(p []byte) int {
	if len(p) < 2 || p[1] != 'u' {
		return 2
	}
	if r, ok := hex4(p); ok && r&^0x7ff == 0xd800 {
		return 12 // a surrogate looks at its neighbour
	}
	return 6
}

func (t *scanned) shift(n int) {
	copy(t.pend[:], t.pend[n:t.np])
	t.np -= n
}

func (t *scanned) put1(b byte) {
	t.n++
	if t.full || t.len == t.most {
		t.full = true
		return
	}
	t.buf[t.len] = b
	t.len++
}

func (t *scanned) put(p []byte) {
	t.n += len(p)
	if t.full = t.full || t.len+len(p) > t.most; !t.full {
		t.len += copy(t.buf[t.len:], p)
	}
}

// value returns the token as the one-pass scanner tells it.
func (t *scanned) value() value {
	v := value{kind: t.kind, n: t.n, cut: t.cut, long: t.full, span: t.span}
	if t.kind != KindArray && t.kind != KindObject {
		v.text = t.buf[:t.len]
	}
	return v
}

// literal judges a word as it goes by.
type literal struct {
	n     int
	first [5]byte
	state numState
}

func (l *literal) add(b byte) {
	if l.n < len(l.first) {
		l.first[l.n] = b
	}
	l.n++
	l.state = l.state.next(b)
}

func (l *literal) kind() Kind {
	word := string(l.first[:min(l.n, len(l.first))])
	switch {
	case l.n == 0, l.n == 4 && word == "null":
		return KindNull
	case l.n == 4 && word == "true", l.n == 5 && word == "false":
		return KindBool
	case l.state == numZero || l.state == numInt || l.state == numFrac || l.state == numExp:
		return KindNumber
	}
	return KindString
}

// numState reads a number of RFC 8259 section 6.
type numState uint8

const (
	numStart numState = iota
	numMinus
	numZero
	numInt
	numDot
	numFrac
	numE
	numSign
	numExp
	numBad
)

func (s numState) next(b byte) numState {
	digit := b-'0' <= 9
	switch {
	case s == numStart && b == '-':
		return numMinus
	case (s == numStart || s == numMinus) && b == '0':
		return numZero
	case (s == numStart || s == numMinus || s == numInt) && digit:
		return numInt
	case (s == numZero || s == numInt) && b == '.':
		return numDot
	case (s == numDot || s == numFrac) && digit:
		return numFrac
	case (s == numZero || s == numInt || s == numFrac) && b|0x20 == 'e':
		return numE
	case s == numE && (b == '+' || b == '-'):
		return numSign
	case (s == numE || s == numSign || s == numExp) && digit:
		return numExp
	}
	return numBad
}
