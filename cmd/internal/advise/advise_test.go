package advise

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stallwatch/detect"
	"stallwatch/rules"
)

var update = flag.Bool("update", false, "write the golden files")

func clientNamed(s string) (c detect.Client) {
	if err := c.UnmarshalText([]byte(s)); err != nil {
		panic(err)
	}
	return c
}

func clientList(words ...string) (list []detect.Client) {
	for _, w := range words {
		list = append(list, clientNamed(w))
	}
	return list
}

func prefixList(words ...string) (list []netip.Prefix) {
	for _, w := range words {
		list = append(list, netip.MustParsePrefix(w))
	}
	return list
}

var golden = []struct {
	name string
	in   Input
}{
	{"stalled-direct", Input{Alert: "CallStalled", Command: "getTransactionsToApprove", Proxy: ProxyNone,
		Clients: clientList("192.0.2.7", "2001:db8::7", "127.0.0.1"), Server: netip.MustParseAddr("198.51.100.1")}},
	{"stalled-haproxy", Input{Alert: "CallStalled", Command: "getTransactionsToApprove", Proxy: HAProxy, Clients: clientList("127.0.0.1")}},
	{"stalled-nginx", Input{Alert: "CallStalled", Command: "getTransactionsToApprove", Proxy: Nginx, Clients: clientList("192.0.2.7", "10.0.0.2"),
		Trusted: prefixList("10.0.0.0/8"), Reference: ReferenceOther}},
	{"stalled-unknown", Input{Alert: "CallStalled", Command: "findTransactions", Clients: clientList("192.0.2.7", "10.0.0.2")}},
	{"pow", Input{Alert: "PowAbuse", Command: "attachToTangle", Proxy: HAProxy}},
	{"route", Input{Alert: "CallStalled", Command: "GET /api/v1/messages/{id}", Clients: clientList("192.0.2.7")}},
	{"jsonrpc", Input{Alert: "CallStalled", Command: "eth_call", Port: 8545, Clients: clientList("192.0.2.7")}},
	{"descriptors", Input{Alert: "DescriptorExhaustion", Proxy: ProxyNone}},
	{"login", Input{Alert: "LoginProbe", Clients: clientList("192.0.2.7"), Proxy: ProxyNone}},
	{"hostile", Input{Alert: "x'; reboot #", Command: "$(reboot)", Clients: clientList("::ffff:192.0.2.7", "fe80::1%;reboot", "0.0.0.0", "192.0.2.7")}},
}

func TestGolden(t *testing.T) {
	for _, row := range golden {
		var got bytes.Buffer
		if err := Write(&got, Advise(row.in)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", row.name+".txt")
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s: got\n%s\nwant (%s; -update writes it)\n%s", row.name, &got, path, want)
		}
	}
}

// everyInput visits each alert with each command and proxy.
func everyInput(visit func(Input)) {
	clients := clientList("192.0.2.7", "2001:db8::7", "10.0.0.9", "127.0.0.1", "203.0.113.1")
	for _, alert := range Alerts {
		for _, c := range []string{"", "getTransactionsToApprove", "attachToTangle", "addNeighbors", "GET /api/v1/messages/{id}", "ANY /api/plugins/debug/*", "eth_call", "debug_*"} {
			for proxy := range Nginx + 1 {
				visit(Input{Alert: alert, Command: c, Clients: clients, Proxy: proxy, Trusted: prefixList("203.0.113.0/24"), Server: netip.MustParseAddr("198.51.100.1")})
			}
		}
	}
}

// TestNeverBansAProxy looks for addresses that must not be hit anywhere but in
// the lists of who is exempt.
func TestNeverBansAProxy(t *testing.T) {
	check := func(in Input, spared ...string) {
		t.Helper()
		for _, s := range Advise(in) {
			for _, p := range s.Parts {
				for line := range strings.Lines(p.Text) {
					if p.Where == Note || strings.Contains(line, "exempt src") || strings.Contains(line, "accept") || strings.Contains(line, "0; #") || strings.Contains(line, "proxy_pass") {
						continue
					}
					for _, a := range spared {
						if slices.Contains(strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" ,;\n", r) }), a) {
							t.Errorf("%+v: %s hits %s: %s", in, s.ID, a, line)
						}
					}
				}
			}
		}
	}
	all := clientList("127.0.0.1", "::1", "127.0.5.5", "10.0.0.9", "fe80::1", "203.0.113.1", "198.51.100.1", "192.0.2.7", "0.0.0.0", "224.0.0.1", "::ffff:203.0.113.1")
	for _, alert := range Alerts {
		for _, proxy := range []Proxy{ProxyUnknown, ProxyNone, HAProxy, Nginx} {
			in := Input{Alert: alert, Command: "getTransactionsToApprove", Clients: all, Proxy: proxy, Server: netip.MustParseAddr("198.51.100.1"), Trusted: prefixList("203.0.113.0/24")}
			never := []string{"127.0.0.1", "::1", "127.0.5.5", "fe80::1", "203.0.113.1", "198.51.100.1", "0.0.0.0", "224.0.0.1"}
			check(in, never...)
			if in.Trusted = nil; proxy != ProxyNone {
				check(in, "127.0.0.1", "10.0.0.9", "198.51.100.1")
			}
		}
	}
}

// TestBansNetworks: an IPv6 client is banned with its /64, unless that would
// hit whom nobody may hit, or a local network.
func TestBansNetworks(t *testing.T) {
	for _, row := range []struct{ name, client, server, want string }{
		{"one address", "2001:db8::7", "198.51.100.1", "2001:db8::/64"},
		{"several of it", "2001:db8::/64", "198.51.100.1", "2001:db8::/64"},
		{"the node has the same network", "2001:db8::7", "2001:db8::1", "2001:db8::7"},
		{"several of the node's own network", "2001:db8::/64", "2001:db8::1", ""},
		{"a local network", "fd00::7", "198.51.100.1", "fd00::7"},
		{"IPv4", "192.0.2.7", "198.51.100.1", "192.0.2.7"},
	} {
		in := Input{Proxy: ProxyNone, Clients: clientList(row.client), Server: netip.MustParseAddr(row.server)}
		list, _ := in.culprits()
		if got := networks(list); got != row.want {
			t.Errorf("%s: %q is banned, want %q", row.name, got, row.want)
		}
	}
}

func TestBehindAProxyNothingIsBanned(t *testing.T) {
	for _, proxy := range []Proxy{HAProxy, Nginx} {
		in := Input{Alert: "RequestFlood", Clients: clientList("192.0.2.7"), Proxy: proxy}
		if s := find(Advise(in), "nftables"); s != nil {
			t.Errorf("%v without trusted networks: banned at the node's port, where the peer is the proxy: %+v", proxy, s)
		}
		in.Trusted = prefixList("203.0.113.0/24")
		if s := find(Advise(in), "nftables"); s == nil {
			t.Errorf("%v, trusted networks known: 192.0.2.7 went around the proxy and is not banned", proxy)
		}
	}
}

func find(sections []Section, id string) *Section {
	for i := range sections {
		if sections[i].ID == id {
			return &sections[i]
		}
	}
	return nil
}

// TestSectionsAreWhole holds every section to its contract.
func TestSectionsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	everyInput(func(in Input) {
		ids := map[string]bool{}
		for _, s := range Advise(in) {
			if ids[s.ID] {
				t.Fatalf("%+v: section %s stands twice", in, s.ID)
			}
			ids[s.ID], seen[s.ID] = true, true
			if s.Title == "" || len(s.Parts) == 0 {
				t.Fatalf("%+v: empty section %+v", in, s)
			}
			if s.ID != "notes" && s.Cost == "" {
				t.Errorf("%+v: %s does not say what it costs", in, s.ID)
			}
			for _, p := range s.Parts {
				if p.Where != Note && s.Undo == "" {
					t.Errorf("%+v: %s cannot be taken back", in, s.ID)
				}
				if !strings.HasSuffix(p.Text, "\n") {
					t.Errorf("%+v: %s: a part without a newline at its end: %q", in, s.ID, p.Text)
				}
			}
		}
	})
	for _, id := range []string{"nftables", "haproxy-reference", "haproxy-any-reference", "haproxy-clients", "haproxy-command", "haproxy-limits", "haproxy-pow", "haproxy-headers",
		"haproxy-timeouts", "haproxy-size", "nginx-limits", "nginx-clients", "nginx-route", "nginx-headers", "nginx-timeouts", "nginx-command",
		"iri-limit", "hornet-permit", "hornet-routes", "descriptors", "syn", "ssh", "capture", "notes"} {
		if !seen[id] {
			t.Errorf("no input gives section %s", id)
		}
	}
}

// TestShellReadsIt asks the shell whether what is meant for it is whole.
func TestShellReadsIt(t *testing.T) {
	lines := map[string]bool{}
	everyInput(func(in Input) {
		for _, s := range Advise(in) {
			lines[s.Apply+"\n"], lines[s.Undo+"\n"] = true, true
			for _, p := range s.Parts {
				if p.Where == Shell {
					lines[p.Text] = true
				}
			}
		}
	})
	for line := range lines {
		cmd := exec.Command("/bin/sh", "-n")
		cmd.Stdin = strings.NewReader(line)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("sh -n: %v: %s\n%s", err, out, line)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, row := range []struct {
		name string
		in   Input
		want string // of the error
	}{
		{"plain", Input{Alert: "CallStalled", Command: "getNodeInfo", Clients: clientList("192.0.2.7")}, ""},
		{"alert of a rule file", Input{Alert: "TooManyTips"}, ""},
		{"hostile alert", Input{Alert: "x;reboot"}, "want a name like"},
		{"unknown command", Input{Alert: "CallStalled", Command: "getSecrets"}, "the rules know none"},
		{"hostile command", Input{Alert: "CallStalled", Command: "\x1b[2J"}, `\\x1b`},
		{"other", Input{Alert: "CallStalled", Command: "other"}, "no single command"},
		{"wrong pack", Input{Command: "eth_call", API: "iri"}, "the rules know none"},
		{"right pack", Input{Command: "eth_call", API: "jsonrpc"}, ""},
		{"no address", Input{Clients: []detect.Client{{}}}, "without an address"},
		{"many clients", Input{Clients: make([]detect.Client, MaxClients+1)}, "at most 64"},
	} {
		err := row.in.Validate()
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: Validate(%+v) = %v, want %q", row.name, row.in, err, row.want)
		}
	}
}

// TestEveryCommandIsSafe walks the closed set.
func TestEveryCommandIsSafe(t *testing.T) {
	for _, c := range rules.Default().Commands() {
		in := Input{Alert: "CallStalled", Command: c.Name, API: c.API, Clients: clientList("192.0.2.7")}
		if err := in.Validate(); err != nil && c.Name != rules.Other && c.Name != "OPTIONS" && c.Name != "*.*" {
			t.Errorf("%s: %v", c.Name, err)
		}
		checkSafe(t, in)
	}
}

// checkSafe fails if the advice has a character that no configuration or
// terminal should be given.
func checkSafe(t *testing.T, in Input) {
	var b bytes.Buffer
	Write(&b, Advise(in))
	for i, c := range b.Bytes() {
		if c != '\n' && (c < ' ' || c > '~') {
			t.Fatalf("%+v: byte %d is %#x:\n%s", in, i, c, &b)
		}
	}
}

func TestFromAlert(t *testing.T) {
	a := &detect.Alert{Name: "CallStalled", Command: "getTransactionsToApprove", Server: netip.MustParseAddrPort("198.51.100.1:14700"), Client: clientNamed("192.0.2.7")}
	a.Evidence.Clients = []detect.ClientCount{{Client: clientNamed("192.0.2.7"), N: 3}, {Client: clientNamed("192.0.2.8"), N: 1}}
	for _, row := range []struct {
		shape string
		want  Reference
	}{{"depth=3", ReferenceNone}, {"depth=3 reference(81)", ReferenceUnknown}, {"reference[2]", ReferenceOther}} {
		a.Evidence.Calls = []detect.CallRef{{Command: "getTransactionsToApprove", Shape: row.shape}}
		in := FromAlert(a, Input{Proxy: ProxyNone})
		if in.Reference != row.want || in.Port != 14700 || in.Alert != "CallStalled" || len(in.Clients) != 2 || in.Proxy != ProxyNone || in.Command == "" {
			t.Errorf("FromAlert of shape %q = %+v, want reference %d", row.shape, in, row.want)
		}
	}
}

const alertLine = `{"type":"alert","state":"firing","alert":"CallStalled","server":"10.0.0.1:14265","client":"192.0.2.8","command":"getTransactionsToApprove","evidence":{"calls":[{"conn":"7","command":"getTransactionsToApprove","shape":"depth=3"}],"clients":[{"client":"192.0.2.8","n":3},{"client":"2001:db8::1","n":1}]}}`

func TestFromRecords(t *testing.T) {
	resolved := strings.Replace(strings.Replace(alertLine, "firing", "resolved", 1), "192.0.2.8", "192.0.2.99", 2)
	flood := `{"type":"alert","state":"firing","alert":"RequestFlood","server":"10.0.0.1:14265","client":"192.0.2.5"}`
	severity := func(line, word, client string) string {
		line = strings.Replace(line, `{"type":"alert",`, `{"type":"alert","severity":"`+word+`",`, 1)
		return strings.NewReplacer("192.0.2.8", client, "192.0.2.5", client).Replace(line)
	}
	for _, row := range []struct{ name, alert, text, want, err string }{
		{"what names a command", "", alertLine + "\n" + flood + "\n" + resolved, "CallStalled 192.0.2.8 2001:db8::1", ""},
		{"the worst, whenever it came", "", severity(flood, "critical", "192.0.2.6") + "\n" + severity(flood, "warning", "192.0.2.7"), "RequestFlood 192.0.2.6", ""},
		{"of the worst the last", "", severity(flood, "critical", "192.0.2.6") + "\n" + severity(flood, "critical", "192.0.2.7"), "RequestFlood 192.0.2.7", ""},
		{"what names a command, and of those the worst", "", severity(alertLine, "critical", "192.0.2.6") + "\n" + severity(alertLine, "warning", "192.0.2.7") + "\n" + severity(flood, "critical", "192.0.2.5"), "CallStalled 192.0.2.6 2001:db8::1", ""},
		{"by name", "CallStalled", alertLine + "\n" + flood, "CallStalled 192.0.2.8 2001:db8::1", ""},
		{"none of the name", "SynFlood", alertLine, "", "no firing alert SynFlood"},
		{"empty", "", "", "", "no firing alert"},
		{"no records", "", "hello\nworld\n", "", "is it what replay --json writes"},
		{"bad address", "", strings.Replace(alertLine, "192.0.2.8", "$(reboot)", 1), "", "is it what"},
		{"line too long", "", strings.Repeat("x", 3<<20) + "\n" + flood, "RequestFlood 192.0.2.5", ""},
	} {
		in, err := FromRecords(strings.NewReader(row.text), Input{Alert: row.alert})
		if row.err != "" {
			if err == nil || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%s: error %v, want %q", row.name, err, row.err)
			}
			continue
		}
		if got := in.Alert + " " + strings.Trim(fmt.Sprint(in.Clients), "[]"); err != nil || got != row.want {
			t.Errorf("%s: got %q, %v, want %q", row.name, got, err, row.want)
		}
	}
}

// FuzzAdvise is the promise that nothing of the wire gets through.
func FuzzAdvise(f *testing.F) {
	f.Add("CallStalled", "getTransactionsToApprove", "iri", "192.0.2.7%$(reboot)", uint8(0))
	f.Add("x';reboot;'", "`reboot`", "\x1b]0;", "::1", uint8(2))
	f.Add("A\nB", "GET /api/v1/../$(x)", "", "::ffff:1.2.3.4", uint8(3))
	f.Fuzz(func(t *testing.T, alert, command, api, addr string, proxy uint8) {
		in := Input{Alert: alert, Command: command, API: api, Proxy: Proxy(proxy % 4)}
		if a, err := netip.ParseAddr(addr); err == nil {
			in.Clients = append(in.Clients, detect.ClientOf(a))
		}
		checkSafe(t, in)
		if in.Validate() == nil {
			return
		}
		// What was refused must be nowhere: the advice is the same without it.
		var got, want bytes.Buffer
		Write(&got, Advise(in))
		clean := in
		if clean.Command != "" {
			clean.Command = rules.Other // refused too
		}
		if !alertName.MatchString(alert) && alert != "" {
			clean.Alert = "NoSuchAlert"
		}
		Write(&want, Advise(clean))
		if _, err := findCommand(&in); err != nil && got.String() != want.String() {
			t.Errorf("%q, %q got in:\n%s", alert, command, &got)
		}
	})
}

// FuzzRecords reads anything.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(alertLine))
	f.Add([]byte("{\"type\":\"alert\",\"state\":\"firing\",\"alert\":\"x'\",\"command\":\"$(x)\"}\n\n{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := FromRecords(bytes.NewReader(b), Input{})
		if err == nil {
			checkSafe(t, in)
		}
	})
}

// The commands that a proxy keeps strangers from are those that the rules call
// the operator's, an operator's own among them; the key is the API's own.
func TestAdminBody(t *testing.T) {
	set, err := rules.LoadOver([]rules.Source{{Name: "own.yaml", Data: []byte(`apis:
  - {name: iri, commands: [{name: dropEverything, class: fast, admin: true}, {name: "odd.name", class: fast, admin: true}]}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ key, want string }{
		{"command", `"command"[[:space:]]*:[[:space:]]*"(getNeighbors|addNeighbors|removeNeighbors|interruptAttachingToTangle|setApiRateLimit|` +
			`triggerSolidifier|createSnapshotFile|pruneDatabase|dropEverything)"`},
	} {
		if got := adminBody(set, row.key); got != row.want {
			t.Errorf("got %s\nwant %s", got, row.want)
		}
	}
	for _, key := range []string{"command", "method"} {
		if line := adminBody(set, key); len(line) > 1900 {
			t.Errorf("%s: a line of %d bytes does not fit HAProxy's 2048 with its beginning", key, len(line))
		}
	}
	for api, key := range map[string]string{"iri": "command", "bitcoin": "method", "jsonrpc": "method"} {
		name := map[string]string{"iri": "addNeighbors", "bitcoin": "stop", "jsonrpc": "eth_call"}[api]
		in := Input{Command: name, API: api, Rules: set}
		if c, err := findCommand(&in); err != nil || c.key != key {
			t.Errorf("%s of %s is named by %+v, %v; want key %s", name, api, c, err, key)
		}
	}
}
