package rules

import (
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/expr-lang/expr/checker"
)

// FuzzOverPacks: whatever stands in a rule file over the packs, it is loaded or refused with its
// place, never half of it, and the same bytes say the same twice.
func FuzzOverPacks(f *testing.F) {
	a, err := txtar.ParseFile("testdata/errors.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, x := range a.Files {
		if strings.HasSuffix(x.Name, ".yaml") {
			f.Add(x.Data)
		}
	}
	f.Add([]byte(tenRules))
	base := embedded()
	f.Fuzz(func(t *testing.T, data []byte) {
		sources := append(base[:len(base):len(base)], Source{"own.yaml", data})
		s, err := Compile(sources...)
		if (s == nil) == (err == nil) {
			t.Fatalf("set %v and error %v for %q", s, err, data)
		}
		if err != nil {
			checkWords(t, err)
			return
		}
		again, err := Compile(sources...)
		if err != nil || again.Digest() != s.Digest() {
			t.Fatalf("a second reading differs: %v", err)
		}
		run(t, s)
	})
}

// checkWords holds an error to what a terminal bears.
func checkWords(t *testing.T, err error) {
	t.Helper()
	for _, line := range strings.Split(err.Error(), "\n") {
		for _, r := range line {
			if r < ' ' || r > '~' && r != '…' {
				t.Fatalf("unprintable %q in %q", r, line)
			}
		}
		if len(line) > 2000 {
			t.Fatalf("a line of %d bytes", len(line))
		}
	}
}

// run evaluates every rule of a Set once.
func run(t *testing.T, s *Set) {
	t.Helper()
	m := s.NewMachine()
	f := factsOf(s, `{"command":"getTransactionsToApprove","depth":3,"addresses":["A"]}`)
	for on := range numOn {
		m.Begin(on, f)
		for _, r := range m.Rules(on) {
			holds, err := m.Holds(r)
			if part := joined(t, m, r); err == nil && part != holds {
				t.Fatalf("%q is %t, and its clauses say %t: %+v", r.When, holds, part, m.Clauses(r))
			}
			if got := r.Render(f, 3); len(got) > maxSummary {
				t.Fatalf("a summary of %d bytes", len(got))
			}
		}
	}
}

// joined says what the clauses of a rule come to.
func joined(t *testing.T, m *Machine, a *AlertRule) bool {
	t.Helper()
	tree, err := checker.ParseCheck(a.When, expressionConfig(a.On))
	if err != nil {
		t.Fatal(err)
	}
	clauses := m.Clauses(a)
	n := 0
	for _, c := range clauses {
		if c.Holds {
			n++
		}
	}
	if operatorOf(tree.Node) == "or" {
		return n > 0
	}
	return n == len(clauses) && n > 0
}

// FuzzExpression: an expression is refused or runs; it can do nothing else.
func FuzzExpression(f *testing.F) {
	for _, when := range []string{
		`command == "getTips"`, `len("addresses") > 500 and has("reference")`, `all(1..9, # > 3)`, `from("10.0.0.0/8")`,
		`status in [1, 2.5, "x"]`, `"a" matches "(a+)+$"`, `not (1 < 2 ? true : 3 > 4)`, `body_bytes / 0 > 1`, `-body_bytes < -1`, "`x` == `y`",
		`let x = 1; x > 0`, `command | upper()`, `{"a": 1}.a == 1`, `command?.x ?? true`, `((((true))))`, `1e999 > 1`, `0x7fffffffffffffff + 1 > 0`,
	} {
		for on := range numOn {
			f.Add(uint8(on), when)
		}
	}
	base := Default()
	f.Fuzz(func(t *testing.T, kind uint8, when string) {
		on := On(kind) % numOn
		c := &compiler{set: base}
		p := c.expression(on, textAt{at: place{"own.yaml", 1, 1}, text: when})
		if (p == nil) == (len(c.errs) == 0) {
			t.Fatalf("program %v and errors %v", p, c.errs)
		}
		if p == nil {
			for _, err := range c.errs {
				checkWords(t, err)
			}
			return
		}
		view := *base
		view.alerts = []*AlertRule{{Name: "One", On: on, When: when, program: p}}
		view.all = &view
		run(t, &view)
	})
}
