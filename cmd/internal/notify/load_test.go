package notify

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stallwatch/detect"
)

func secretFile(t *testing.T, mode os.FileMode, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, yaml string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		err = fmt.Errorf("%s", strings.ReplaceAll(err.Error(), path, "notify.yaml"))
	}
	return c, err
}

func TestLoad(t *testing.T) {
	discord := secretFile(t, 0o600, "https://discord.com/api/webhooks/1/"+token+"\n")
	t.Setenv("SLACK_URL", "https://hooks.slack.com/services/T/B/"+token)
	c, err := load(t, `
receivers:
  - name: ops-discord
    type: discord
    url_file: `+discord+`
    min_severity: warning
    alerts: [CallStalled, MyOwnAlert]
    thread_id: "1102030405060708090"
    roles: ["1102030405060708091"]
  - {name: ops-slack, type: slack, url_env: SLACK_URL, per_minute: 3}
  - name: am
    type: alertmanager
    urls: [http://127.0.0.1:9093, https://am.example/base]
    resend: 30s
  - {name: ban, type: log, path: /var/log/stallwatch/abuse.log, never_ban: [10.0.0.0/8, 192.0.2.1]}
group_wait: 10s
spool: /tmp/spool
instance: node-1
proxy: haproxy
node: iri
links: {status: https://status.example/, runbook: https://runbook.example/x}
heartbeat: {url_env: SLACK_URL, every: 5m}
`)
	if err != nil {
		t.Fatal(err)
	}
	d := c.Receivers[0]
	if d.URLs[0].reveal() != "https://discord.com/api/webhooks/1/"+token || d.MinSeverity != detect.Warning || d.Roles[0] != "1102030405060708091" || d.perMinute() != 5 {
		t.Errorf("got %+v", d)
	}
	if am := c.Receivers[2]; len(am.URLs) != 2 || am.Resend != 30*time.Second || am.perMinute() != 0 {
		t.Errorf("got %+v", am)
	}
	if c.GroupWait != 10*time.Second || c.MaxAge != DefaultMaxAge || c.Heartbeat.Every != 5*time.Minute || len(c.Receivers[3].NeverBan) != 2 {
		t.Errorf("got %+v", c)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", c, c, c, c.Receivers[0].URLs); strings.Contains(s, token) {
		t.Errorf("a printed configuration shows a secret: %s", s)
	}
}

func TestLoadErrors(t *testing.T) {
	open := secretFile(t, 0o644, "https://discord.com/api/webhooks/1/"+token)
	elsewhere := secretFile(t, 0o600, "https://evil.example/api/webhooks/1/"+token)
	clear := secretFile(t, 0o600, "http://discord.com/api/webhooks/1/"+token)
	empty := secretFile(t, 0o600, "")
	for _, row := range []struct{ name, yaml, want string }{
		{"nothing", ``, `no receivers (start with "receivers:" and a list of {name, type, url_file})`},
		{"unknown key of the whole", "discord: https://x\n", "notify.yaml:1:1: unknown key \"discord\" (known here: receivers, group_wait, "},
		{"unknown key of a receiver", "max_age: 1h\nreceivers:\n  - name: a\n    webhook: https://x\n", "notify.yaml:4:5: unknown key \"webhook\" (known here: name, type, "},
		{"unknown key of the links", "receivers: []\nlinks:\n  dashboard: https://x\n", "notify.yaml:3:3: unknown key \"dashboard\" (known here: status, runbook)"},
		{"unknown key", "receivers:\n  - name: a\n    type: slack\n    min_severty: info\n", "notify.yaml:4:5: unknown key \"min_severty\" (did you mean min_severity?)"},
		{"unknown type", "receivers:\n  - {name: a, type: disord, url_env: X}\n", `notify.yaml:2:21: unknown type "disord" (did you mean discord?)`},
		{"unknown severity", "receivers:\n  - {name: a, type: log, path: x, min_severity: warn}\n", `notify.yaml:2:49: unknown min_severity "warn" (known: info, warning, critical)`},
		{"misspelt alert", "receivers:\n  - name: a\n    type: log\n    path: x\n    alerts:\n      - CallStaled\n", `notify.yaml:6:9: unknown alert "CallStaled" (did you mean CallStalled?)`},
		{"no unit", "group_wait: 30\nreceivers: [{name: a, type: log, path: x}]\n", "notify.yaml:1:13: no usable duration \"30\""},
		{"URL in clear", "receivers:\n  - {name: a, type: discord, url: https://discord.com/api/webhooks/1/" + token + "}\n", "the URL of a discord receiver is a secret (put it into a file of mode 0600 and name that with url_file, or use url_env)"},
		{"credentials in clear", "receivers:\n  - {name: a, type: alertmanager, url: 'http://am:9093/?key=" + token + "'}\n", "credentials in a URL of the file"},
		{"mode", "receivers:\n  - {name: a, type: discord, url_file: " + open + "}\n", "has mode 0644 and others can read it: chmod 600 " + open},
		{"empty secret", "receivers:\n  - {name: a, type: discord, url_file: " + empty + "}\n", "is empty"},
		{"missing secret", "receivers:\n  - {name: a, type: discord, url_file: /nowhere/x}\n", "open /nowhere/x: no such file"},
		{"unset variable", "receivers:\n  - {name: a, type: slack, url_env: NOT_SET_AT_ALL}\n", "the environment variable NOT_SET_AT_ALL is not set"},
		{"another host", "receivers:\n  - {name: a, type: discord, url_file: " + elsewhere + "}\n", "the URL's host is not one of discord.com"},
		{"no TLS", "receivers:\n  - {name: a, type: discord, url_file: " + clear + "}\n", "must be https"},
		{"no URL", "receivers:\n  - {name: a, type: webhook}\n", "no url (add url_file: a file of mode 0600, or url_env: a variable)"},
		{"key of another", "receivers:\n  - {name: a, type: log, path: x, roles: ['12345']}\n", "a log receiver has no roles"},
		{"name twice", "receivers:\n  - {name: a, type: log, path: x}\n  - {name: a, type: log, path: y}\n", `notify.yaml:3:12: a second receiver "a"`},
		{"bad name", "receivers:\n  - {name: ../../etc/x, type: log, path: x}\n", `no usable name "../../etc/x"`},
		{"bad link", "links: {status: 'javascript:alert(1)'}\nreceivers: [{name: a, type: log, path: x}]\n", "no usable link"},
		{"URL without quotes", "receivers:\n  - {name: a, type: alertmanager, urls: [http://127.0.0.1:9093]}\n", "within braces a URL needs quotes"},
		{"a list for a text", "receivers:\n  - name: [a]\n", "notify.yaml:2:11: want a value of type string"},
		{"not YAML", "receivers: [\x00", "notify.yaml:"},
		{"two documents", "receivers: []\n---\nreceivers: []\n", "more than one document"},
	} {
		_, err := load(t, row.yaml)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s:\n got %v\nwant %s", row.name, err, row.want)
		}
		if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("%s: the error shows a secret: %v", row.name, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("receivers: [{name: a, type: log, path: x}]"))
	f.Add([]byte("receivers:\n- &a {name: b}\n- *a\nlinks: [1]\nheartbeat: {every: -1s}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "n.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := Load(path); err == nil && len(c.Receivers) == 0 && c.Heartbeat.URL.empty() {
			t.Errorf("accepted a configuration that does nothing: %q", data)
		}
	})
}
