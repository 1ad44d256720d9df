package capture

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds b to s as big-endian words, a last odd byte being the upper half of
// one (RFC 1071 section 1). The sum of a header whose checksum field is right
// folds to 0xffff; the field itself is the complement of a folded sum. Pieces
// may be summed one after the other, all but the last of even length.
func Sum(s uint64, b []byte) uint64 { return s + sum16(b) }

// Fold brings a sum of words, of whatever width, down to 16 bits (RFC 1071
// section 2).
func Fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// sum16 adds b as big-endian 16-bit words, an odd last byte padded with zero.
// It adds eight bytes at a time, with the carry: the one's-complement sum does
// not mind the grouping (RFC 1071 section 2 (C)).
func sum16(b []byte) uint64 {
	var x, y, c, d uint64
	for len(b) >= 32 {
		x, c = bits.Add64(x, binary.BigEndian.Uint64(b), c)
		y, d = bits.Add64(y, binary.BigEndian.Uint64(b[8:]), d)
		x, c = bits.Add64(x, binary.BigEndian.Uint64(b[16:]), c)
		y, d = bits.Add64(y, binary.BigEndian.Uint64(b[24:]), d)
		b = b[32:]
	}
	x, c = bits.Add64(x, y, c)
	for len(b) >= 8 {
		x, c = bits.Add64(x, binary.BigEndian.Uint64(b), c)
		b = b[8:]
	}
	x = x>>32 + x&0xffffffff + c + d
	for len(b) >= 2 {
		x += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		x += uint64(b[0]) << 8
	}
	return x
}
