package capture

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestFoldedSum(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    uint64
		b    []byte
		want uint16
	}{
		{"nothing", 0, nil, 0},
		{"RFC 1071 section 3", 0, []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0xddf2},
		{"an odd byte is an upper half", 0, []byte{0x12, 0x34, 0x56}, 0x6834},
		{"begun before", 0xddf2, []byte{0x22, 0x0d}, 0xffff},
		{"the carry comes round", 0xffff, []byte{0x00, 0x01}, 0x0001},
		{"an IPv4 header", 0, []byte{0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7}, 0xffff},
		{"the largest", math.MaxUint64, nil, 0xffff},
	} {
		if got := Fold(Sum(tt.s, tt.b)); got != tt.want {
			t.Errorf("%s: got %#x, want %#x", tt.name, got, tt.want)
		}
	}
}

// However many bytes are added at a time, the sum is that of the words.
func TestSumOfAnyLength(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32() | 0xf0) // many carries
		}
		var want uint64
		for i, x := range b {
			want += uint64(x) << (8 * (1 - i%2))
		}
		even := rnd.IntN(n+1) &^ 1
		if got := Fold(Sum(Sum(7, b[:even]), b[even:])); got != Fold(7+want) {
			t.Fatalf("%d bytes, cut at %d: got %#x, want %#x", n, even, got, Fold(7+want))
		}
	}
}
