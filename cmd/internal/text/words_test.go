package text

import (
	"testing"

	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// A word left out or used twice would merge two things in everybody's
// records.
func TestWordsAreCompleteAndDistinct(t *testing.T) {
	for name, words := range map[string][]string{
		"outcomes":   outcomes[httpreassembly.Answered:],
		"sides":      sides[httpreassembly.Client:],
		"connStates": connStates[:],
		"classes":    classes[:],
		"severities": severities[detect.Info:],
		"states":     alertStates[detect.Firing:],
		"oddities":   oddities[:],
	} {
		seen := map[string]bool{}
		for i, w := range words {
			if w == "" || seen[w] || !Printable(w) {
				t.Errorf("%s[%d] is %q: want a word of its own", name, i, w)
			}
			seen[w] = true
		}
	}
	if len(outcomes) != int(httpreassembly.Unread)+1 || len(classes) != int(rules.ClassStream)+1 {
		t.Errorf("a new outcome or class has no word: %v %v", outcomes, classes)
	}
	if got := Oddity(httpreassembly.NumOddities); got != "unknown" {
		t.Errorf("Oddity out of range is %q, want unknown", got)
	}
}

func TestEnded(t *testing.T) {
	for _, row := range []struct {
		state httpreassembly.ConnState
		how   httpreassembly.How
		want  string
	}{
		{httpreassembly.StateClosed, httpreassembly.ByFIN, "closed"},
		{httpreassembly.StateReset, httpreassembly.ByRST, "reset"},
		{httpreassembly.StateZombie, httpreassembly.ByCaptureEnd, "reset"},
		{httpreassembly.StateHalfClosed, httpreassembly.ByCaptureEnd, "half_closed"},
		{httpreassembly.StateHalfClosed, httpreassembly.ByEviction, "evicted"},
		{httpreassembly.StateServerClosed, httpreassembly.ByIdle, "open"},
		{httpreassembly.StateOpen, httpreassembly.ByIdle, "open"},
		{httpreassembly.StateHandshake, httpreassembly.ByCaptureEnd, "open"},
	} {
		if got := Ended(row.state, row.how); got != row.want {
			t.Errorf("Ended(%s, %d) = %q, want %q", ConnState(row.state), row.how, got, row.want)
		}
	}
}
