package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stallwatch/capture"
	"stallwatch/cmd/internal/synth"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// playReload plays items and calls reload before the item in the middle.
func playReload(t *testing.T, items []capture.Item, shards int, reload func(*Pipeline, *rules.Set)) string {
	t.Helper()
	set, err := rules.Load()
	if err != nil {
		t.Fatal(err)
	}
	var l log
	p, err := New(Options{Rules: set, Shards: shards, Round: 100, Tracker: httpreassembly.Options{Ports: []uint16{synth.ServerPort}}}, &l)
	if err != nil {
		t.Fatal(err)
	}
	for i := range items {
		if i == len(items)/2 {
			reload(p, set)
		}
		p.Item(&items[i])
	}
	p.Finish(items[len(items)-1].At)
	return l.String()
}

// TestReloadOfTheSame: rules that say the same change nothing, whatever was
// in flight when they came, and rules that are refused change nothing either.
func TestReloadOfTheSame(t *testing.T) {
	p := synth.Hostile
	p.Packets = 4000
	items := tape(t, p, 5)
	want := playReload(t, items, 1, func(*Pipeline, *rules.Set) {})
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("detectors: {CallStalled: {min_call: 1}}\nalerts:\n  - {alert: Any, when: 'calls > 0'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, shards := range []int{1, 3} {
		for name, reload := range map[string]func(*Pipeline, *rules.Set){
			"the same": func(p *Pipeline, old *rules.Set) {
				next, err := old.Reload()
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Reload(next); err != nil {
					t.Fatal(err)
				}
			},
			"a bad setting": func(p *Pipeline, old *rules.Set) {
				next, err := old.Reload(bad)
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Reload(next); err == nil || !strings.Contains(err.Error(), "did you mean min_calls?") {
					t.Errorf("got %v", err)
				}
			},
			"a stranger": func(p *Pipeline, _ *rules.Set) {
				s, err := rules.Compile(rules.Source{Name: "own.yaml", Data: []byte("apis:\n  - {name: shop, named_by: json-key, key: verb}\n")})
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Reload(s); err == nil {
					t.Error("rules that do not continue the present ones were taken")
				}
			},
		} {
			if got := playReload(t, items, shards, reload); got != want {
				t.Errorf("%s, %d shards: %s", name, shards, firstDifference(got, want))
			}
		}
	}
}

// TestReloadCounts: free rules that come with a reload are the same over any
// number of shards.
func TestReloadCounts(t *testing.T) {
	p := synth.Hostile
	p.Packets = 4000
	items := tape(t, p, 6)
	file := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(file, []byte("alerts:\n  - {alert: Busy, by: client, more_than: 1 per 10s, when: 'calls > 0'}\n  - {alert: Late, on: pending, by: command, when: 'age_seconds > 1'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reload := func(p *Pipeline, old *rules.Set) {
		next, err := old.Reload(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Reload(next); err != nil {
			t.Fatal(err)
		}
	}
	want := playReload(t, items, 1, reload)
	if !strings.Contains(want, "Name:Busy") || !strings.Contains(want, "Name:Late") {
		t.Fatal("the run proves nothing: no free rule fired")
	}
	if got := playReload(t, items, 3, reload); got != want {
		t.Errorf("%s", firstDifference(got, want))
	}
}
