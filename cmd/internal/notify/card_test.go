package notify

import (
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"stallwatch/detect"
)

// Every alert that the detectors raise has its advice.
func TestEveryAlertHasAdvice(t *testing.T) {
	files, err := os.ReadDir("../../../detect")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`\) name\(\) string\s*\{ return "([A-Z]\w+)" \}`)
	found := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		src, err := os.ReadFile("../../../detect/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(src), -1) {
			found++
			if !slices.Contains(AlertNames(), m[1]) {
				t.Errorf("no advice for %s of %s", m[1], f.Name())
			}
		}
	}
	if found < 6 {
		t.Errorf("only %d detectors found: does the expression still fit?", found)
	}
	for _, n := range AlertNames() {
		a := stalled(1, detect.Firing, detect.Critical)
		a.Name = n
		lines := Advice(a, "haproxy", "iri")
		if len(lines) == 0 || len(lines) > 5 {
			t.Errorf("%s: %d lines of advice, want one to five", n, len(lines))
		}
		for _, line := range lines {
			if strings.ContainsAny(line, "{}") {
				t.Errorf("%s: a place was not filled: %s", n, line)
			}
		}
	}
}

func TestAdviceFits(t *testing.T) {
	a := stalled(1, detect.Firing, detect.Critical)
	for _, row := range []struct{ name, proxy, node, want, not string }{
		{"haproxy", "haproxy", "", "HAProxy: deny", "nginx"},
		{"nginx", "nginx", "", "nginx: bound", "HAProxy"},
		{"direct", "", "", "block it", "HAProxy"},
		{"IRI", "", "iri", "REMOTE_LIMIT_API refuses getTransactionsToApprove", "HORNET"},
		{"HORNET", "", "hornet", "permitted remote routes", "IRI"},
	} {
		got := strings.Join(Advice(a, row.proxy, row.node), "\n")
		if !strings.Contains(got, row.want) || strings.Contains(got, row.not) {
			t.Errorf("%s: want %q and no %q in:\n%s", row.name, row.want, row.not, got)
		}
	}
	for leg, want := range map[detect.Leg]string{
		{}: "",
		{Side: detect.NodeLeg, Paired: 3, GaveUp: 2}: "proxy_read_timeout",
		{Side: detect.NodeLeg, Paired: 3}:            "max_conns",
		{Side: detect.FrontLeg, Paired: 3}:           "abortonclose",
		{Side: detect.FrontLeg}:                      "Reload or restart it",
	} {
		a.Evidence.Leg = leg
		got := strings.Join(Advice(a, "", ""), "\n")
		if !strings.Contains(got, want) || want == "" && strings.Contains(got, " leg") {
			t.Errorf("leg %+v: want %q in:\n%s", leg, want, got)
		}
	}
	a.Evidence.Leg = detect.Leg{}
	a.Client = detect.Client{}
	if got := strings.Join(Advice(a, "", ""), "\n"); strings.Contains(got, "block it") {
		t.Errorf("nobody stands out, and yet: %s", got)
	}
	a.Command = "{client}"
	a.Client = detect.ClientOf(netip.MustParseAddr("203.0.113.66"))
	if got := strings.Join(Advice(a, "haproxy", ""), "\n"); !strings.Contains(got, "names {client}") {
		t.Errorf("a command was taken for a place: %s", got)
	}
	a.State = detect.Resolved
	if got := Advice(a, "haproxy", "iri"); got != nil {
		t.Errorf("advice after the end: %q", got)
	}
}

// What a message answers: what, since when, how bad, until when, who, how
// sure, what to do.
func TestCardSaysWhatMatters(t *testing.T) {
	s := newSpeaker(&Config{Instance: "node-1", Proxy: "haproxy", Links: Links{"https://s.example/", "https://r.example/book"}})
	c := &change{Alert: Sanitized(stalled(65, detect.Firing, detect.Critical))}
	n := s.note(&batch{Changed: []*change{c}, All: []*change{c}, Dropped: 3})
	got := n.plain(1 << 20)
	for _, want := range []string{
		"CRITICAL CallStalled on 192.0.2.10:14265 getTransactionsToApprove",
		"7 calls of getTransactionsToApprove in flight, the oldest unanswered for 61 s",
		"Since: 2018-01-25 08:58:01 UTC, for 64 s",
		"Measured: 61 s (limit 10 s)",
		"Runs out: in 4 min, at 09:03:05 UTC",
		"Descriptors: 300 of 4096 (7 %)",
		"Sockets: 12 half closed on the wire, 11 CLOSE_WAIT in the kernel",
		"In flight: 7 calls",
		"Who: 203.0.113.66 stands out, 203.0.113.66 (5)",
		"What: getTransactionsToApprove depth=15 reference=hash, oldest 61 s",
		"Where: the node's process has the request and does not answer",
		"Why: 7 calls over the budget of 10 s (fires at 3)",
		"How sure: 90 %",
		"- HAProxy: deny requests whose body names getTransactionsToApprove",
		"https://r.example/book#callstalled",
		"3 earlier changes of alerts were dropped and are not shown",
		"https://s.example/",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	if want := "CRITICAL [node-1] CallStalled on 192.0.2.10:14265 getTransactionsToApprove"; n.Title != want {
		t.Errorf("title %q, want %q", n.Title, want)
	}
}

// A later change may name another client and be worse; it is the same
// incident to PagerDuty and to bridges all the same.
func TestFingerprintIsTheIncident(t *testing.T) {
	a, b := stalled(1, detect.Firing, detect.Warning), stalled(9, detect.Resolved, detect.Critical)
	b.Client = detect.Client{}
	print := func(a *detect.Alert) string { return fingerprint(alertLabels(a, "node-1", a.Severity)) }
	if print(a) != print(b) {
		t.Errorf("%s and %s, want one", print(a), print(b))
	}
	if b.Subject = "another"; print(a) == print(b) {
		t.Error("two incidents have one fingerprint")
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{1500 * time.Millisecond: "1.5 s", 61 * time.Second: "61 s", 4 * time.Minute: "4 min",
		3 * time.Hour: "3 h", 72 * time.Hour: "3 days"} {
		if got := words(d); got != want {
			t.Errorf("words(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestDefang(t *testing.T) {
	for in, want := range map[string]string{
		"https://evil.example/x": "https[:]//evil[.]example/x",
		"www.evil.example":       "www[.]evil[.]example",
		"@everyone":              "[at]everyone",
		"getNodeInfo":            "getNodeInfo",
		"10.0.0.1":               "10.0.0.1",
	} {
		if got := defang(in); got != want {
			t.Errorf("defang(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzEscapes: whatever the text, no markup of ours is left open, limits are
// kept, and no character is split.
func FuzzEscapes(f *testing.F) {
	for _, s := range []string{"", "a*b_`c`", `\`, `\\\\`, "<@&1>", "<!channel>", "&amp;", "é\U0001f4a9", "\xff", "https://x"} {
		f.Add(s, 5)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 4 + (limit&0x7fffffff)%300
		m := cutUnits(markdown(s), limit)
		if units(m) > limit {
			t.Errorf("markdown(%q): %d units, at most %d", s, units(m), limit)
		}
		if bare := regexp.MustCompile(`\\.`).ReplaceAllString(strings.ReplaceAll(m, "\n", " "), ""); strings.ContainsAny(bare, "\\*_~|`<>[]()#@") {
			t.Errorf("markdown(%q) leaves markup: %q", s, m)
		}
		if e := entities(s, limit); strings.ContainsAny(e, "<>") || units(e) > limit || utf8.ValidString(s) && !utf8.ValidString(e) {
			t.Errorf("entities(%q, %d) = %q", s, limit, e)
		}
		if c := clean(s, limit); len(c) > limit || strings.ContainsFunc(c, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("clean(%q, %d) = %q", s, limit, c)
		}
		if c := cut(s, limit); len(c) > limit || utf8.ValidString(s) && !utf8.ValidString(c) {
			t.Errorf("cut(%q, %d) = %q", s, limit, c)
		}
	})
}
