package advise

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"stallwatch/cmd/internal/freeport"
)

// tool finds a program that the advice is for; a machine without it skips the
// test, a build server must have it.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if p, err := exec.LookPath(path); err == nil {
			return p
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// gather is the text of all sections for one place.
func gather(sections []Section, w Where) string {
	var b strings.Builder
	for _, s := range sections {
		for _, p := range s.Parts {
			if p.Where == w {
				b.WriteString(p.Text)
			}
		}
	}
	return b.String()
}

const haproxyConfig = `global
    maxconn 24
defaults
    mode http
    timeout connect 10s
    timeout server 300s
    timeout client 5m
    timeout queue 10s
frontend api
    bind %s
%s    default_backend node
backend node
    server node %s
%s`

func haproxyWhole(sections []Section, bind, node string) string {
	return fmt.Sprintf(haproxyConfig, bind, gather(sections, HAProxyFrontend), node, gather(sections, HAProxyTop))
}

func writeTemp(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// configurations visits each different configuration that some input gives,
// all sections together.
func configurations(t *testing.T, proxy Proxy, whole func([]Section) string, visit func(text string, s []Section)) {
	seen := map[string]bool{}
	everyInput(func(in Input) {
		if in.Proxy != proxy {
			return
		}
		s := Advise(in)
		if text := whole(s); !seen[text] {
			seen[text] = true
			visit(text, s)
		}
	})
	if len(seen) < 10 {
		t.Errorf("%d configurations: the test has lost its inputs", len(seen))
	}
}

func TestHAProxyTakesIt(t *testing.T) {
	bin := tool(t, "haproxy")
	configurations(t, HAProxy, func(s []Section) string { return haproxyWhole(s, "127.0.0.1:1", "127.0.0.1:2") }, func(text string, _ []Section) {
		path := writeTemp(t, "haproxy.cfg", text)
		// -dW makes a warning an error: an operator should see none.
		if out, err := exec.Command(bin, "-dW", "-c", "-f", path).CombinedOutput(); err != nil {
			t.Errorf("haproxy -c: %v\n%s\n%s", err, out, text)
		}
	})
}

const nginxConfig = `%serror_log stderr;
pid nginx.pid;
daemon off;
events { }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
%s    server {
        listen %s;
%s        location / { proxy_pass http://%s; }
    }
}
`

// nginxWhole puts the script beside the configuration.
func nginxWhole(sections []Section, listen, node, dir string) string {
	http := gather(sections, NginxHTTP)
	load := ""
	if strings.Contains(http, "js_import") {
		load = "load_module /usr/lib/nginx/modules/ngx_http_js_module.so;\n"
	}
	text := fmt.Sprintf(nginxConfig, load, http, listen, gather(sections, NginxServer), node)
	text = strings.ReplaceAll(text, "/etc/nginx/stallwatch.js", filepath.Join(dir, "stallwatch.js"))
	return strings.ReplaceAll(text, "http://127.0.0.1:14265", "http://"+node)
}

// withNJS drops the sections that need the module where it is not installed.
func withNJS(t *testing.T, s []Section) []Section {
	if _, err := os.Stat("/usr/lib/nginx/modules/ngx_http_js_module.so"); err == nil {
		return s
	}
	if os.Getenv("CI") != "" {
		t.Fatal("the njs module of nginx is not installed")
	}
	var out []Section
	for _, x := range s {
		if x.ID != "nginx-command" {
			out = append(out, x)
		}
	}
	return out
}

func TestNginxTakesIt(t *testing.T) {
	bin := tool(t, "nginx")
	dir := t.TempDir()
	configurations(t, Nginx, func(s []Section) string { return nginxWhole(withNJS(t, s), "127.0.0.1:1", "127.0.0.1:2", dir) }, func(text string, s []Section) {
		if err := os.WriteFile(filepath.Join(dir, "stallwatch.js"), []byte(gather(s, NginxScript)), 0o600); err != nil {
			t.Fatal(err)
		}
		path := writeTemp(t, "nginx.conf", text)
		out, err := exec.Command(bin, "-t", "-p", dir, "-c", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), "[warn]") {
			t.Errorf("nginx -t: %v\n%s\n%s", err, out, text)
		}
	})
}

func TestNftTakesIt(t *testing.T) {
	tool(t, "nft")
	if out, err := exec.Command("nft", "list", "ruleset").CombinedOutput(); err != nil {
		t.Skipf("nft may not look at the kernel here: %s", out)
	}
	seen := map[string]bool{}
	everyInput(func(in Input) {
		s := find(Advise(in), "nftables")
		if s == nil || seen[s.Parts[0].Text] {
			return
		}
		text := s.Parts[0].Text
		seen[text] = true
		// -c checks and changes nothing.
		check := strings.Replace(text, "nft '", "nft -c '", 1)
		if out, err := exec.Command("/bin/sh", "-c", check).CombinedOutput(); err != nil {
			t.Errorf("nft -c: %v\n%s\n%s", err, out, text)
		}
	})
	if len(seen) < 2 {
		t.Errorf("%d scripts: the test has lost its inputs", len(seen))
	}
}

// TestNftBansInANamespace pastes the text into a shell in a network namespace
// of its own, twice, and takes it back.
func TestNftBansInANamespace(t *testing.T) {
	tool(t, "nft")
	unshare := tool(t, "unshare")
	if err := exec.Command(unshare, "-n", "true").Run(); err != nil {
		t.Skip("no network namespaces here")
	}
	s := find(Advise(Input{Alert: "RequestFlood", Proxy: ProxyNone, Clients: clientList("192.0.2.7", "2001:db8::7"), Trusted: prefixList("203.0.113.0/24", "203.0.113.9/32")}), "nftables")
	paste := s.Parts[0].Text
	out, err := exec.Command(unshare, "-n", "/bin/sh", "-ec", paste+paste+"nft list ruleset\n"+s.Undo+"\necho after; nft list ruleset").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	before, after, _ := strings.Cut(string(out), "after\n")
	if strings.Count(before, "counter packets") != 2 || !strings.Contains(before, "192.0.2.7") || !strings.Contains(before, "2001:db8::/64") || strings.TrimSpace(after) != "" {
		t.Errorf("got\n%s", out)
	}
}

var sedLine = regexp.MustCompile(`sed -i(?:\.bak)? ('[^']*')`)

// TestUndoRestores runs the sed of each undo line over the whole
// configuration: what is left is what was there before.
func TestUndoRestores(t *testing.T) {
	undo := func(text, want string, s []Section, prefix string) {
		path := writeTemp(t, "conf", text)
		for _, x := range s {
			if strings.HasPrefix(x.ID, prefix) {
				m := sedLine.FindStringSubmatch(x.Undo)
				if m == nil {
					t.Fatalf("%s: no sed in the undo line %q", x.ID, x.Undo)
				}
				if out, err := exec.Command("/bin/sh", "-c", "sed -i "+m[1]+" "+path).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v: %s", x.ID, err, out)
				}
			}
		}
		got, _ := os.ReadFile(path)
		if string(got) != want {
			t.Errorf("after undo got\n%s\nwant\n%s", got, want)
		}
	}
	n := 0
	everyInput(func(in Input) {
		if n++; n%7 != 0 || in.Proxy != ProxyUnknown { // a sample: each takes a dozen processes
			return
		}
		s := Advise(in)
		undo(haproxyWhole(s, "a", "b"), haproxyWhole(nil, "a", "b"), s, "haproxy-")
		load := strings.Contains(gather(s, NginxHTTP), "js_import")
		want := nginxWhole(nil, "a", "b", "/")
		if load {
			want = "load_module /usr/lib/nginx/modules/ngx_http_js_module.so;\n" + want
		}
		undo(nginxWhole(s, "a", "b", "/"), want, s, "nginx-")
	})
}

// start runs a proxy until the test ends and waits for it to listen.
func start(t *testing.T, addr, bin string, args ...string) {
	t.Helper()
	cmd := exec.Command(bin, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // not SIGINT: a background job of a shell ignores that, and its children do
		<-ended
		if t.Failed() {
			t.Log(errs.String())
		}
	})
	for { // no sleep: the kernel's own refusals pace this
		select {
		case <-ended:
			t.Fatalf("%s %v ended before it listened: %s", bin, args, &errs)
		default:
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		runtime.Gosched()
	}
}

// node answers like one, and says which path it was asked for.
func node(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "node %d", len(b))
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// ask posts a body to a proxy, with the API's header unless bare.
func ask(t *testing.T, addr, method, path, body string, bare bool) int {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, _ := http.NewRequest(method, "http://"+addr+path, strings.NewReader(body))
	r.Header.Set("Connection", "close")
	if !bare {
		r.Header.Set("X-IOTA-API-Version", "1")
	}
	// A proxy may answer and close before it has read a large body: that the
	// rest cannot be written then is no failure.
	go r.Write(c)
	res, err := http.ReadResponse(bufio.NewReader(c), r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	res.Body.Close()
	return res.StatusCode
}

type question struct {
	name, method, path, body string
	bare                     bool
	want                     int
}

// call is what an honest wallet sends, and what each rule is tried with.
func call(name, extra string) string { return `{"command": "` + name + `"` + extra + `}` }

func TestHAProxyDoesIt(t *testing.T) {
	bin := tool(t, "haproxy")
	const ref = `, "depth": 3, "reference": "` + Known2018 + `"`
	other := strings.Replace(ref, "GFCC", "ABCD", 1)
	for _, row := range []struct {
		ids  string
		in   Input
		asks []question
	}{
		{"haproxy-reference", Input{Alert: "CallStalled", Command: "getTransactionsToApprove"}, []question{
			{"the attack", "POST", "/", call("getTransactionsToApprove", ref), false, 403},
			{"a wallet", "POST", "/", call("getTransactionsToApprove", `, "depth": 3`), false, 200},
			{"a promotion", "POST", "/", call("getTransactionsToApprove", other), false, 200},
			{"another command", "POST", "/", call("getNodeInfo", ""), false, 200},
			{"escaped name", "POST", "/", call(`getTrans\u0061ctionsToApprove`, ref), false, 403},
		}},
		{"haproxy-any-reference", Input{Alert: "CallStalled", Command: "getTransactionsToApprove"}, []question{
			{"a promotion", "POST", "/", call("getTransactionsToApprove", other), false, 403},
			{"a wallet", "POST", "/", call("getTransactionsToApprove", `, "depth": 3`), false, 200},
			{"escaped key", "POST", "/", call("getTransactionsToApprove", strings.Replace(other, "reference", `\u0072eference`, 1)), false, 403},
			{"blanks", "POST", "/", "{ \"command\"\t:\n\"GETTRANSACTIONSTOAPPROVE\", \"reference\" : 1}", false, 403},
		}},
		{"haproxy-headers", Input{Alert: "AdminCommand"}, []question{
			{"a wallet", "POST", "/", call("getNodeInfo", ""), false, 200},
			{"no header", "POST", "/", call("getNodeInfo", ""), true, 400},
			{"no command", "POST", "/", `{"x":1}`, false, 400},
			{"preflight", "OPTIONS", "/", "", true, 200},
		}},
		{"haproxy-size", Input{Alert: "OversizedRequest"}, []question{
			{"small", "POST", "/", call("getNodeInfo", ""), false, 200},
			{"half a megabyte", "POST", "/", strings.Repeat("x", 500_000), false, 200},
			{"too large", "POST", "/", strings.Repeat("x", 1_000_001), false, 413},
		}},
		{"haproxy-command", Input{Alert: "CallStalled", Command: "GET /api/v1/messages/{id}", Proxy: HAProxy}, []question{
			{"exempt loopback", "GET", "/api/v1/messages/abc", "", false, 200},
		}},
	} {
		row.in.Proxy = HAProxy
		s := find(Advise(row.in), row.ids)
		if s == nil {
			t.Fatalf("no section %s", row.ids)
		}
		addr := freeport.Hold(t).String()
		start(t, addr, bin, "-db", "-f", writeTemp(t, "haproxy.cfg", haproxyWhole([]Section{*s}, addr, node(t))))
		for _, q := range row.asks {
			if got := ask(t, addr, q.method, q.path, q.body, q.bare); got != q.want {
				t.Errorf("%s: %s: status %d, want %d", row.ids, q.name, got, q.want)
			}
		}
	}
}

// strip takes loopback out of who is exempt, so that a test on loopback can
// meet the limits.
func strip(s *Section) Section {
	out := *s
	out.Parts = nil
	for _, p := range s.Parts {
		p.Text = strings.NewReplacer("127.0.0.0/8 ::1/128", "192.0.2.1", "127.0.0.0/8 0;", "192.0.2.1 0;").Replace(p.Text)
		out.Parts = append(out.Parts, p)
	}
	return out
}

func TestHAProxyLimits(t *testing.T) {
	bin := tool(t, "haproxy")
	s := find(Advise(Input{Alert: "RequestFlood", Proxy: HAProxy}), "haproxy-limits")
	addr := freeport.Hold(t).String()
	start(t, addr, bin, "-db", "-f", writeTemp(t, "haproxy.cfg", haproxyWhole([]Section{strip(s)}, addr, node(t))))
	first := 0
	for i := 1; i <= requestsIn10s+20 && first == 0; i++ {
		r, err := http.Post("http://"+addr, "application/json", strings.NewReader(call("getNodeInfo", "")))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if r.StatusCode == 429 {
			first = i
		} else if r.StatusCode != 200 {
			t.Fatalf("request %d: status %d", i, r.StatusCode)
		}
	}
	if first != requestsIn10s+1 && first != requestsIn10s { // start's own connection may have counted
		t.Errorf("request %d was the first refused, want %d", first, requestsIn10s+1)
	}
	c, err := net.Dial("tcp", addr)
	if err == nil {
		fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
		if b, _ := io.ReadAll(c); len(b) > 0 {
			t.Errorf("a new connection of who is banned was answered: %q", b)
		}
	}
}

func TestNginxDoesIt(t *testing.T) {
	bin := tool(t, "nginx")
	const promotion = `, "reference": "ABC"`
	for _, row := range []struct {
		id   string
		in   Input
		asks []question
	}{
		{"nginx-command", Input{Alert: "CallStalled", Command: "getTransactionsToApprove"}, []question{
			{"the attack", "POST", "/", call("getTransactionsToApprove", promotion), false, 403},
			{"on any path", "POST", "/x/y", call("getTransactionsToApprove", promotion), false, 403},
			{"with any method", "PUT", "/", call("getTransactionsToApprove", promotion), false, 403},
			{"escaped", "POST", "/", call(`getTrans\u0061ctionsToApprove`, `, "r\u0065ference": 1`), false, 403},
			{"last of two keys", "POST", "/", `{"command":"getNodeInfo","command":"getTransactionsToApprove","reference":1}`, false, 403},
			{"a wallet", "POST", "/", call("getTransactionsToApprove", ""), false, 200},
			{"another command", "POST", "/", call("getNodeInfo", ""), false, 200},
			{"not JSON", "POST", "/", "hello", false, 400},
			{"no body", "GET", "/", "", false, 200},
		}},
		{"nginx-command", Input{Alert: "CallStalled", Command: "eth_call"}, []question{
			{"alone", "POST", "/", `{"jsonrpc":"2.0","method":"eth_call","id":1}`, false, 403},
			{"in a batch", "POST", "/", `[{"method":"eth_chainId","id":1},{"method":"eth_call","id":2}]`, false, 403},
			{"other", "POST", "/", `{"method":"eth_chainId","id":1}`, false, 200},
		}},
		{"nginx-route", Input{Alert: "CallStalled", Command: "GET /api/v1/messages/{id}"}, []question{
			{"it", "GET", "/api/v1/messages/abc", "", false, 403},
			{"with a query", "GET", "/api/v1/messages/abc?x=y", "", false, 403},
			{"encoded", "GET", "/api/v1/m%65ssages/abc", "", false, 403},
			{"below it", "GET", "/api/v1/messages/abc/metadata", "", false, 200},
			{"other method", "POST", "/api/v1/messages/abc", "", false, 200},
		}},
		{"nginx-headers", Input{Alert: "MalformedRequests"}, []question{
			{"a wallet", "POST", "/", call("getNodeInfo", ""), false, 200},
			{"no header", "POST", "/", call("getNodeInfo", ""), true, 400},
			{"preflight", "OPTIONS", "/", "", true, 200},
		}},
		{"nginx-timeouts", Input{Alert: "OversizedRequest"}, []question{
			{"too large", "POST", "/", strings.Repeat("x", 1_000_001), false, 413},
			{"small", "POST", "/", call("getNodeInfo", ""), false, 200},
		}},
	} {
		row.in.Proxy = Nginx
		s := find(Advise(row.in), row.id)
		if s == nil {
			t.Fatalf("no section %s", row.id)
		}
		kept := withNJS(t, []Section{*s})
		if len(kept) == 0 {
			continue
		}
		dir, addr := t.TempDir(), freeport.Hold(t).String()
		os.Chmod(filepath.Dir(dir), 0o755) // nginx's worker is another user
		os.Chmod(dir, 0o755)
		conf := "user root;\n" + nginxWhole(kept, addr, node(t), dir)
		for name, text := range map[string]string{"nginx.conf": conf, "stallwatch.js": gather(kept, NginxScript)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		start(t, addr, bin, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr")
		for _, q := range row.asks {
			if got := ask(t, addr, q.method, q.path, q.body, q.bare); got != q.want {
				t.Errorf("%s: %s: status %d, want %d", row.id, q.name, got, q.want)
			}
		}
	}
}
