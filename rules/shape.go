package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strconv"
)

// MaxShapeKeys bounds the parameters a Shape describes; more are only counted.
// No command of the embedded packs has more.
const MaxShapeKeys = 8

// Kind is the JSON type of a value.
type Kind uint8

// The kinds. KindNone is the zero value: there is no value, or the body ended
// before it began.
const (
	KindNone Kind = iota
	KindString
	KindNumber
	KindBool
	KindNull
	KindObject
	KindArray
)

var kindNames = [...]string{"none", "string", "number", "bool", "null", "object", "array"}

// String names the kind as JSON Schema does.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Keep says what a Shape may keep of a parameter's value besides its kind and
// length.
type Keep uint8

// What may be kept. There is deliberately no way to keep a string: seeds,
// addresses and signatures are strings of the same alphabet as harmless
// hashes, and cannot be told apart.
const (
	KeepLength      Keep = iota // kind and length only
	KeepNumber                  // and the value, if it is a JSON number
	KeepFingerprint             // and a fingerprint of the string, see Shape.RefPrint
	KeepNothing                 // not even its name: says nothing about the call
)

// param is a known parameter name.
type param struct {
	name string
	keep Keep
	api  string // the first that named it
}

// Shape is what a request's parameters look like: names of a closed list,
// kinds, lengths, and the values of harmless numbers. It is a small value
// without memory of the request, made to be kept for each call in flight.
// The zero Shape has no parameters.
type Shape struct {
	params *[]param            // of the Set; nil iff there is nothing to name
	vals   [MaxShapeKeys]int64 // of an array as list packs it
	ref    uint64
	ids    [MaxShapeKeys]uint8 // index into params
	kinds  [MaxShapeKeys]Kind
	nums   uint8 // bit i: vals[i] is the number's value, not a length
	n      uint8
	more   uint16 // known parameters beyond MaxShapeKeys
	others uint16 // parameters of unknown name
	hasRef bool
}

// Has reports whether the request has the parameter name.
func (s *Shape) Has(name string) bool { return s.find(name) >= 0 }

// Kind returns the JSON type of the parameter name, KindNone if it is absent.
func (s *Shape) Kind(name string) Kind {
	if i := s.find(name); i >= 0 {
		return s.kinds[i]
	}
	return KindNone
}

// Len returns the length of the parameter name: elements of an array, members
// of an object, bytes of a string; 0 for all else, and if it is absent. Of a
// value that the end of the body prefix cut it counts what was seen.
func (s *Shape) Len(name string) int {
	i := s.find(name)
	if i < 0 {
		return 0
	}
	switch s.kinds[i] {
	case KindString, KindObject:
		return int(s.vals[i])
	case KindArray:
		return int(list(s.vals[i]).len())
	}
	return 0
}

// list is an array in the room of one number, since a Shape is kept for each
// call in flight: the elements in the lower half, and above them the lengths
// of the shortest and the longest.
type list int64

func newList(n int, s span) list {
	if !s.any {
		s.least = math.MaxUint16 // above most: known tells
	}
	return list(uint64(min(uint(n), math.MaxUint32)) | uint64(s.least)<<32 | uint64(s.most)<<48)
}

func (l list) len() int64 { return int64(uint32(l)) }

func (l list) least() int { return int(uint16(uint64(l) >> 32)) }

// known reports whether any element was seen whole.
func (l list) known() bool { return l.least() <= l.most() }

func (l list) most() int { return int(uint64(l) >> 48) }

// MinLen returns the length of the shortest element of the list name, in
// bytes of its text as it was written; one that is no text has 0. It is 0 too
// if there is no such list, or nothing in it. 65535 stands for what is longer.
func (s *Shape) MinLen(name string) int {
	if i := s.find(name); i >= 0 && s.kinds[i] == KindArray && list(s.vals[i]).known() {
		return list(s.vals[i]).least()
	}
	return 0
}

// MaxLen returns the length of the longest element, as MinLen that of the
// shortest.
func (s *Shape) MaxLen(name string) int {
	if i := s.find(name); i >= 0 && s.kinds[i] == KindArray {
		return list(s.vals[i]).most()
	}
	return 0
}

// Int returns the value of the parameter name if the rules allow to keep it
// and it is a number; fractions are cut off, and what does not fit is the
// nearest int64.
func (s *Shape) Int(name string) (int64, bool) {
	i := s.find(name)
	if i < 0 || s.nums&(1<<i) == 0 {
		return 0, false
	}
	return s.vals[i], true
}

// RefPrint returns a fingerprint of the parameter whose value the rules want
// recognised but not kept (IRI's `reference`): the first 8 bytes of SHA-256,
// so that "the same reference again" can be said without telling which.
func (s *Shape) RefPrint() (uint64, bool) { return s.ref, s.hasRef }

// Longest returns the most elements that any array among the parameters has;
// 0 if there is none.
func (s *Shape) Longest() int {
	most := int64(0)
	for i := range int(s.n) {
		if s.kinds[i] == KindArray {
			most = max(most, list(s.vals[i]).len())
		}
	}
	return int(most)
}

// Params returns how many parameters the request has, the unnamed included.
func (s *Shape) Params() int { return int(s.n) + int(s.more) + int(s.others) }

// Others returns how many parameters have a name that no pack knows.
func (s *Shape) Others() int { return int(s.others) }

// String describes the shape in one short line of printable ASCII, like
// "addresses[2] depth=3 reference(81) other:1"; "" if there are no parameters.
func (s *Shape) String() string { return string(s.Append(nil)) }

// Append appends what String returns.
func (s *Shape) Append(dst []byte) []byte {
	start := len(dst)
	for i := range int(s.n) {
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		dst = append(dst, (*s.params)[s.ids[i]].name...)
		dst = s.appendValue(dst, i)
	}
	dst = appendCount(dst, start, "more:", s.more)
	return appendCount(dst, start, "other:", s.others)
}

func appendCount(dst []byte, start int, name string, n uint16) []byte {
	if n == 0 {
		return dst
	}
	if len(dst) > start {
		dst = append(dst, ' ')
	}
	return strconv.AppendUint(append(dst, name...), uint64(n), 10)
}

func (s *Shape) appendValue(dst []byte, i int) []byte {
	bracket := func(open, shut byte) []byte {
		return append(strconv.AppendInt(append(dst, open), s.vals[i], 10), shut)
	}
	switch k := s.kinds[i]; {
	case s.nums&(1<<i) != 0:
		return strconv.AppendInt(append(dst, '='), s.vals[i], 10)
	case k == KindArray:
		return append(strconv.AppendInt(append(dst, '['), list(s.vals[i]).len(), 10), ']')
	case k == KindObject:
		return bracket('{', '}')
	case k == KindString:
		return bracket('(', ')')
	default:
		return append(append(dst, ':'), k.String()...)
	}
}

func (s *Shape) find(name string) int {
	for i := range int(s.n) {
		if (*s.params)[s.ids[i]].name == name {
			return i
		}
	}
	return -1
}

// add notes the parameter with the index id of params. A repeated name
// replaces what it said before, as the node's own parser does.
func (s *Shape) add(id uint8, v *value) {
	p := &(*s.params)[id]
	if p.keep == KeepNothing {
		return
	}
	i := s.slot(id)
	if i < 0 {
		s.more = saturate(s.more)
		return
	}
	s.kinds[i] = v.kind
	s.vals[i] = int64(v.size())
	s.nums &^= 1 << i
	switch {
	case v.kind == KindArray:
		s.vals[i] = int64(newList(v.n, v.span))
	case v.kind == KindNumber:
		s.vals[i] = 0
		if x, ok := v.int(); ok && p.keep == KeepNumber {
			s.vals[i] = x
			s.nums |= 1 << i
		}
	case p.keep == KeepFingerprint:
		s.ref, s.hasRef = fingerprint(v)
	}
}

// slot returns the place of id, a new one if need be; -1 if all are taken.
func (s *Shape) slot(id uint8) int {
	for i := range int(s.n) {
		if s.ids[i] == id {
			return i
		}
	}
	if s.n == MaxShapeKeys {
		return -1
	}
	s.ids[s.n] = id
	s.n++
	return int(s.n) - 1
}

func saturate(n uint16) uint16 {
	if n < math.MaxUint16 {
		n++
	}
	return n
}

// maxPrinted bounds the bytes a fingerprint looks at: a transaction hash has
// 81, and nobody gains by a longer one.
const maxPrinted = 256

// fingerprint hashes what the string says, not how it was written: an escaped
// letter must not make a new reference of an old one.
func fingerprint(v *value) (uint64, bool) {
	if v.kind != KindString || v.cut {
		return 0, false
	}
	var buf [maxPrinted]byte
	text, _ := v.decode(buf[:0])
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:8]), true
}
