package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"stallwatch/cmd/internal/advise"
	"stallwatch/detect"
)

// A name that nobody knows is refused, and the nearest that is known proposed:
// what a flag silently ignores looks as if it had been done.
func TestUnknownNames(t *testing.T) {
	capture := filepath.Join("..", "..", "testdata", "captures", "suspect_parameters.pcap.zst")
	t.Setenv("STALLWATCH_TEST_URL", "http://127.0.0.1:9/x")
	dir := t.TempDir()
	own := writeFile(t, dir, "own-rules.yaml", []byte("alerts: [{alert: TooManyTips, when: 'command == \"getTips\"'}]\n"))
	receivers := writeFile(t, dir, "notify.yaml", []byte("receivers:\n  - {name: ops-webhook, type: webhook, url_env: STALLWATCH_TEST_URL}\n"))
	record := writeFile(t, dir, "records.jsonl", []byte(`{"type":"alert","state":"firing","alert":"OfAnotherFile","server":"10.0.0.1:14700","evidence":{}}`+"\n"))
	for _, row := range []struct {
		args string
		want string // of standard error
	}{
		{"advise --alert CallStaled", `no alert is named "CallStaled" (did you mean CallStalled?)`},
		{"advise --alert Foo", `no alert is named "Foo"; those of your own files are known with --rules`},
		{"advise --alert TooManyTip --rules " + own, "(did you mean TooManyTips?)"},
		{"advise --alert CallStalled --command getTip", "(did you mean getTips?)"},
		{"advise --alert CallStalled --api irri", "did you mean iri?"},
		{"advise --alert CallStalled --proxy haprxy", "(did you mean haproxy?)"},
		{"advise --alert OfAnotherFil --json " + record, `no firing alert OfAnotherFil among the records; and no alert is named "OfAnotherFil"`},
		{"replay --api irri " + capture, "did you mean iri?"},
		{"replay --rules " + filepath.Join(dir, "own-ruls.yaml") + " " + capture, "(did you mean " + own + "?)"},
		{"replay --rules rest " + capture, "the packs are built in: --api rest chooses one"},
		{"rules explain --api bitcion " + capture, "did you mean bitcoin?"},
		{"rules explain --command getTip " + capture, "(did you mean getTips?)"},
		{"rules explain --rules " + filepath.Join(dir, "own-rules.yml") + " " + capture, "(did you mean " + own + "?)"},
		{"rules chek " + own, "(did you mean check?)"},
		{"watch --interfce lo", "unknown flag: --interfce (did you mean --interface?)"},
		{"replay --jsn " + capture, "(did you mean --json?)"},
		{"watch --qqqqqqqq", `unknown flag: --qqqqqqqq; see "stallwatch watch --help"`},
		{"watch -x", `unknown shorthand flag: 'x' in -x; see`},
		{"help wacth", `unknown command "wacth" for "stallwatch" (did you mean watch?)`},
		{"help rules shw", `unknown command "shw" for "stallwatch rules" (did you mean show?)`},
		{"backtest", "no capture named: give files"},
		{"rules check", "which rule files? name them"},
		{"rules test", "which tests? name their files"},
		{"watch --evidence-full", "give --evidence DIR too"},
		{"watch --metrics nowhere", "want HOST:PORT, as in 127.0.0.1:9814"},
		{"replya " + capture, "(did you mean replay?)"},
		{"backtest --api rset " + capture, "did you mean rest?"},
		{"backtest --sweep CalStalled.min_calls=1 " + capture, "did you mean CallStalled?"},
		{"backtest --sweep CallStalled.min_cals=1 " + capture, "did you mean min_calls?"},
		{"backtest --sweep CallStalled.min_calls=1 --rules " + own + "x " + capture, "(did you mean " + own + "?)"},
		{"notify test --dry-run --notify " + receivers + " ops-webhok", `no receiver "ops-webhok": did you mean ops-webhook?`},
	} {
		code, out, errs := stallwatch(t, strings.Fields(row.args)...)
		if code != exitUsage || !strings.Contains(errs, row.want) || out != "" {
			t.Errorf("%s: code %d, want %d and %q\n%s%s", row.args, code, exitUsage, row.want, errs, out)
		}
	}
	for _, args := range []string{
		"advise --alert TooManyTips --rules " + own,
		"advise --alert OfAnotherFile --json " + record,
	} {
		if code, out, errs := stallwatch(t, strings.Fields(args)...); code != exitOK || out == "" {
			t.Errorf("%s: code %d, want 0\n%s", args, code, errs)
		}
	}
}

// Whatever stallwatch can raise it can give advice on.
func TestAdviceOnEveryAlert(t *testing.T) {
	for _, name := range detect.DetectorNames() {
		in := advise.Input{Alert: name}
		if err := in.CheckAlert(); err != nil {
			t.Error(err)
		}
		if err := advise.Write(io.Discard, advise.Advise(in)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
