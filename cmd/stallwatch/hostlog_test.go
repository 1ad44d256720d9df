package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"stallwatch/capture"
)

// TestHostLog: each outage is a line, whatever reasons follow each other in
// it, unless one of them stays.
func TestHostLog(t *testing.T) {
	for _, tt := range []struct {
		name    string
		known   string // problem told at the start
		samples string // a letter each: lower case a pid, upper case a problem
		want    string
	}{
		{name: "in sight all the time", samples: "aaaa", want: "a"},
		{name: "a problem told at the start", known: "X", samples: "XXXXXXXXXXXXXXXXXXX", want: ""},
		{name: "restart", samples: "aaEXXXXbbb", want: "aEb"},
		{name: "restart between two samples", samples: "aabb", want: "ab"},
		{name: "the same process again", samples: "aaEEaa", want: "aEa"},
		{name: "another reason that stays", samples: "aE" + strings.Repeat("H", 12), want: "aEH"},
		{name: "two reasons in turn", samples: "a" + strings.Repeat("EEEHHH", 20), want: "aE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log lockedBuffer
			h := &hostLog{log: zerolog.New(&log), problem: tt.known}
			for _, c := range tt.samples {
				if c < 'a' {
					h.sample(&capture.Sample{Err: string(c)})
				} else {
					h.sample(&capture.Sample{PID: int(c), Process: string(c)})
				}
			}
			var got []string
			for line := range strings.Lines(log.String()) {
				if _, rest, ok := strings.Cut(line, `"problem":"`); ok {
					got = append(got, rest[:1])
				} else if _, rest, ok := strings.Cut(line, `"process":"`); ok {
					got = append(got, rest[:1])
				}
			}
			if !slices.Equal(got, strings.Split(tt.want, "")) {
				t.Errorf("told %q, want %q:\n%s", got, tt.want, log.String())
			}
		})
	}
}
