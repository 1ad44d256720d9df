package ruletest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func failures(t *testing.T, name string) string {
	t.Helper()
	f, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	results, err := f.Run()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range results {
		for _, line := range r.Failures {
			b.WriteString(r.Name + ": " + line + "\n")
		}
	}
	return b.String()
}

func TestPass(t *testing.T) {
	if got := failures(t, "testdata/pass.yaml"); got != "" {
		t.Error(got)
	}
}

func TestFail(t *testing.T) {
	const want = `fires, but not so: at 9s: want TooManyTips severity="warning": it fires with severity="critical"
fires, but not so: at 9s: want BigList: it does not fire
nobody expected it: at 9s: got TooManyTips severity="critical" subject="198.51.100.1:14265 192.0.2.1" client="192.0.2.1" summary="192.0.2.1 asks for tips too often": nobody expected it
nobody looked when it fired: at 4s: got TooManyTips severity="critical" subject="198.51.100.1:14265 192.0.2.1" client="192.0.2.1" summary="192.0.2.1 asks for tips too often": no line expects that alert at any time
`
	if got := failures(t, "testdata/fail.yaml"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestCapture runs a real capture to its end, and time beyond it.
func TestCapture(t *testing.T) {
	f, err := Parse("../../../testdata/captures/any.yaml", []byte(`
ports: [14265]
tests:
  - name: honest clients
    capture: honest_mix.pcap.zst
    expect: [{at: 30s, firing: []}, {at: 300s, firing: []}]
  - name: the attack
    capture: iri2018.pcap.zst
    expect: [{at: 0s, firing: []}]
`))
	if err != nil {
		t.Fatal(err)
	}
	results, err := f.Run()
	if err != nil {
		t.Fatal(err)
	}
	if len(results[0].Failures) > 0 {
		t.Errorf("honest clients: %q", results[0].Failures)
	}
	if !strings.Contains(strings.Join(results[1].Failures, "\n"), "got CallStalled") {
		t.Errorf("the attack: %q", results[1].Failures)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", "tests:\n  - name: x\n    trase: []\n", `t.yaml:3:5: unknown field "trase"`},
		{"no unit", "tests:\n  - trace: [{at: 5}]\n    expect: [{at: 1s}]\n", `t.yaml:2:18: `},
		{"no tests", "rules: []\n", "no tests"},
		{"neither capture nor trace", "tests:\n  - name: x\n    expect: [{at: 1s}]\n", "x: give it either a capture or a trace"},
		{"no expectation", "tests:\n  - trace: [{at: 1s}]\n", "test 1 expects nothing"},
		{"no alert", "tests:\n  - trace: [{at: 1s}]\n    expect: [{at: 1s, firing: [{severity: critical}]}]\n", "an expectation has no alert"},
		{"too many", "tests:\n  - trace: [{at: 1s, every: 1ms, times: 100000000}]\n    expect: [{at: 1s}]\n", "times is 1 to"},
		{"times without every", "tests:\n  - trace: [{at: 1s, times: 3}]\n    expect: [{at: 1s}]\n", "times needs every"},
		{"mixed versions", "tests:\n  - trace: [{at: 1s, client: '::1', server: '127.0.0.1:1'}]\n    expect: [{at: 1s}]\n", "different IP versions"},
		{"a pit", strings.Repeat("[", 500_000), "t.yaml:1:33: nested deeper"},
		{"far away", "tests:\n  - trace: [{at: 999999h}]\n    expect: [{at: 1s}]\n", "no duration from 0"},
	} {
		f, err := Parse("t.yaml", []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, %v; want %q", tt.name, f, err, tt.want)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("detectors: {CallStalled: {min_call: 1}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"no such command", "tests:\n  - trace: [{at: 1s, command: getTip}]\n    expect: [{at: 1s}]\n", `step 1 of the trace: no command is named "getTip" (did you mean getTips?)`},
		{"too much", "tests:\n  - trace: [{at: 1s, command: getTips, answer: 1ms, bytes: 16777216, every: 1ms, times: 1000000}]\n    expect: [{at: 1s}]\n", "more than 268435456 bytes"},
		{"no such capture", "tests:\n  - capture: none.pcap\n    expect: [{at: 1s}]\n", "none.pcap"},
		{"no such rules", "rules: [none.yaml]\ntests:\n  - trace: [{at: 1s}]\n    expect: [{at: 1s}]\n", "none.yaml"},
		{"bad rules", "rules: [bad.yaml]\ntests:\n  - trace: [{at: 1s}]\n    expect: [{at: 1s}]\n", "did you mean min_calls?"},
		{"no such API", "api: irj\ntests:\n  - trace: [{at: 1s}]\n    expect: [{at: 1s}]\n", "did you mean iri?"},
	} {
		f, err := Parse(filepath.Join(dir, "t.yaml"), []byte(tt.text))
		if err != nil {
			t.Fatal(tt.name, err)
		}
		if _, err := f.Run(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v; want %q", tt.name, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/pass.yaml", "testdata/fail.yaml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := Parse("t.yaml", data)
		if err == nil && len(x.Tests) == 0 {
			t.Fatal("a file without tests was taken")
		}
	})
}
