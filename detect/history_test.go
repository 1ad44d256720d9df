package detect

import (
	"testing"
	"time"
)

// A history asked five times a second reaches as far back as one asked once.
func TestHistoryReachesBack(t *testing.T) {
	for _, every := range []time.Duration{200 * time.Millisecond, 700 * time.Millisecond, second, 5 * second} {
		var h history
		at := epoch
		for i := range int64(time.Minute / every) {
			at = epoch.Add(time.Duration(i) * every)
			h.add(at, 10+i)
		}
		last := 10 + int64(at.Sub(epoch)/every)
		if grown, ok := h.growth(at, 30*second); !ok || grown < int64(29*second/every) || h.back(0).value != last {
			t.Errorf("every %s: grew by %d over 30 s (%t) to %d, want about %d and %d", every, grown, ok, h.back(0).value, 30*second/every, last)
		}
		if least, ok := h.least(at, 30*second); !ok || least > last-int64(29*second/every) {
			t.Errorf("every %s: the least is %d (%t), want at most %d", every, least, ok, last-int64(29*second/every))
		}
		if _, ok := h.least(at, 2*time.Minute); ok {
			t.Errorf("every %s: it reaches back two minutes, and began one ago", every)
		}
	}
}
