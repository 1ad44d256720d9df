package text

import "testing"

func TestNumber(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 12345: "12,345", 1234567: "1,234,567", 1<<64 - 1: "18,446,744,073,709,551,615"} {
		if got := Number(n); got != want {
			t.Errorf("Number(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for _, row := range []struct {
		n     uint64
		x     float64
		unit  string
		exact bool
	}{{0, 0, "B", true}, {999, 999, "B", true}, {1000, 1, "kB", false}, {1_500_000, 1.5, "MB", false}, {4_000_000_000_000_000_000, 4, "EB", false}} {
		if x, unit, exact := Bytes(row.n); x != row.x || unit != row.unit || exact != row.exact {
			t.Errorf("Bytes(%d) = %v, %s, %t; want %v, %s, %t", row.n, x, unit, exact, row.x, row.unit, row.exact)
		}
	}
}
