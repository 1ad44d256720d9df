package peers

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stallwatch/detect"
)

const filter = "../notify/dist/fail2ban/filter.d/stallwatch.conf"

// banned asks fail2ban whom it would ban for a log.
func banned(t *testing.T, log string) []string {
	t.Helper()
	out, err := exec.Command(tool(t, "fail2ban-regex"), "-o", "ip", log, filter).CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed { // it exits with 1 if nothing matched
		t.Fatalf("fail2ban-regex: %v\n%s", err, out)
	}
	for _, l := range lines(out) {
		if _, err := netip.ParseAddr(l); err != nil {
			t.Fatalf("fail2ban-regex: %s", out)
		}
	}
	return lines(out)
}

// written is what the log receiver writes about alerts.
func written(t *testing.T, list ...detect.Alert) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "abuse.log")
	n := receivers(t, "{name: ban, type: log, path: "+path+", never_ban: [198.51.100.9]}")
	for _, a := range list {
		tell(n, a)
	}
	shut(t, n)
	return path
}

func TestFail2banReadsTheLog(t *testing.T) {
	tool(t, "fail2ban-regex")
	of := func(client, subject string) detect.Alert {
		a := detect.Alert{At: 1516870681_250000000, Since: 1516870680_000000000, State: detect.Firing, Severity: detect.Critical, Name: "CallStalled",
			Subject: subject, Server: netip.MustParseAddrPort("192.0.2.1:14265"), Command: "getTransactionsToApprove", Summary: "s", Why: "w"}
		if client != "" {
			a.Client = detect.ClientOf(netip.MustParseAddr(client))
		}
		return a
	}
	hostile := of("203.0.113.8", "x client=198.51.100.1\n2018-01-25T08:58:01.250Z stallwatch[1]: abuse rule=Y client=198.51.100.1 port=1 severity=critical")
	hostile.Command, hostile.Summary, hostile.Why = hostile.Subject, hostile.Subject, hostile.Subject
	hostile.Name = "Own client=198.51.100.2 \n"
	path := written(t, of("203.0.113.66", "a"), of("2a00:1450::5", "b"), of("::ffff:203.0.113.7", "c"), hostile,
		of("", "nobody"), of("127.0.0.1", "loopback"), of("10.0.0.5", "proxy"), of("198.51.100.9", "listed"))
	got := banned(t, path)
	slices.Sort(got)
	want := []string{"203.0.113.66", "203.0.113.7", "203.0.113.8", "2a00:1450::5"}
	text, _ := os.ReadFile(path)
	if !slices.Equal(got, want) {
		t.Errorf("fail2ban would ban %q, want %q, of\n%s", got, want, text)
	}
	if n := len(lines(text)); n != len(want) {
		t.Errorf("%d lines written, want %d:\n%s", n, len(want), text)
	}
}

// TestFail2banReadsNothingElse: nobody is banned for a line that the log
// receiver did not write as a verdict.
func TestFail2banReadsNothingElse(t *testing.T) {
	tool(t, "fail2ban-regex")
	const stamp = "2018-01-25T08:58:01.250Z "
	for _, line := range []string{
		stamp + "stallwatch[1]: test rule=CallStalled client=203.0.113.1 port=14265 severity=critical",
		stamp + "stallwatch[1]: abuse rule=CallStalled client=203.0.113.1 port=14265 severity=critical client=203.0.113.2",
		stamp + "stallwatch[1]: abuse rule=X client=203.0.113.1 client=203.0.113.2 severity=critical",
		stamp + "stallwatch[1]: abuse rule=X client=example.org port=1 severity=critical",
		stamp + "stallwatch[1]: abuse rule=X client= port=1 severity=critical",
		stamp + "sshd[1]: user stallwatch[1]: abuse rule=X client=203.0.113.1 port=1 severity=critical",
		"GET / " + stamp + "stallwatch[1]: abuse rule=X client=203.0.113.1 port=1 severity=critical",
		`{"level":"error","message":"` + stamp + `stallwatch[1]: abuse rule=X client=203.0.113.1 port=1 severity=critical"}`,
		stamp + "stallwatch[1]: abuse rule=X client=203.0.113.1/8 port=1 severity=critical",
		stamp + "stallwatch[1]: abuse rule=X client=203.0.113.1 port=1 severity=critical\x00x",
		"stallwatch[1]: abuse rule=X client=203.0.113.1",
	} {
		if got := banned(t, writeTemp(t, "abuse.log", line+"\n")); len(got) > 0 {
			t.Errorf("%q has %q banned, want nobody", line, got)
		}
	}
	ok := stamp + "stallwatch[1]: abuse rule=CallStalled client=203.0.113.1 port=14265 severity=critical\n"
	if got := banned(t, writeTemp(t, "abuse.log", ok)); !slices.Equal(got, []string{"203.0.113.1"}) {
		t.Errorf("a verdict has %q banned: the test cannot fail", got)
	}
}

// TestFail2banReadsTheTime: a jail counts by it, and forgets what is old. It
// reads whole seconds, whatever the time zone of the machine.
func TestFail2banReadsTheTime(t *testing.T) {
	bin := tool(t, "fail2ban-regex")
	const line = "2018-01-25T08:58:01.250Z stallwatch[1]: abuse rule=CallStalled client=203.0.113.1 port=14265 severity=critical\n"
	for _, zone := range []string{"UTC", "Asia/Tokyo"} {
		cmd := exec.Command(bin, "-o", "row", writeTemp(t, "abuse.log", line), filter)
		cmd.Env = append(os.Environ(), "TZ="+zone)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "1516870681") {
			t.Errorf("%s: got %v %q, want the time 1516870681", zone, err, out)
		}
	}
}
