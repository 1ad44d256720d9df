package evidence

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stallwatch/cmd/internal/advise"
	"stallwatch/detect"
)

func shell(t testing.TB, dir, script string, env ...string) (string, error) {
	cmd := exec.Command("/bin/sh")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.Output()
	return string(out), err
}

func TestQuoted(t *testing.T) {
	for _, s := range []string{"", "plain", "it's", "''", "$(reboot)", "`x`", `\`, `a\'b`, "!!", "~", "*", "a b\tc", `"x"`, "'; touch pwned; '", "-n", "%s"} {
		out, err := shell(t, t.TempDir(), "printf '%s' "+string(appendQuoted(nil, s)))
		if err != nil || out != s {
			t.Errorf("quoted %q came out of the shell as %q, %v", s, out, err)
		}
	}
}

// FuzzQuoted asks the shell itself.
func FuzzQuoted(f *testing.F) {
	for _, s := range []string{"'", "a'b''c'", "$(touch x)", "\n'\n", "\\'", "\x80'\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			return // no argument can hold it; a body with it goes to a file
		}
		out, err := shell(t, "", "printf '%s' "+string(appendQuoted(nil, s)))
		if err != nil || out != s {
			t.Fatalf("quoted %q came out of the shell as %q, %v", s, out, err)
		}
	})
}

func TestRedacted(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"plain", `{"command":"getTransactionsToApprove","depth":3}`, `{"command":"getTransactionsToApprove","depth":3}`},
		{"strings", `{"command":"getTransactionsToApprove","reference":"ABC"}`, `{"command":"getTransactionsToApprove","reference":"999"}`},
		{"the public one", `{"reference":"` + advise.Known2018 + `"}`, `{"reference":"` + advise.Known2018 + `"}`},
		{"the public one elsewhere", `{"seed":"` + advise.Known2018 + `"}`, `{"seed":"` + strings.Repeat("9", 81) + `"}`},
		{"numbers", `{"depth":1e3,"pin":1234,"depth":4}`, `{"depth":0,"pin":0,"depth":4}`},
		{"nested", `{"a":[["x",{"b":true}],null]}`, `{"a":[["9",{"b":false}],null]}`},
		{"key in disguise", `{"my secret":"x"}`, `{"key":"9"}`},
		{"another command", `{"command":"secret"}`, `{"command":"999999"}`},
		{"batch", `[{"jsonrpc":"2.0","method":"getTransactionsToApprove","id":7,"params":["x"]}]`, `[{"jsonrpc":"2.0","method":"getTransactionsToApprove","id":7,"params":["9"]}]`},
		{"trailing", `{} x`, ``},
		{"not JSON", `hello`, ``},
		{"cut", `{"a":"b`, ``},
		{"deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), ``},
	} {
		if got := string(redacted([]byte(row.in), "getTransactionsToApprove")); got != row.want {
			t.Errorf("%s: redacted(%s) = %s, want %s", row.name, row.in, got, row.want)
		}
	}
}

// keyOut is a key as redacted writes it: what has the form of one may stay.
var keyOut = regexp.MustCompile(`"[A-Za-z0-9_]*":`)

// FuzzRedactedHides plants a value and looks for it.
func FuzzRedactedHides(f *testing.F) {
	f.Add(`{"command":"getNodeInfo","a":"SECRETSECRET","b":["SECRETSECRET"]}`)
	f.Add(`{"SECRETSECRET":{"command":"SECRETSECRET"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		got := redacted([]byte(body), "getNodeInfo")
		if bytes.Contains(keyOut.ReplaceAll(got, nil), []byte("SECRETSECRET")) {
			t.Errorf("redacted(%s) = %s", body, got)
		}
		for _, c := range got {
			if c < ' ' || c > '~' {
				t.Errorf("redacted(%q) has %#x: %q", body, c, got)
			}
		}
	})
}

func scriptOf(method, target string, body []byte, full bool) script {
	a := &detect.Alert{Name: "CallStalled", Subject: "10.0.0.1:14265 x", Server: netip.MustParseAddrPort("10.0.0.1:14265")}
	a.Evidence.Calls = []detect.CallRef{{Client: netip.MustParseAddrPort("192.0.2.7:1"), Command: "getNodeInfo"}}
	var r requests
	r.init(a)
	w := &r.wanted[0]
	w.method, w.target, w.body, w.whole, w.seen = method, target, body, true, true
	return r.script(a, full)
}

// play runs a script with a curl that writes down its arguments, one a line
// and NUL at the end of each.
func play(t testing.TB, dir string, s script, node string) (args []string, err error) {
	curl := "#!/bin/sh\nfor a; do printf '%s\\0' \"$a\" >> args; done\n"
	for name, data := range map[string][]byte{"curl": []byte(curl), "reproduce.sh": s.text} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	os.Remove(filepath.Join(dir, "args"))
	cmd := exec.Command("/bin/sh", filepath.Join(dir, "reproduce.sh"))
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	if node != "" {
		cmd.Env = append(cmd.Env, "NODE="+node)
	}
	err = cmd.Run()
	b, _ := os.ReadFile(filepath.Join(dir, "args"))
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"), err
}

func TestReproduce(t *testing.T) {
	const node = "http://127.0.0.1:24265"
	for _, row := range []struct {
		name, method, target, body string
		full                       bool
		want                       string // of the arguments, the last ones
	}{
		{"plain", "POST", "/", `{"command":"getNodeInfo"}`, false, `--data-raw {"command":"getNodeInfo"} ` + node + "/"},
		{"redacted", "POST", "/?token=abc", `{"command":"getNodeInfo","seed":"AB"}`, false, `--data-raw {"command":"getNodeInfo","seed":"99"} ` + node + "/?token={3}"},
		{"full", "POST", "/?token=abc", `{"seed":"it's"}`, true, `--data-raw {"seed":"it's"} ` + node + "/?token=abc"},
		{"file name as body", "POST", "/", `@/etc/passwd`, true, `--data-raw @/etc/passwd ` + node + "/"},
		{"shell in target", "GET", "/$(reboot)';reboot;'", "", true, node + "/$(reboot)';reboot;'"},
		{"binary body", "POST", "/", "a\x00b", true, "--data-binary @request-1.body " + node + "/"},
		{"another host", "GET", "@evil.example/", "", true, ""},
		{"absolute", "GET", "http://evil.example/", "", true, ""},
		{"invented method", "GET; reboot", "/", "", true, ""},
		{"line break", "GET", "/a\nreboot", "", true, ""},
		{"not JSON", "POST", "/", "hello", false, ""},
	} {
		s := scriptOf(row.method, row.target, []byte(row.body), row.full)
		args, err := play(t, t.TempDir(), s, node)
		got := strings.Join(args, " ")
		if err != nil || !strings.HasSuffix(got, row.want) || row.want == "" && got != "" {
			t.Errorf("%s: curl was given %q, %v, want %q at its end; script:\n%s", row.name, got, err, row.want, s.text)
		}
	}
	s := scriptOf("GET", "/", nil, true)
	for _, bad := range []string{"", "http://10.0.0.1:14265", "http://10.0.0.1:14265/x", "https://10.0.0.1:14265/"} {
		if args, err := play(t, t.TempDir(), s, bad); err == nil || args[0] != "" {
			t.Errorf("NODE=%q: %v, %q: want it refused", bad, err, args)
		}
	}
}

// FuzzScript runs scripts made of anything: curl gets at most one call, with
// the target behind the operator's node, and nothing else happens.
func FuzzScript(f *testing.F) {
	f.Add("POST", "/';touch pwned;'", []byte("'$(touch pwned)"), true)
	f.Add("GET`x`", "/\r\n", []byte(`{"a":"`+"`touch pwned`"+`"}`), false)
	f.Fuzz(func(t *testing.T, method, target string, body []byte, full bool) {
		dir := t.TempDir()
		s := scriptOf(method, target, body, full)
		for _, c := range s.text {
			if c != '\n' && c != '\t' && (c < ' ' || c > '~') {
				t.Fatalf("the script has %#x: %q", c, s.text)
			}
		}
		args, err := play(t, dir, s, "http://127.0.0.1:24265")
		if err != nil {
			t.Fatalf("%v\n%s", err, s.text)
		}
		if last := args[len(args)-1]; len(args) > 1 && !strings.HasPrefix(last, "http://127.0.0.1:24265/") {
			t.Fatalf("curl would ask %q", last)
		}
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if n := e.Name(); n != "curl" && n != "args" && n != "reproduce.sh" {
				t.Fatalf("the script made %q", n)
			}
		}
	})
}
