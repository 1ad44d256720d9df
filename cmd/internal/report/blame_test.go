package report

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Who is blamed in the header is whom the last lines propose to act on.
func TestBlame(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.8")
	six := netip.MustParseAddr("2001:db8:1:2::")
	held := func(command string, c detect.Cause) detect.Evidence {
		return detect.Evidence{Calls: []detect.CallRef{{Command: command, Verdict: c, Client: netip.AddrPortFrom(client, 9), Age: sec}}, Clients: []detect.ClientCount{{Client: detect.ClientOf(client), N: 2}}}
	}
	fired := func(at time.Duration, s detect.Severity, name, summary string, c netip.Addr, e detect.Evidence) *detect.Alert {
		return &detect.Alert{At: after(at), State: detect.Firing, Severity: s, Name: name, Summary: summary, Client: detect.ClientOf(c), Evidence: e}
	}
	none := netip.Addr{}
	stalled := fired(9*sec, detect.Warning, "CallStalled", "8 calls of getTips hang", none, held("getTips", detect.CauseApp))
	slow := fired(5*sec, detect.Warning, "SlowRequest", "5 requests trickle", client, held("", detect.CauseClientUpload))
	for _, row := range []struct {
		name   string
		alerts []*detect.Alert
		want   []string
		not    string
	}{
		{"nothing", nil, []string{"# Alerts:      none\n"}, "Culprit"},
		{"information only", []*detect.Alert{fired(sec, detect.Info, "AdminCommand", "a probe", client, detect.Evidence{})},
			[]string{"# Alerts:      AdminCommand +1.0s (info)\n"}, "Culprit"},
		{"a stall", []*detect.Alert{stalled}, []string{"# Culprit:     8 calls of getTips hang; clients 192.0.2.8 (2)\n",
			"What to do:\n  stallwatch advise --alert CallStalled --command getTips\n", "culprit     getTips 1.00s from 192.0.2.8:9, node silent\n"}, "# or:"},
		{"it becomes critical", []*detect.Alert{stalled, fired(12*sec, detect.Critical, "CallStalled", "20 calls hang", none, held("getTips", detect.CauseGone))},
			[]string{"# Alerts:      CallStalled +9.0s (critical +12.0s)\n", "# Culprit:     getTips: 20 calls hang; clients"}, "# or:"},
		{"a crowd before it", []*detect.Alert{slow, stalled}, []string{"# Culprit:     192.0.2.8: 5 requests trickle; clients", "# or:          8 calls of getTips hang; ",
			"advise --alert SlowRequest --client 192.0.2.8\n  stallwatch advise --alert CallStalled --command getTips\n", "culprit     request 1.00s"}, ""},
		{"a crowd after it", []*detect.Alert{stalled, slow}, []string{"# Culprit:     8 calls of getTips hang"}, "# or:"},
		{"cheap calls hang", []*detect.Alert{fired(9*sec, detect.Critical, "CallStalled", "8 calls of getNodeInfo hang", none, held("getNodeInfo", detect.CauseApp))},
			[]string{"# Culprit:     perhaps the node itself, cheap calls hang: 8 calls", "  stallwatch advise --alert CallStalled\n"}, "--command"},
		{"examples are no culprits", []*detect.Alert{fired(sec, detect.Warning, "SuspectParameters", "2 calls", none, held("getTips", detect.CauseUnknown))},
			[]string{"# Culprit:     2 calls; clients 192.0.2.8 (2)\n", "call        getTips 1.00s from 192.0.2.8:9\n"}, "culprit "},
		{"who was there when it went", []*detect.Alert{fired(sec, detect.Critical, "NodeDown", "gone", none, held("getTips", detect.CauseApp))},
			[]string{"# Alerts:      NodeDown +1.0s (critical)\n"}, "Culprit"},
		{"a network of IPv6", []*detect.Alert{fired(sec, detect.Warning, "RequestFlood", "one client asks", six, detect.Evidence{})},
			[]string{"# Culprit:     [2001:db8:1:2::]: one client asks\n", " --client 2001:db8:1:2::\n"}, ""},
		{"a name with spaces", []*detect.Alert{fired(sec, detect.Warning, "CallStalled", "it hangs", none, held("GET /rest/it's/{id}", detect.CauseApp))},
			[]string{`--command 'GET /rest/it'\''s/{id}'` + "\n"}, ""},
		{"a name nobody knows", []*detect.Alert{fired(sec, detect.Warning, "CallStalled", "it hangs", none, detect.Evidence{Calls: []detect.CallRef{{Command: rules.Other, Raw: "x; reboot"}}})},
			[]string{"# Culprit:     other x; reboot: it hangs\n", "  stallwatch advise --alert CallStalled\n"}, "--command"},
		{"what does not fit goes on", []*detect.Alert{fired(sec, detect.Warning, "CallStalled", "it hangs", six, held(strings.Repeat("g", 62), detect.CauseApp))},
			[]string{" --command " + strings.Repeat("g", 62) + " \\\n    --client 2001:db8:1:2::\n"}, ""},
	} {
		r := New(nil, Options{})
		call(r, &rules.Command{Name: "getNodeInfo", Canary: true}, 0, ms, 2*ms, 200, httpreassembly.Answered)
		for _, a := range row.alerts {
			r.Finding(&detect.Finding{At: a.At, Kind: detect.AlertChanged, Alert: a})
		}
		got := written(t, r, pipeline.Stats{First: t0, Last: after(30 * sec), Packets: 1})
		for _, want := range row.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", row.name, want, got)
			}
		}
		if row.not != "" && strings.Contains(got, row.not) {
			t.Errorf("%s: %q in\n%s", row.name, row.not, got)
		}
	}
}

// A clock that was set back and frames that are not read are told in words.
func TestClockAndFrames(t *testing.T) {
	st := pipeline.Stats{First: t0, Last: after(sec), Packets: 9, Jumps: 2, Shift: time.Hour,
		Decode: pipeline.DecodeStats{Skipped: []pipeline.Skip{{Reason: "tunnelled", N: 7}, {Reason: "bad_length", N: 2}}}}
	got := written(t, New(nil, Options{}), st)
	for _, want := range []string{"# Clock:       set back 2 times, by 60.0min in all: ", "         7  tunnelled  (GRE, ", "         2  bad_length\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// What is said of a file that broke says so.
func TestBrokenIsNotQuiet(t *testing.T) {
	r := New(nil, Options{})
	call(r, info, 0, ms, 2*ms, 200, httpreassembly.Answered)
	got := written(t, r, pipeline.Stats{First: t0, Last: after(sec), Packets: 1, Broken: []string{"x.pcap: at byte 7: cut"}})
	if want := "Nothing suspicious.\nThat is of what could be read: see Broken above.\n"; !strings.HasSuffix(got, want) {
		t.Errorf("want %q at the end of\n%s", want, got)
	}
}
