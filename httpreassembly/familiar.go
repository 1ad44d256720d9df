package httpreassembly

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"stallwatch/capture"
)

// familiar is the fields of a head that was read before. A client says the
// same in each request but for a length, a server but for a length and a
// date: what differs is a hole, and the rest is compared instead of read. A
// head that fits means, byte for byte, what reading it would give; any doubt
// is a miss, and the head is read.
//
// Only heads without an oddity are kept, so nothing odd is ever passed over.
//
// It never changes, so that exchanges may point into it. Each that does pins
// it, whatever takes its slot: up to 1.5 KiB for what is charged as nothing.
// So only what was met a few times is shared, and to pin as many as there are
// calls takes as many times more requests.
type familiar struct {
	first  []byte // a request's first line, as it was when the head was learnt
	r      line1  // into first
	fields []byte // from behind the first line to behind the empty one
	lines  []fieldLine
	holes  []int // indices of lines whose value may differ, in order
	fr     framing
	views  views // into fields
	head   Head  // valid iff shared
	shared bool  // no view is a hole: it is the head of every request in these words
}

// fieldLine is where a field stands in familiar.fields: the value is
// [value, end), without the white space around it.
type fieldLine struct {
	start, value, end int32
	field             field
	hole              bool
}

// field says what a field means here.
type field uint8

const (
	fieldHost field = iota // the first ones are views
	fieldContentType
	fieldContentEncoding
	fieldUserAgent
	fieldForwarded
	fieldForwardedFor
	numViews
	fieldAPIVersion = iota - 1
	fieldLength
	fieldCoding
	fieldDate
	fieldOther
)

// fieldOf names a field; most fail by their first letter.
func fieldOf(name []byte) field {
	switch c := name[0] | 0x20; {
	case c == 'h' && is(name, "host"):
		return fieldHost
	case c == 'c' && is(name, "content-length"):
		return fieldLength
	case c == 'c' && is(name, "content-type"):
		return fieldContentType
	case c == 'c' && is(name, "content-encoding"):
		return fieldContentEncoding
	case c == 'd' && is(name, "date"):
		return fieldDate
	case c == 'f' && is(name, "forwarded"):
		return fieldForwarded
	case c == 't' && is(name, "transfer-encoding"):
		return fieldCoding
	case c == 'u' && is(name, "user-agent"):
		return fieldUserAgent
	case c == 'x' && is(name, "x-forwarded-for"):
		return fieldForwardedFor
	case c == 'x' && is(name, "x-iota-api-version"):
		return fieldAPIVersion
	}
	return fieldOther
}

// Bounds of what is kept: 2*familiarSlots heads, some 1.5 KiB each at most.
const (
	familiarSlots = 64
	maxFamiliar   = 1 << 10 // bytes of fields
	maxLines      = 32
	relearn       = 4 // misses until a slot is learnt anew: heads that never come again cost little
	seldom        = 8 // hits until a head may be shared
)

// familiars are the heads of a Tracker: by the client's address for requests,
// by the server's for answers. That others share a slot costs time only.
type familiars struct {
	slots [2][familiarSlots]familiarSlot
	off   bool // for tests: reads every head
}

type familiarSlot struct {
	head   *familiar
	misses uint8
	hits   uint8 // of head, up to seldom
}

// keys are the slots of a connection, by direction.
func (fs *familiars) keys(flow *capture.Flow) (k [2]uint8) {
	for d, a := range [2][16]byte{flow.Client.As16(), flow.Server.As16()} {
		hi, lo := bits.Mul64(binary.LittleEndian.Uint64(a[:8])^binary.LittleEndian.Uint64(a[8:]), 0x9e3779b97f4a7c15)
		k[d] = uint8(hi^lo) % familiarSlots
	}
	return k
}

// find compares the fields that b begins with to those of the slot, and
// returns how long they are; 0: they are not familiar.
func (sl *familiarSlot) find(b []byte, fr *framing, v *views) int {
	if sl.head == nil {
		return 0
	}
	n := sl.head.match(b, fr, v)
	if n > 0 && sl.hits < seldom {
		sl.hits++
	}
	return n
}

// share makes x what the slot's head says, without a copy, if its first line
// is l. Find has just found the rest.
func (sl *familiarSlot) share(x *call, l []byte) bool {
	h := sl.head
	if sl.hits < seldom || !h.shared || string(l) != string(h.first) {
		return false
	}
	x.Head = &h.head
	return true
}

func (h *familiar) match(b []byte, fr *framing, v *views) int {
	pos, from := 0, int32(0) // in b and in h.fields
	*fr, *v = h.fr, h.views
	for _, i := range h.holes {
		l := &h.lines[i]
		if pos = same(b, pos, h.fields[from:l.value]); pos < 0 {
			return 0
		}
		n := valueLen(b[pos:])
		value := b[pos : pos+n]
		switch {
		case l.field == fieldLength:
			var ok bool
			if fr.length, ok = decimal(value); !ok {
				return 0
			}
		case l.field < numViews:
			v.of[l.field] = kept(trim(value))
		}
		pos, from = pos+n, l.end
	}
	return max(same(b, pos, h.fields[from:]), 0)
}

// same returns the index behind want in b at pos, or -1.
func same(b []byte, pos int, want []byte) int {
	to := pos + len(want)
	if to > len(b) || string(b[pos:to]) != string(want) {
		return -1
	}
	return to
}

// valueLen returns how many bytes b begins with that a value may hold, white
// space included: up to its CR, or to what is odd in a head.
func valueLen(b []byte) (n int) {
	const low, high = 0x2020202020202020, 0x8080808080808080
	for n+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[n:])
		if below := (x - low) & ^x & high; below != 0 { // the lowest mark is exact
			n += bits.TrailingZeros64(below) / 8
			if b[n] != '\t' {
				return n
			}
			n++
			continue
		}
		n += 8
	}
	for n < len(b) && (b[n] >= ' ' || b[n] == '\t') {
		n++
	}
	return n
}

// missed is told that fields, which nothing is odd about, had to be read, and
// what they mean for the framing; first is the line before them.
func (sl *familiarSlot) missed(first, fields []byte, fr *framing) {
	if sl.misses++; sl.head != nil && sl.misses%relearn != 0 || len(first)+len(fields) > maxFamiliar {
		return
	}
	if h := learn(fields, fr, sl.head); h != nil {
		h.begin(first)
		sl.head, sl.hits = h, 0
	}
}

// begin takes the first line. One that is not plain is read each time.
func (h *familiar) begin(l []byte) {
	h.first = bytes.Clone(l)
	h.r = requestLine(h.first)
	h.r.method = knownMethod(h.r.method)
	h.shared = h.shared && h.r.ok && h.r.minor >= 0 && h.r.method != nil
	h.head = Head{Method: h.r.method, Target: h.r.target, TargetBytes: len(h.r.target)}
	h.head.see(&h.views)
}

// learn makes a familiar of fields; nil: they are not of the kind that is
// kept. What differs from old, the head that was familiar before, is a hole
// if they agree in everything but values.
func learn(fields []byte, fr *framing, old *familiar) *familiar {
	h := &familiar{fields: bytes.Clone(fields), fr: *fr}
	var seen [fieldOther]bool
	for start := 0; ; {
		n := bytes.Index(h.fields[start:], crlf)
		if n < 0 {
			return nil // HTTP/0.9: there are none
		}
		if n == 0 {
			break
		}
		l := h.fields[start : start+n]
		i := bytes.IndexByte(l, ':')
		if i <= 0 || len(h.lines) == maxLines {
			return nil
		}
		k := fieldOf(l[:i])
		if k < fieldOther && seen[k] {
			return nil // joined or conflicting values
		} else if k < fieldOther {
			seen[k] = true
		}
		value := trim(l[i+1:])
		at := start + i + 1 + len(l[i+1:]) - len(bytes.TrimLeft(l[i+1:], " \t"))
		h.lines = append(h.lines, fieldLine{start: int32(start), value: int32(at), end: int32(at + len(value)), field: k,
			hole: k == fieldLength || k == fieldDate})
		if k < numViews && len(value) > 0 { // an empty one is nil, as when it is copied
			h.views.of[k] = kept(h.fields[at : at+len(value)])
		}
		h.views.apiVersion = h.views.apiVersion || k == fieldAPIVersion
		start += n + len(crlf)
	}
	h.widen(old)
	return h
}

// widen makes holes where h and old have different values, and where old has
// holes, if they have the same fields. How a message is coded is never one.
func (h *familiar) widen(old *familiar) {
	if old != nil && h.alike(old) {
		for i := range h.lines {
			l := &h.lines[i]
			l.hole = l.hole || l.field != fieldCoding && (old.lines[i].hole || string(h.value(i)) != string(old.value(i)))
		}
	}
	h.shared = true
	for i := range h.lines {
		if h.lines[i].hole {
			h.holes = append(h.holes, i)
			h.shared = h.shared && h.lines[i].field >= numViews
		}
	}
}

func (h *familiar) value(i int) []byte { return h.fields[h.lines[i].value:h.lines[i].end] }

// alike reports whether h and old have the same names in the same order.
func (h *familiar) alike(old *familiar) bool {
	if len(h.lines) != len(old.lines) {
		return false
	}
	for i := range h.lines {
		a, b := &h.lines[i], &old.lines[i]
		if string(h.fields[a.start:a.value]) != string(old.fields[b.start:b.value]) {
			return false
		}
	}
	return true
}

var crlf = []byte("\r\n")
