package notify

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stallwatch/detect"
)

// failregex is the shipped filter's expression, as fail2ban applies it to what
// is left of a line behind its time.
func failregex(t *testing.T) *regexp.Regexp {
	t.Helper()
	data, err := os.ReadFile("dist/fail2ban/filter.d/stallwatch.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		if re, ok := strings.CutPrefix(line, "failregex = "); ok {
			return regexp.MustCompile(strings.ReplaceAll(re, "<ADDR>", `([0-9a-fA-F:.]+)`))
		}
	}
	t.Fatal("no failregex")
	return nil
}

var lineTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)

func logBatch(alerts ...detect.Alert) *batch {
	b := &batch{}
	for _, a := range alerts {
		b.Changed = append(b.Changed, &change{Alert: Sanitized(&a)})
	}
	return b
}

func TestLogLine(t *testing.T) {
	re := failregex(t)
	client := func(s string) detect.Alert {
		a := *stalled(1.25, detect.Firing, detect.Critical)
		a.Client = detect.ClientOf(netip.MustParseAddr(s))
		return a
	}
	noClient, over, odd := client("203.0.113.66"), client("203.0.113.66"), client("2001:db8::66")
	noClient.Client = detect.Client{}
	over.State = detect.Resolved
	odd.Name, odd.Subject, odd.Command = "X client=198.51.100.1 \n2018-01-25T08:58:01Z stallwatch[1]: abuse rule=Y client=198.51.100.1", "s\n", "c\n"
	for _, row := range []struct {
		name  string
		alert detect.Alert
		want  string
	}{
		{"IPv4", client("203.0.113.66"), "203.0.113.66"},
		{"IPv6", client("2a00:1450::5"), "2a00:1450::5"},
		{"IPv4 mapped", client("::ffff:203.0.113.66"), "203.0.113.66"},
		{"loopback", client("127.0.0.1"), ""},
		{"the load balancer", client("10.0.0.5"), ""},
		{"listed", client("198.51.100.9"), ""},
		{"nobody stands out", noClient, ""},
		{"resolved", over, ""},
		{"an alert named by an enemy", odd, "2001:db8::66"},
	} {
		path := filepath.Join(t.TempDir(), "abuse.log")
		l := &logLine{path: path, pid: 123, never: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}
		if out := l.deliver(context.Background(), logBatch(row.alert)); out.verdict != delivered {
			t.Fatalf("%s: %+v", row.name, out)
		}
		data, _ := os.ReadFile(path)
		if row.want == "" {
			if len(data) > 0 {
				t.Errorf("%s: wrote %q, want nothing", row.name, data)
			}
			continue
		}
		line, rest, _ := strings.Cut(string(data), "\n")
		m := re.FindStringSubmatch(lineTime.ReplaceAllString(line, ""))
		if rest != "" || !lineTime.MatchString(line) || m == nil || m[1] != row.want {
			t.Errorf("%s: wrote %q: fail2ban reads %q, want one line and %s", row.name, data, m, row.want)
		}
	}
	test := logBatch(client("203.0.113.66"))
	test.Test = true
	if line := string((&logLine{pid: 1}).lines(test)); re.MatchString(lineTime.ReplaceAllString(line, "")) {
		t.Errorf("a test would ban: %q", line)
	}
}

func TestLogLineCannotWrite(t *testing.T) {
	l := &logLine{path: filepath.Join(t.TempDir(), "missing", "abuse.log")}
	a := *stalled(1, detect.Firing, detect.Critical)
	if out := l.deliver(context.Background(), logBatch(a)); out.verdict != retry || !strings.Contains(out.words, "no such file") {
		t.Errorf("got %+v, want another try and the reason", out)
	}
}

// The example must load, once its secrets are where it says.
func TestExampleConfig(t *testing.T) {
	data, err := os.ReadFile("dist/notify.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := string(data)
	for name, secret := range map[string]string{"heartbeat.url": "https://hc.example/ping", "discord.url": "https://discord.com/api/webhooks/1/abc",
		"slack.url": "https://hooks.slack.com/services/T/B/X", "webhook.url": "https://bridge.example/x", "webhook.key": "k3y", "ntfy.url": "https://ntfy.example/topic"} {
		s = strings.ReplaceAll(s, "/etc/stallwatch/"+name, secretFile(t, 0o600, secret))
	}
	c, err := load(t, s)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Receivers) != 6 {
		t.Errorf("%d receivers", len(c.Receivers))
	}
}
