package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"stallwatch/capture/live"
)

// TestClockLog: a line when the clock is set back, and one when it is put
// right; none for what a shift of nanoseconds mends.
func TestClockLog(t *testing.T) {
	var out bytes.Buffer
	c := clockLog{log: zerolog.New(&out)}
	for _, tt := range []struct {
		shift time.Duration
		want  string
	}{{0, ""}, {time.Hour, `"ahead_seconds":3600,"message":"the clock of this machine was set back`}, {time.Hour, ""}, {time.Hour + 5, ""},
		{2 * time.Hour, `"ahead_seconds":7200`}, {3, "set forward again"}, {0, ""}} {
		out.Reset()
		c.look(live.Stats{Shift: tt.shift})
		if got := out.String(); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) || strings.Count(got, "\n") > 1 {
			t.Errorf("shift %v: %q, want %q", tt.shift, got, tt.want)
		}
	}
}
