package capture

import "testing"

// tcpBytes makes a segment with the given checksum.
func tcpBytes(sum uint16, payload string) []byte {
	b := append([]byte{0x9c, 0x40, 0x37, 0xb9, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 2, 0, 0, 0, 0, 0}, payload...)
	b[16], b[17] = byte(sum>>8), byte(sum)
	return b
}

func TestSum(t *testing.T) {
	// The pseudo header 10.0.0.1, 10.0.0.2, 6, and the length of a segment.
	pseudo := func(n int) uint32 { return 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + 6 + uint32(n) }
	good := func(payload string) uint16 {
		b := tcpBytes(0, payload)
		return ^Fold(uint64(pseudo(len(b))) + sum16(b))
	}
	long := "odd and longer than eight"
	cutOptions := tcpBytes(good(""), "")
	cutOptions[12] = 0x80
	for _, tt := range []struct {
		name    string
		tcp     []byte
		missing int
		want    Checksum
	}{
		{"good, even", tcpBytes(good("12345678"), "12345678"), 0, Good},
		{"good, odd", tcpBytes(good(long), long), 0, Good},
		{"one bit off", tcpBytes(good(long)^1, long), 0, Bad},
		{"pseudo header alone", tcpBytes(uint16(pseudo(20+len(long))), long), 0, Offloaded},
		{"pseudo header of another length", tcpBytes(uint16(pseudo(20)), long), 0, Bad},
		{"payload cut", tcpBytes(good(long), long), 1, Unverified},
		{"options cut", cutOptions, 0, Unverified},
		{"header cut", tcpBytes(0, "")[:19], 0, Unverified},
	} {
		s := Segment{TCP: tt.tcp, Missing: tt.missing, Pseudo: pseudo(len(tt.tcp))}
		if got := s.Sum(); got != tt.want {
			t.Errorf("%s: Sum() = %d, want %d; of %x", tt.name, got, tt.want, tt.tcp)
		}
		if s.Unsummed, tt.want = true, map[Checksum]Checksum{Good: Offloaded, Offloaded: Offloaded, Bad: Bad}[tt.want]; s.Sum() != tt.want {
			t.Errorf("%s, IP without a sum: Sum() = %d, want %d", tt.name, s.Sum(), tt.want)
		}
	}
}

func TestSum16(t *testing.T) {
	b := make([]byte, 200)
	for i := range b {
		b[i] = byte(i*i + 255*(i%3))
	}
	for from := range 9 {
		for n := range len(b) - from {
			part := b[from : from+n]
			want := uint64(0)
			for i, c := range part {
				want += uint64(c) << (8 * (1 - i%2))
			}
			if got := Fold(sum16(part)); got != Fold(want) {
				t.Fatalf("sum16 of %d bytes from %d folds to %#x, want %#x", n, from, got, Fold(want))
			}
		}
	}
	ones := make([]byte, 100)
	for i := range ones {
		ones[i] = 0xff
	}
	if got := Fold(sum16(ones)); got != 0xffff {
		t.Errorf("sum16 of ones folds to %#x, want 0xffff", got)
	}
}

func BenchmarkSum(b *testing.B) {
	s := Segment{TCP: tcpBytes(0, string(make([]byte, 1428))), Pseudo: 1}
	b.SetBytes(int64(len(s.TCP)))
	for b.Loop() {
		s.Sum()
	}
}
