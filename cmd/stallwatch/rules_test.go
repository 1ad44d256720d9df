package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"stallwatch/detect"
	"stallwatch/rules"
)

var updateReference = flag.Bool("update-reference", false, "rewrite rules/REFERENCE.md")

// runOne runs one command of the program.
func runOne(newCommand func(stdio) *cobra.Command, in string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	std := stdio{strings.NewReader(in), &o, &e}
	root := &cobra.Command{Use: "stallwatch", SilenceUsage: true, SilenceErrors: true}
	root.SetOut(&o)
	root.SetErr(&e)
	c := newCommand(std)
	c.Args = usageArgs(c.Args)
	root.AddCommand(c)
	root.SetArgs(append([]string{c.Name()}, args...))
	err := root.ExecuteContext(context.Background())
	if err != nil && !errors.Is(err, errReported) {
		fmt.Fprintf(&e, "stallwatch: %v\n", err)
	}
	return exitCode(err), o.String(), e.String()
}

const goodRules = `
detectors:
  CallStalled: {min_calls: 5}
alerts:
  - alert: TooManyTips
    by: client
    more_than: 20 per 10s
    when: command == "getTransactionsToApprove"
  - {alert: BigList, when: 'len("addresses") > 3'}
  - {alert: Late, on: pending, when: age_seconds > 20}
  - {alert: Errors, on: exchange, when: status >= 500}
  - {alert: Crowded, on: node, when: in_flight > 100}
`

func TestRulesCheck(t *testing.T) {
	dir := t.TempDir()
	good := writeFile(t, dir, "good.yaml", []byte(goodRules))
	code, out, errs := runOne(newRules, "", "check", good)
	if code != exitOK || errs != "" || !strings.Contains(out, "good: ") || !strings.Contains(out, "settings changed: 1; free rules: 5") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"an expression", "alerts:\n  - alert: Typo\n    when: comand == \"getTips\"\n",
			`bad.yaml:3:11: unknown name "comand" in a rule on request (did you mean command?)
      when: comand == "getTips"
            ^
`},
		{"a setting", "detectors:\n  CallStalled: {min_call: 3}\n",
			`bad.yaml:2:17: CallStalled has no setting "min_call" (did you mean min_calls?)
    CallStalled: {min_call: 3}
                  ^
`},
		{"two errors", "alerts:\n  - {alert: One, on: nod, when: 'fds > 1'}\n  - {alert: two, when: 'fds > 1'}\n", "bad.yaml:3:13: alert"},
		{"a byte that is no UTF-8", "alerts:\n  - {alert: One, when: 'user_agent == \"\xe9\"'}\n", "bad.yaml:2:40: the byte 0xe9 is no UTF-8"},
		{"escapes", "alerts:\n  - {alert: \"\\e[31m\", when: 'fds > 1'}\n", `alert "\x1b[31m" is no name`},
	} {
		bad := writeFile(t, dir, "bad.yaml", []byte(tt.text))
		code, out, errs := runOne(newRules, "", "check", good, bad)
		if code != exitUsage || out != "" || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: exit %d\n%s%swant %s", tt.name, code, out, errs, tt.want)
		}
	}
	if code, _, errs := runOne(newRules, "", "check"); code != exitUsage || !strings.Contains(errs, "--help") {
		t.Errorf("no file: exit %d: %s", code, errs)
	}
	if code, _, errs := runOne(newRules, "", "check", filepath.Join(dir, "none.yaml")); code != exitUsage || !strings.Contains(errs, "none.yaml") {
		t.Errorf("file that is not there: exit %d: %s", code, errs)
	}
}

// TestRulesShow: what is shown is a rule file, and shows the same again.
func TestRulesShow(t *testing.T) {
	dir := t.TempDir()
	good := writeFile(t, dir, "good.yaml", []byte(goodRules))
	code, out, errs := runOne(newRules, "", "show", good)
	if code != exitOK || errs != "" {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	for _, want := range []string{"min_calls: 5", "# default 3; calls over their warn budget that fire", "- alert: TooManyTips", "name: getTransactionsToApprove, class: heavy, warn: 10s"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not shown", want)
		}
	}
	shown := writeFile(t, dir, "shown.yaml", []byte(out))
	_, again, errs := runOne(newRules, "", "show", shown)
	if errs != "" || again != out { // with the digest, which the first line has
		t.Errorf("shown again it differs: %s", errs)
	}
}

// TestReference holds the documentation to the program.
func TestReference(t *testing.T) {
	const name = "../../rules/REFERENCE.md"
	got := reference(rules.Default(), detect.Options{})
	if *updateReference {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what the program reads: go test ./cmd/stallwatch -run TestReference -update-reference", name)
	}
	for _, d := range detect.DetectorNames() {
		if x := alertDocs[d]; x.means == "" || x.evidence == "" || x.todo == "" {
			t.Errorf("%s: say in alertDocs what it means, what its evidence is and what to do", d)
		}
	}
}

// TestReferenceExamples: the examples of the reference are loaded, mean
// something, and the tests among them pass.
func TestReferenceExamples(t *testing.T) {
	dir := t.TempDir()
	own := writeFile(t, dir, "own.yaml", []byte(exampleRules))
	if code, out, errs := runOne(newRules, "", "check", own); code != exitOK || !strings.Contains(out, "settings changed: 2; free rules: 4") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := runOne(newRules, "", "test", writeFile(t, dir, "own_test.yaml", []byte(exampleTests))); code != exitOK || strings.Count(out, "  ok  ") != 2 {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	for _, tt := range []struct{ request, want string }{
		{"POST / HTTP/1.1\n\n{\"op\":\"resize\",\"files\":[\"a\"]}", "command    resize of API jobs"},
		{"GET /shop/items/7 HTTP/1.1\n\n", "command    GET /shop/items/{id} of API shop"},
		{"POST / HTTP/1.1\n\n{\"command\":\"getNeighbors\"}", "budget     warn after 1s, critical after 5s\n"},
	} {
		if code, out, errs := runOne(newRules, tt.request, "explain", "--rules", own); code != exitOK || !strings.Contains(out, tt.want) {
			t.Errorf("%q: exit %d\n%s%swant %s", tt.request, code, out, errs, tt.want)
		}
	}
}

func TestRulesExplain(t *testing.T) {
	dir := t.TempDir()
	good := writeFile(t, dir, "good.yaml", []byte(goodRules))
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"a command", "POST / HTTP/1.1\n\n{\"command\":\"getTransactionsToApprove\",\"depth\":3,\"reference\":\"SECRET\"}\n", []string{
			"command    getTransactionsToApprove of API iri", "because    key command", "class      heavy", "warn after 10s, critical after 30s; lock group iri.api",
			"shape      depth=3 reference(6)", "rule       TooManyTips: holds and counts; fires at more than 20 in 10s by client",
			"rule       BigList: does not hold: len(\"addresses\") > 3\n             no   len(\"addresses\") > 3: len(\"addresses\") is 0\n",
			"rule       Late: not at 1s, not at 10s, holds at 30s in flight: age_seconds > 20\n             yes  age_seconds > 20: age_seconds is 30\n", "rule       Errors: not asked", "rule       Crowded: not asked"}},
		{"a slip", "POST / HTTP/1.1\r\nContent-Length: 19\r\n\r\n{\"command\":\"getTip\"}", []string{"command    other", "because    unknown name", "named      getTip (did you mean getTips?)"}},
		{"a route", "GET /api/v1/messages/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", []string{"command    GET /api/v1/messages/{id} of API rest", "because    method and path"}},
		{"a secret path", "GET /seed/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA?x=SECRET HTTP/1.1\n\n", []string{"because    unknown path"}},
		{"malformed", "POST / HTTP/1.1\n\n{\"command\":", []string{"malformed JSON"}},
		{"bad chunks", "POST / HTTP/1.1\nTransfer-Encoding: chunked\n\nzz", []string{"oddities   "}},
		{"a batch", "POST / HTTP/1.1\n\n[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\"},{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"eth_getLogs\"}]", []string{"because    batch", "batch      1 of eth_call", "command    eth_getLogs"}},
	} {
		code, out, errs := runOne(newRules, tt.in, "explain", "--rules", good)
		if code != exitOK || errs != "" {
			t.Errorf("%s: exit %d: %s", tt.name, code, errs)
		}
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not said:\n%s", tt.name, want, out)
			}
		}
		if strings.Contains(out, "SECRET") || strings.Contains(out, "AAAAAAAAAAAAAAAAAAAAAAAAAAAA") {
			t.Errorf("%s: a value is told:\n%s", tt.name, out)
		}
	}
	file := writeFile(t, dir, "request.http", []byte("POST / HTTP/1.1\n\n{\"command\":\"getTips\"}\n"))
	if code, out, errs := runOne(newRules, "", "explain", file); code != exitOK || !strings.Contains(out, "command    getTips") {
		t.Errorf("from a file: exit %d\n%s%s", code, out, errs)
	}
}

func TestRulesExplainCapture(t *testing.T) {
	capture := filepath.Join(capturesDir, "iri2018.pcap.zst")
	code, out, errs := runOne(newRules, "", "explain", "-p", "14265", "--command", "getTransactionsToApprove", "--client", "127.0.66.0/24", "--limit", "3", capture)
	if code != exitOK || errs != "" || strings.Count(out, "\nshape      depth=15 reference(81)\n") != 3 || !strings.Contains(out, "more: --limit shows them") ||
		!strings.Contains(out, "request    POST /, 127.0.66.") || !strings.Contains(out, "outcome    no answer; it ended after") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	for _, tt := range []struct {
		args []string
		in   string
		want string
	}{
		{[]string{"--command", "getTip", capture}, "", `no command is named "getTip"`},
		{[]string{"--client", "here", capture}, "", "want an address"},
		{[]string{"--limit", "0", capture}, "", "--limit 0"},
		{[]string{"--api", "irj", capture}, "", "did you mean iri?"},
		{nil, "hello", "no HTTP request"},
		{[]string{"none.pcap"}, "", "none.pcap"},
		{[]string{"--client", "203.0.113.1", capture}, "", "no request passed the filters"},
	} {
		if code, _, errs := runOne(newRules, tt.in, append([]string{"explain"}, tt.args...)...); code == exitOK || !strings.Contains(errs, tt.want) {
			t.Errorf("%q: exit %d: %s; want %q", tt.args, code, errs, tt.want)
		}
	}
}

func TestRulesTest(t *testing.T) {
	dir := "../internal/ruletest/testdata"
	code, out, errs := runOne(newRules, "", "test", filepath.Join(dir, "fail.yaml"))
	if code != exitError || !strings.Contains(errs, "3 tests failed") ||
		!strings.Contains(out, "  FAIL  fires, but not so\n        at 9s: want TooManyTips severity=\"warning\": it fires with severity=\"critical\"\n        at 9s: want BigList: it does not fire\n") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	good := writeFile(t, t.TempDir(), "t.yaml", []byte("tests:\n  - name: quiet\n    trace: [{at: 1s, command: getNodeInfo, answer: 1ms}]\n    expect: [{at: 9s, firing: []}]\n"))
	if code, out, errs := runOne(newRules, "", "test", good); code != exitOK || !strings.Contains(out, "  ok    quiet\n") || errs != "" {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	bad := writeFile(t, t.TempDir(), "t.yaml", []byte("test: []\n"))
	if code, _, errs := runOne(newRules, "", "test", bad); code != exitUsage || !strings.Contains(errs, "t.yaml:1:1: unknown field") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
