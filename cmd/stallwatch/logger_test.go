package main

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLogNeverWaits: a log that nobody reads drops lines beyond its bound, and
// says how many when somebody does.
func TestLogNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pager := &moody{room: 1 << 30, gate: make(chan struct{})}
		log, closeLog, err := newWatchLogger(pager, "json")
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		const said = 50_000
		for range said {
			log.Info().Msg("a line of the log")
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("logging took %v, want no waiting", d)
		}
		close(pager.gate)
		synctest.Wait()
		log.Info().Msg("another")
		closeLog()
		log.Info().Msg("after the end")
		var kept, dropped int
		lines := strings.Split(strings.TrimSuffix(pager.got.String(), "\n"), "\n")
		for _, line := range lines {
			if strings.Contains(line, `"a line of the log"`) {
				kept++
			}
			if _, rest, ok := strings.Cut(line, `"dropped":`); ok {
				for _, c := range rest {
					if c < '0' || c > '9' {
						break
					}
					dropped = 10*dropped + int(c-'0')
				}
			}
		}
		if kept+dropped != said || dropped == 0 || !strings.Contains(lines[len(lines)-2], "another") || !strings.Contains(lines[len(lines)-1], "after the end") {
			t.Errorf("%d lines kept and %d dropped of %d; the last are %q", kept, dropped, said, lines[len(lines)-2:])
		}
	})
}

// TestConsoleOrder: on a terminal the sentences come before the fields that
// programs look for, in one line.
func TestConsoleOrder(t *testing.T) {
	var b strings.Builder
	log, err := newLogger(&b, "console")
	if err != nil {
		t.Fatal(err)
	}
	log.Warn().Str("at", "now").Str("client", "192.0.2.7").Str("why", "3 of 3").Str("summary", "it hangs").Err(io.EOF).Msg("CallStalled")
	if got, want := b.String(), ` WRN CallStalled error=EOF summary="it hangs" why="3 of 3" at=now client=192.0.2.7`+"\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end in %q", got, want)
	}
}
