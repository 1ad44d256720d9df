package main

import (
	"io"
	"strings"
	"testing"
)

func TestAdvise(t *testing.T) {
	const record = `{"type":"alert","state":"firing","alert":"CallStalled","server":"10.0.0.1:14700","client":"192.0.2.8","command":"getTransactionsToApprove","evidence":{}}` + "\n"
	file := writeFile(t, t.TempDir(), "records.jsonl", []byte(record))
	hostile := writeFile(t, t.TempDir(), "hostile.jsonl", []byte(strings.Replace(record, "getTransactionsToApprove", "$(reboot)", 1)))
	for _, row := range []struct {
		name string
		args []string
		code int
		want string // of standard output, or of standard error if code is not 0
	}{
		{"direct", []string{"--alert", "CallStalled", "--command", "getTransactionsToApprove", "--client", "192.0.2.7", "--proxy", "none"}, exitOK, "elements = { 192.0.2.7 }"},
		{"haproxy", []string{"--alert", "RequestFlood", "--proxy", "haproxy", "--trusted", "10.0.0.0/8"}, exitOK, "exempt src 127.0.0.0/8 ::1/128 10.0.0.0/8"},
		{"records", []string{"--json", file, "--proxy", "none"}, exitOK, "@banned4 tcp dport 14700"},
		{"records, another client", []string{"--json", file, "--proxy", "none", "--client", "2001:db8::1"}, exitOK, "elements = { 2001:db8::/64 }"},
		{"nothing asked", nil, exitUsage, "--alert NAME or --json FILE"},
		{"bad proxy", []string{"--alert", "CallStalled", "--proxy", "squid"}, exitUsage, "want haproxy, nginx, none"},
		{"bad client", []string{"--alert", "CallStalled", "--client", "example.com"}, exitUsage, "want an IP address"},
		{"bad network", []string{"--alert", "CallStalled", "--trusted", "x"}, exitUsage, "want a network"},
		{"bad port", []string{"--alert", "CallStalled", "--port", "0"}, exitUsage, "1 to 65535"},
		{"unknown command", []string{"--alert", "CallStalled", "--command", "reboot"}, exitUsage, "the rules know none"},
		{"hostile records", []string{"--json", hostile}, exitUsage, "the rules know none"},
		{"no such alert in records", []string{"--json", file, "--alert", "SynFlood"}, exitError, "no firing alert SynFlood"},
		{"no file", []string{"--json", "/nonexistent"}, exitError, "no such file"},
	} {
		var out strings.Builder
		c := newAdvise(stdio{in: strings.NewReader(""), out: &out, err: io.Discard})
		c.SetArgs(row.args)
		c.SilenceErrors, c.SilenceUsage = true, true
		err := c.Execute()
		code, text := exitCode(err), out.String()
		if err != nil {
			text = err.Error()
		}
		if code != row.code || !strings.Contains(text, row.want) {
			t.Errorf("%s: code %d, want %d; want %q in\n%s", row.name, code, row.code, row.want, text)
		}
	}
}
