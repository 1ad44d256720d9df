package detect

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"stallwatch/capture"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata/detect")

// run feeds inputs to an engine, up to end.
func run(t testing.TB, o Options, inputs []input, end capture.Time) []Finding {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var out []Finding
	for i := range inputs {
		out = feed(e, out, &inputs[i])
	}
	return e.Finish(out, end)
}

func feed(e *Engine, out []Finding, in *input) []Finding {
	switch {
	case in.event != nil:
		return e.Observe(out, in.event, in.verdict)
	case in.sample != nil:
		return e.Sample(out, in.at, in.sample)
	case in.tick:
		return e.Advance(out, in.at)
	}
	return e.Loss(out, in.at, in.loss)
}

func stamp(at capture.Time) string { return fmt.Sprintf("%.3f", at.Sub(epoch).Seconds()) }

// alertLines prints what people are told.
func alertLines(fs []Finding) string {
	var b strings.Builder
	for _, f := range fs {
		if f.Kind != AlertChanged {
			continue
		}
		a := f.Alert
		again := ""
		if a.Repeat {
			again = " again"
		}
		fmt.Fprintf(&b, "%s %s%s %s %s on %s (confidence %.2g)\n\t%s\n\t%s\n", stamp(a.At), a.State, again, a.Severity, a.Name, a.Subject, a.Confidence, a.Summary, a.Why)
		for _, c := range a.Evidence.Calls[:min(2, len(a.Evidence.Calls))] {
			fmt.Fprintf(&b, "\tcall of %s since %s, %s, %s\n", c.Command, stamp(c.Since), c.Client.Addr(), c.Verdict)
		}
		for _, c := range a.Evidence.Clients[:min(2, len(a.Evidence.Clients))] {
			fmt.Fprintf(&b, "\tclient %s has %d\n", c.Client, c.N)
		}
	}
	return b.String()
}

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("../testdata/detect/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { runScenario(t, name) })
	}
}

func runScenario(t *testing.T, name string) {
	ar, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var trace, want string
	o := Options{}
	wantAt := -1
	for i, f := range ar.Files {
		switch f.Name {
		case "trace":
			trace = string(f.Data)
		case "options":
			if string(f.Data) == "watched 14265\n" {
				o.Ports = []uint16{14265}
			} else if _, err := fmt.Sscanf(string(f.Data), "fd-limit %d", &o.FDLimit); err != nil {
				t.Fatal(err)
			}
		case "want":
			want, wantAt = string(f.Data), i
		}
	}
	s, err := parseScript(trace)
	if err != nil {
		t.Fatal(err)
	}
	got := alertLines(run(t, o, s.inputs, s.end))
	if *update && wantAt >= 0 {
		ar.Files[wantAt].Data = []byte(got)
		if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s\ngot:\n%swant:\n%s", name, got, want)
	}
}
