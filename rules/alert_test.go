package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// own compiles a rule file over the packs.
func own(t testing.TB, text string) *Set {
	t.Helper()
	s, err := Compile(append(embedded(), Source{"own.yaml", []byte(text)})...)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return s
}

// oneRule compiles a rule of one expression.
func oneRule(t testing.TB, on On, when string) (*Machine, *AlertRule) {
	t.Helper()
	s := own(t, "alerts:\n  - alert: One\n    on: "+on.String()+"\n    when: '"+strings.ReplaceAll(when, "'", "''")+"'\n")
	return s.NewMachine(), s.Alerts()[0]
}

func factsOf(s *Set, body string) *Facts {
	v := s.Classify(post(body))
	return &Facts{Verdict: &v, Client: netip.MustParseAddrPort("192.0.2.7:40000"), Server: netip.MustParseAddrPort("198.51.100.1:14265"),
		Method: []byte("POST"), Target: []byte("/api/v1/messages/0123456789abcdef0123?seed=SECRET"), UserAgent: []byte("iota\x1b[31m"),
		BodyBytes: int64(len(body)), Status: 200, Wait: 1500 * time.Millisecond, ResponseBytes: 70, Age: 12 * time.Second}
}

func TestHolds(t *testing.T) {
	const tips = `{"command":"getTransactionsToApprove","depth":3,"reference":"ABC","addresses":[1,2,3]}`
	for _, tt := range []struct {
		on   On
		when string
		want bool
	}{
		{OnRequest, `true`, true},
		{OnRequest, `command == "getTransactionsToApprove"`, true},
		{OnRequest, `command in ["getTips", "getTransactionsToApprove"]`, true},
		{OnRequest, `command not in ["getTips"] and class == "heavy" && api == "iri"`, true},
		{OnRequest, `len("addresses") > 2 and has("reference") and int("depth") == 3`, true},
		{OnRequest, `len("tips") > 0 or has("trytes") or int("threshold") > 0`, false},
		{OnRequest, `from("192.0.2.0/24") and not from("10.0.0.0/8")`, true},
		{OnRequest, `from("2001:db8::/32")`, false},
		{OnRequest, `client == "192.0.2.7" and server == "198.51.100.1:14265"`, true},
		{OnRequest, `target == "/api/v1/messages/0123456789abcdef0123"`, false},
		{OnRequest, `target == "/api/v1/messages/{id}" and method == "POST"`, true},
		{OnRequest, `target contains "SECRET"`, false},
		{OnRequest, `target matches "^/api/v[12]/"`, true},
		{OnRequest, `user_agent == "iota\\x1b[31m"`, true},
		{OnRequest, `body_bytes > 10 and body_bytes * 2 < 1000 and calls == 1`, true},
		{OnRequest, `body_bytes > 1000 ? has("reference") : has("trytes")`, false},
		{OnExchange, `status >= 200 and status < 300 and wait_seconds > 1.4 and response_bytes == 70`, true},
		{OnPending, `age_seconds >= 12`, true},
		{OnNode, `fds > 0.8 * fd_limit`, true},
		{OnNode, `fd_eta_seconds < 600`, false},
		{OnNode, `close_wait_kernel >= 0 or unaccepted >= 0`, false},
		{OnNode, `connections == 5 and in_flight == 2 and oldest_seconds > 3 and close_wait == 1 and server startsWith "198."`, true},
	} {
		m, r := oneRule(t, tt.on, tt.when)
		f := factsOf(Default(), tips)
		if tt.on == OnNode {
			*f = Facts{Server: f.Server, Node: NodeFacts{Connections: 5, InFlight: 2, Oldest: 4 * time.Second, CloseWait: 1,
				CloseWaitKernel: -1, Unaccepted: -1, FDs: 900, FDLimit: 1000}}
		}
		m.Begin(tt.on, f)
		got, err := m.Holds(r)
		if err != nil || got != tt.want {
			t.Errorf("on %s: %s: got %t, %v; want %t", tt.on, tt.when, got, err, tt.want)
		}
	}
}

// TestEveryFieldEvaluates holds the table of names to what it promises: each
// has a value of its type on each kind of rule that it is listed for.
func TestEveryFieldEvaluates(t *testing.T) {
	var b strings.Builder
	b.WriteString("alerts:\n")
	for i, f := range Fields() {
		if f.Doc == "" {
			t.Errorf("%s has no documentation", f.Name)
		}
		for _, on := range f.On {
			when := f.Name + map[string]string{"text": ` not contains "?"`, "integer": " > -2", "number": " > -2"}[f.Type]
			fmt.Fprintf(&b, "  - {alert: Field%d%s, on: %s, when: '%s'}\n", i, on, on, when)
		}
	}
	s := own(t, b.String())
	m := s.NewMachine()
	for _, r := range s.Alerts() {
		m.Begin(r.On, factsOf(s, `{"command":"getTips"}`))
		if got, err := m.Holds(r); err != nil || !got {
			t.Errorf("on %s: %s: got %t, %v", r.On, r.When, got, err)
		}
	}
}

func TestRender(t *testing.T) {
	s := own(t, `
alerts:
  - alert: Tips
    by: client
    more_than: 20 per 10s
    when: command == "getTransactionsToApprove"
    summary: "{{.client}} sent {{ count }} of {{.command}} ({{shape}}) in {{within}} to {{server}}"
  - {alert: Bare, when: has("reference"), more_than: 3 per 1m}
  - alert: Late
    on: exchange
    when: wait_seconds > 1
    summary: "answered {{status}} after {{wait_seconds}} s \u202e"
`)
	f := factsOf(s, `{"command":"getTransactionsToApprove","depth":3,"reference":"SECRET"}`)
	for i, want := range []string{
		"192.0.2.7 sent 21 of getTransactionsToApprove (depth=3 reference(6)) in 10s to 198.51.100.1:14265",
		`21 calls in 1m0s matched has("reference")`,
		`answered 200 after 1.5 s \u{202e}`,
	} {
		if got := s.Alerts()[i].Render(f, 21); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestAlertDefaultsAndOverlay(t *testing.T) {
	s, err := Compile(append(embedded(),
		Source{"a.yaml", []byte("alerts:\n  - {alert: One, when: 'calls > 1', severity: critical}\n  - {alert: Two, when: 'calls > 2'}\n")},
		Source{"b.yaml", []byte("alerts:\n  - {alert: One, on: pending, by: command, more_than: 4, for: 30s, when: 'age_seconds > 9'}\n")})...)
	if err != nil {
		t.Fatal(err)
	}
	a := s.Alerts()
	if len(a) != 2 || a[0].Name != "One" || a[0].On != OnPending || a[0].By != ByCommand || a[0].MoreThan != 4 ||
		a[0].Within != 0 || a[0].For != 30*time.Second || a[0].Severity != Warning {
		t.Errorf("the later rule does not replace the whole: %+v", a[0])
	}
	if a[1].On != OnRequest || a[1].By != ByServer || a[1].MoreThan != 0 || a[1].Within != anyWindow || a[1].Severity != Warning {
		t.Errorf("defaults: %+v", a[1])
	}
	if view, err := s.Select("iri"); err != nil || len(view.Alerts()) != 2 {
		t.Errorf("a view has not the rules of the whole: %v", err)
	}
}

func TestSettings(t *testing.T) {
	s, err := Compile(append(embedded(),
		Source{"a.yaml", []byte("detectors:\n  A: {n: 3, f: 0.5, d: 10s, b: true, u: 7, i: 2}\n  B: {n: 4}\n")},
		Source{"b.yaml", []byte("detectors:\n  A: {n: 5}\n")})...)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var f, i float64
	var d time.Duration
	var b bool
	var u uint64
	into := map[string]any{"A.n": &n, "A.f": &f, "A.d": &d, "A.b": &b, "A.u": &u, "A.i": &i}
	for _, x := range s.Settings() {
		if p := into[x.Detector+"."+x.Name]; p != nil {
			if err := x.Into(p); err != nil {
				t.Error(err)
			}
		}
	}
	if n != 5 || f != 0.5 || d != 10*time.Second || !b || u != 7 || i != 2 {
		t.Errorf("got %d %g %s %t %d %g", n, f, d, b, u, i)
	}
	for _, tt := range []struct{ value, want string }{
		{"3.5", "bad.yaml:1:20: n is 3.5, want a whole number"},
		{"-3", "bad.yaml:1:20: n is -3, want a number from 0 to 2147483647"},
		{"99999999999", "bad.yaml:1:20: n is 99999999999, want a number from 0 to 2147483647"},
		{"many", `bad.yaml:1:20: n is the text "many", want a whole number`},
		{"true", "bad.yaml:1:20: n is true, want a whole number"},
	} {
		s, err := Compile(append(embedded(), Source{"bad.yaml", []byte("detectors: {A: {n: " + tt.value + "}}\n")})...)
		if err != nil {
			t.Fatal(err)
		}
		old := n
		err = s.Settings()[0].Into(&n)
		if err == nil || err.Error() != tt.want || n != old {
			t.Errorf("got %v, n = %d; want %s, n = %d", err, n, tt.want, old)
		}
		var e *FileError
		if errors.As(s.Point(err), &e); !strings.HasSuffix(e.Pointer(), "\n"+strings.Repeat(" ", 19)+"^\n") {
			t.Errorf("pointer:\n%s", e.Pointer())
		}
	}
}

func TestPointer(t *testing.T) {
	_, err := Compile(append(embedded(), Source{"own.yaml", []byte("alerts:\n  - alert: Typo\n    when: comand == \"getTips\"\n")})...)
	var e *FileError
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	const want = "    when: comand == \"getTips\"\n          ^\n"
	if e.Pointer() != want {
		t.Errorf("got\n%swant\n%s", e.Pointer(), want)
	}
}

const tenRules = `
alerts:
  - {alert: Rule0, more_than: 20 per 10s, by: client, when: 'command == "getTransactionsToApprove"'}
  - {alert: Rule1, when: 'len("addresses") > 500'}
  - {alert: Rule2, when: 'has("reference") and int("depth") > 10'}
  - {alert: Rule3, when: 'body_bytes > 100000'}
  - {alert: Rule4, when: 'command in ["getTips", "getTrytes"] and body_bytes > 5000'}
  - {alert: Rule5, when: 'class == "job"'}
  - {alert: Rule6, when: 'api == "jsonrpc" and calls > 50'}
  - {alert: Rule7, when: 'command == "getNodeInfo" and body_bytes > 1000'}
  - {alert: Rule8, when: 'int("minWeightMagnitude") > 14'}
  - {alert: Rule9, when: 'command == "attachToTangle" and len("trytes") > 10'}
`

func TestTenRulesAllocate(t *testing.T) {
	s := own(t, tenRules)
	m := s.NewMachine()
	f := factsOf(s, `{"command":"getTransactionsToApprove","depth":3}`)
	all := func() {
		m.Begin(OnRequest, f)
		for _, r := range m.Rules(OnRequest) {
			if _, err := m.Holds(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	all()
	// The facts are boxed once for all rules, and the bools of a stack
	// machine are not: a handful, not one for each rule.
	if n := testing.AllocsPerRun(100, all); n > 12 {
		t.Errorf("%g allocations for ten rules", n)
	}
}

func BenchmarkTenRules(b *testing.B) {
	s := own(b, tenRules)
	m := s.NewMachine()
	f := factsOf(s, `{"command":"getTransactionsToApprove","depth":3}`)
	b.ReportAllocs()
	for b.Loop() {
		m.Begin(OnRequest, f)
		for _, r := range m.Rules(OnRequest) {
			if _, err := m.Holds(r); err != nil {
				b.Fatal(err)
			}
		}
	}
}
