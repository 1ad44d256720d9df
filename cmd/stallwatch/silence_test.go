package main

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestSilence: a watch without a single packet says so, once and late enough.
func TestSilence(t *testing.T) {
	for _, row := range []struct {
		name  string
		first int // the second with the first packet
		want  int // lines
	}{
		{"at once", 1, 0},
		{"in the last second", silentSeconds, 0},
		{"late", silentSeconds + 1, 1},
		{"never", 1 << 30, 1},
	} {
		var b strings.Builder
		s := silence{log: zerolog.New(&b), interfaces: []string{"lo"}, ports: []uint16{14265}}
		for i := 1; i < 3*silentSeconds; i++ {
			var packets uint64
			if i >= row.first {
				packets = 1
			}
			s.second(packets)
			if i < silentSeconds && b.Len() > 0 {
				t.Fatalf("%s: said after %d s: %s", row.name, i, b.String())
			}
		}
		if got := strings.Count(b.String(), "\n"); got != row.want || got > 0 && !strings.Contains(b.String(), `"interfaces":["lo"],"ports":[14265]`) {
			t.Errorf("%s: %d lines, want %d: %s", row.name, got, row.want, b.String())
		}
	}
}
