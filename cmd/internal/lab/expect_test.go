package lab

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stallwatch/cmd/internal/demo"
	"stallwatch/detect"
)

// alertNames is the closed list of detect, by which the table must go.
var alertNames = detect.DetectorNames()

// TestEveryAlertIsRaised: each alert has a capture that must raise it. That
// there is traffic that does not is what the honest captures are for, of which
// none may raise anything.
func TestEveryAlertIsRaised(t *testing.T) {
	for _, name := range alertNames {
		if !slices.ContainsFunc(Expectations(), func(x Expectation) bool {
			return slices.ContainsFunc(x.Want, func(w Want) bool { return w.Alert == name })
		}) {
			t.Errorf("no capture must raise %s", name)
		}
	}
}

// TestExpectations: each capture has one line in the order of the scenarios,
// every deadline lies within its capture, and an alert that is due before an
// event can come before it.
func TestExpectations(t *testing.T) {
	scenarios := Scenarios()
	for i, x := range Expectations() {
		if i >= len(scenarios) || x.Capture != scenarios[i].Name {
			t.Fatalf("line %d is of %q, which is not the scenario of that place", i, x.Capture)
		}
		ev, first, last := committed(t, x.Capture)
		start := x.start(&ev, first)
		if strings.HasPrefix(x.Capture, "honest") && len(x.Want)+len(x.May) > 0 {
			t.Errorf("%s: honest traffic may raise nothing, not %v %v", x.Capture, x.Want, x.May)
		}
		for _, w := range x.Want {
			if due := w.Due(&ev, start); due <= 0 || start.Add(due).After(last) {
				t.Errorf("%s: %s is due after %s, the capture ends after %s", x.Capture, w.Alert, due, last.Sub(start))
			}
			if _, happened := w.Before.of(&ev, start); w.Before != Whenever && !happened {
				t.Errorf("%s: %s is due before an event that did not happen", x.Capture, w.Alert)
			}
			if !slices.Contains(alertNames, w.Alert) {
				t.Errorf("%s: no alert is named %q", x.Capture, w.Alert)
			}
		}
		for _, name := range x.May {
			if !slices.Contains(alertNames, name) {
				t.Errorf("%s: no alert is named %q", x.Capture, name)
			}
		}
	}
	if got := len(Expectations()); got != len(scenarios) {
		t.Errorf("%d expectations for %d scenarios", got, len(scenarios))
	}
}

// committed reads a capture's events and the times of its first and last
// packet.
func committed(t *testing.T, name string) (ev Events, first, last time.Time) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(captures, name+".events.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &ev); err != nil {
		t.Fatal(err)
	}
	first, last = packets(t, filepath.Join(captures, name+".pcap.zst"))
	return ev, first, last
}

// TestJudge holds made-up alerts to an expectation.
func TestJudge(t *testing.T) {
	t0, node := time.Unix(1000, 0), netip.MustParseAddrPort("127.0.0.1:14265")
	at := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Second) }
	ev := Events{Play: &demo.Result{AttackStart: t0, FirstFailure: &demo.Call{Start: at(40), End: at(45)}, EMFILE: at(60)},
		Failures: []demo.Call{{Start: at(40), End: at(45)}, {Start: at(38), End: at(46)}}}
	x := Expectation{Capture: "x", May: []string{"NodeDown"}, Want: []Want{
		{"CallStalled", detect.Warning, 32 * time.Second, FirstFailure, false},
		{"AdminCommand", detect.Critical, 50 * time.Second, FirstFailure, false},
		{"DescriptorExhaustion", detect.Warning, 50 * time.Second, HalfWay, true},
	}}
	good := []Fired{{at(32), "CallStalled", detect.Warning, node, detect.NoLeg}, {at(1), "AdminCommand", detect.Info, node, detect.NoLeg}, {at(38), "AdminCommand", detect.Critical, node, detect.NoLeg},
		{at(30), "DescriptorExhaustion", detect.Critical, node, detect.NoLeg}, {at(61), "NodeDown", detect.Critical, node, detect.NoLeg}, {at(5), "PortScan", detect.Info, node, detect.NoLeg}}
	for _, tt := range []struct {
		name   string
		change func([]Fired) []Fired
		host   bool
		want   string // in the only complaint; "": none
	}{
		{"all well", func(f []Fired) []Fired { return f }, true, ""},
		{"missing", func(f []Fired) []Fired { return f[1:] }, true, "CallStalled (warning) did not fire"},
		{"late", func(f []Fired) []Fired { f[0].Time = at(33); return f }, true, "CallStalled (warning) fired 33s after the attack's start, due after 32s"},
		{"early", func(f []Fired) []Fired { f[0].Time = at(-1); return f }, true, "before the attack"},
		{"after the failure", func(f []Fired) []Fired { f[2].Time = at(39); return f }, true, "due after 38s"},
		{"not severe", func(f []Fired) []Fired { f[2].Severity = detect.Warning; return f }, true, "AdminCommand (critical) did not fire"},
		{"past half way", func(f []Fired) []Fired { f[3].Time = at(31); return f }, true, "due after 30s"},
		{"past half way, no host", func(f []Fired) []Fired { f[3].Time = at(31); return f }, false, ""},
		{"false alarm", func(f []Fired) []Fired { f[5].Severity = detect.Warning; return f }, true, "PortScan (warning) of 127.0.0.1:14265 fired 5s after the start, and must not"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wrong := x.Judge(&ev, t0, tt.change(slices.Clone(good)), tt.host)
			if tt.want == "" && len(wrong) > 0 || tt.want != "" && (len(wrong) != 1 || !strings.Contains(wrong[0], tt.want)) {
				t.Errorf("got %q, want %q", wrong, tt.want)
			}
		})
	}
	x.Healthy = node.Port()
	if wrong := x.Judge(&ev, t0, good[2:3], false); len(wrong) != 2 || !strings.Contains(wrong[1], "AdminCommand (critical) of") {
		t.Errorf("an alert of a healthy node: %q, want it told of", wrong)
	}
	quiet := Expectation{Capture: "x", Start: 3 * time.Second}
	if wrong := quiet.Judge(&Events{}, t0, []Fired{{at(5), "CallStalled", detect.Warning, node, detect.NoLeg}}, false); len(wrong) != 1 || !strings.Contains(wrong[0], "fired 2s after") {
		t.Errorf("an alert on honest traffic: %q, want it told of", wrong)
	}
}
