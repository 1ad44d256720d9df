package main

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/ruletest"
	"stallwatch/detect"
)

// TestBacktest sets the warnings against the failures that the makers of the
// captures noted from the clients' side (testdata/captures/README.md).
func TestBacktest(t *testing.T) {
	code, out, errs := runOne(newBacktest, "", "-p", "14265", filepath.Join(capturesDir, "iri2018.pcap.zst"), filepath.Join(capturesDir, "honest_mix.pcap.zst"))
	if code != exitOK || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	attack, honest, ok := strings.Cut(out, "\n\n")
	if !ok || !strings.Contains(attack, "  FAILURE   ") || !strings.Contains(attack, "CallStalled") || !strings.Contains(attack, " before\n") && !strings.HasSuffix(attack, " before") {
		t.Errorf("the attack:\n%s", attack)
	}
	if !strings.Contains(honest, "no warning, and nothing failed") {
		t.Errorf("honest clients:\n%s", honest)
	}
	// The first honest call fails 42.0 s after the attack began, which is 10 s
	// into the capture; it began to wait at 38.6 s.
	m := regexp.MustCompile(`failure at \+([0-9.]+)s`).FindStringSubmatch(attack)
	if m == nil {
		t.Fatalf("no failure:\n%s", attack)
	}
	if at, _ := strconv.ParseFloat(m[1], 64); at < 48 || at > 52.5 {
		t.Errorf("the failure is found at %g s, want it near 52:\n%s", at, attack)
	}
}

// TestBacktestNoFailure: what a client did wrong is no failure of the node.
func TestBacktestNoFailure(t *testing.T) {
	for _, name := range []string{"malformed", "port_scan"} {
		code, out, errs := runOne(newBacktest, "", filepath.Join(capturesDir, name+".pcap.zst"))
		if code != exitOK || strings.Contains(out, "FAILURE") || !strings.Contains(out, "nothing failed") {
			t.Errorf("%s: exit %d\n%s%s", name, code, out, errs)
		}
	}
	// Where the port is named, one that was never served is one that is down.
	code, out, errs := runOne(newBacktest, "", "-p", "8080", filepath.Join(capturesDir, "port_scan.pcap.zst"))
	if code != exitOK || !strings.Contains(out, "FAILURE   a connection was refused") {
		t.Errorf("a named port: exit %d\n%s%s", code, out, errs)
	}
}

func TestBacktestSweep(t *testing.T) {
	// The reference of 2018 is known at first sight: without that alert the
	// first warning comes from the stall itself.
	blunt := writeFile(t, t.TempDir(), "blunt.yaml", []byte("detectors: {SuspectParameters: {enabled: false}}\n"))
	code, out, errs := runOne(newBacktest, "", "-p", "14265", "--rules", blunt, "--sweep", "CallStalled.warn_floor=2s,8s,60s",
		filepath.Join(capturesDir, "iri2018.pcap.zst"), filepath.Join(capturesDir, "honest_mix.pcap.zst"))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitOK || errs != "" || len(lines) != 4 || !strings.HasPrefix(lines[0], "CallStalled.warn_floor") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	var leads []time.Duration
	for _, line := range lines[1:] {
		f := strings.Fields(line)
		if len(f) != 8 || f[1] != "0.0" || f[4] != "1" {
			t.Fatalf("%q of\n%s", line, out)
		}
		d, err := time.ParseDuration(f[5])
		if err != nil {
			t.Fatal(err)
		}
		leads = append(leads, d)
	}
	if !(leads[0] >= leads[1] && leads[1] > leads[2]) {
		t.Errorf("a later threshold must warn later:\n%s", out)
	}
	for _, tt := range []struct{ sweep, want string }{
		{"CallStalled", "want DETECTOR.SETTING"},
		{"CallStalled.min_call=1", "did you mean min_calls?"},
		{"CallStalled.min_calls=1,x", "want a whole number"},
		{"CallStalled.min_calls=1}, x: {", "want DETECTOR.SETTING"},
	} {
		if code, _, errs := runOne(newBacktest, "", "--sweep", tt.sweep, "none.pcap"); code != exitUsage || !strings.Contains(errs, tt.want) {
			t.Errorf("--sweep %s: exit %d: %s", tt.sweep, code, errs)
		}
	}
}

func TestBacktestWords(t *testing.T) {
	at := func(s float64) capture.Time { return ruletest.Epoch.Add(time.Duration(s * float64(time.Second))) }
	warning := detect.Alert{At: at(10), State: detect.Firing, Severity: detect.Warning, Name: "CallStalled", Subject: "node"}
	over := warning
	over.At, over.State = at(40), detect.Resolved
	for _, tt := range []struct {
		name    string
		changes []detect.Alert
		failed  capture.Time
		want    string
	}{
		{"quiet", nil, 0, "no warning, and nothing failed\n"},
		{"missed", nil, at(5), "     +5.0s  FAILURE   it broke\nno warning, though the node failed\n"},
		{"false", []detect.Alert{warning}, 0, "first warning at +10.0s, and nothing failed\n"},
		{"in time", []detect.Alert{warning, over}, at(30), "first warning at +10.0s, failure at +30.0s: 20s before\n"},
		{"in between", []detect.Alert{warning, over}, at(30), "    +30.0s  FAILURE   it broke\n    +40.0s  resolved  CallStalled  node\n"},
		{"late", []detect.Alert{warning}, at(4), "first warning at +10.0s, failure at +4.0s: 6s too late\n"},
	} {
		r := backtestRun{name: "x", start: ruletest.Epoch, failed: tt.failed, how: "it broke", timeline: ruletest.Timeline{Changes: tt.changes, Last: at(60)}}
		var b strings.Builder
		if err := r.write(&b); err != nil || !strings.Contains(b.String(), tt.want) {
			t.Errorf("%s: got\n%swant\n%s", tt.name, b.String(), tt.want)
		}
	}
}
