package metrics

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"stallwatch/capture"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

var _ pipeline.Sink = (*Metrics)(nil)

var wall = time.Date(2018, 1, 12, 20, 15, 3, 0, time.UTC)

func commands(n int) []*rules.Command {
	list := []*rules.Command{{Index: 0, API: "iri", Name: rules.Other}, {Index: 1, API: "iri", Name: "getTransactionsToApprove", Lock: "tips", Class: rules.ClassHeavy},
		{Index: 2, API: "iri", Name: "getNodeInfo", Canary: true}}
	for i := len(list); i < n; i++ {
		list = append(list, &rules.Command{Index: i, API: "rest", Name: fmt.Sprintf("GET /route/%d", i)})
	}
	return list
}

func at(now *time.Time, n int) *Metrics {
	return newMetrics(commands(n), Options{Version: "0.1.0", Now: func() time.Time { return *now }})
}

func done(status int, o httpreassembly.Outcome) *httpreassembly.Event {
	t := capture.At(wall)
	x := &httpreassembly.Exchange{RequestStart: t, RequestEnd: t + 1e6, Outcome: o, Answer: &httpreassembly.Answer{Status: status}, Head: &httpreassembly.Head{}}
	if status != 0 {
		x.ResponseStart, x.ResponseEnd = t+2e6, t+3e6
	}
	return &httpreassembly.Event{Kind: httpreassembly.ExchangeDone, Exchange: x}
}

func page(t *testing.T, m *Metrics, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

func snapshot(c []*rules.Command) *detect.Snapshot {
	return &detect.Snapshot{At: capture.At(wall),
		Commands:  []detect.CommandGauge{{}, {Command: c[1], InFlight: 7, Oldest: 90 * time.Second, Fresh: 95 * time.Second, Succeeded: true}, {Command: c[2], InFlight: 1, Oldest: time.Second}},
		CloseWait: 40, CloseWaitOldest: 80 * time.Second, FDsWire: 50, Host: true, CloseWaitKernel: 41, Unaccepted: 3, FDs: -1, FDLimit: 4096,
		ETA: 300 * time.Second, HasETA: true, Alerts: []detect.AlertGauge{{Name: "CallStalled", Severity: detect.Critical, N: 2}}}
}

func TestPage(t *testing.T) {
	now := wall.Add(2 * time.Second)
	m := at(&now, 3)
	c := m.slots.commands
	m.Event(done(200, httpreassembly.Answered), &rules.Verdict{Command: c[2]})
	m.Event(done(0, httpreassembly.ClientGone), &rules.Verdict{Command: c[1]})
	m.Event(done(0, httpreassembly.ServerReset), nil)
	m.Finding(&detect.Finding{Kind: detect.AlertChanged, Alert: &detect.Alert{Name: "CallStalled", State: detect.Firing}})
	st := pipeline.Stats{Packets: 9, Loss: capture.Loss{Kernel: 5}, Last: capture.At(wall), Decode: pipeline.DecodeStats{Skipped: []pipeline.Skip{{Reason: "arp", N: 2}}}}
	st.Tracker.Conns[httpreassembly.StateHalfClosed] = 40
	st.Tracker.Oddities[httpreassembly.BareLF] = 3
	m.Publish(st, snapshot(c))
	code, body := page(t, m, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, body)
	}
	for _, want := range []string{
		`stallwatch_calls_total{api="iri",code_class="2xx",command="getNodeInfo"} 1`,
		`stallwatch_calls_total{api="iri",code_class="none",command="getTransactionsToApprove"} 1`,
		`stallwatch_calls_total{api="other",code_class="none",command="other"} 1`,
		`stallwatch_call_abandoned_total{command="getTransactionsToApprove",side="client"} 1`,
		`stallwatch_call_abandoned_total{command="other",side="server"} 1`,
		`stallwatch_call_wait_seconds_bucket{command="getNodeInfo",le="0.01"} 1`,
		`stallwatch_call_wait_seconds_bucket{command="getTransactionsToApprove",le="600.0"} 0`,
		`stallwatch_call_duration_seconds_count 1`,
		`stallwatch_calls_inflight{command="getTransactionsToApprove"} 7`,
		`stallwatch_call_inflight_oldest_age_seconds{command="getTransactionsToApprove"} 90`,
		`stallwatch_call_last_success_age_seconds{command="getTransactionsToApprove"} 95`,
		`stallwatch_connections{state="half_closed"} 40`,
		`stallwatch_close_wait{source="wire"} 40`,
		`stallwatch_close_wait{source="kernel"} 41`,
		`stallwatch_close_wait_oldest_age_seconds 80`,
		`stallwatch_node_max_fds 4096`,
		`stallwatch_node_fd_exhaustion_eta_seconds 300`,
		`stallwatch_capture_kernel_dropped_packets_total 5`,
		`stallwatch_capture_skipped_packets_total{reason="arp"} 2`,
		`stallwatch_capture_clock_lag_seconds 2`,
		`stallwatch_oddities_total{oddity="bare_lf"} 3`,
		`stallwatch_alerts_firing{alertname="CallStalled",severity="critical"} 2`,
		`stallwatch_alerts_total{alertname="CallStalled"} 1`,
		`stallwatch_state_evicted_total{reason="half_open"} 0`,
		`stallwatch_build_info{`,
	} {
		if !strings.Contains(body, "\n"+strings.Replace(want, `le="600.0"`, `le="600"`, 1)) {
			t.Errorf("no %s in the page", want)
		}
	}
	if strings.Contains(body, "stallwatch_node_open_fds") {
		t.Errorf("descriptors that the host may not tell are on the page")
	}
	if t.Failed() {
		t.Log(body)
	}
}

func TestLint(t *testing.T) {
	now := wall
	m := at(&now, 40)
	hostile(m)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if len(families) < 30 {
		t.Errorf("only %d metrics were looked at", len(families))
	}
}

// hostile asks for every command with every kind of answer, makes every
// oddity and lets every alert fire.
func hostile(m *Metrics) {
	statuses := []int{0, 100, 200, 301, 404, 500, -7, 99999}
	for i := range 20000 {
		c := m.slots.commands[i%len(m.slots.commands)]
		m.Event(done(statuses[i/len(m.slots.commands)%len(statuses)], httpreassembly.Outcome(i%7)), &rules.Verdict{Command: c, Raw: fmt.Sprint("\x00", i)})
	}
	snap := &detect.Snapshot{At: capture.At(wall), Host: true, FDLimit: 10, HasETA: true}
	for _, c := range m.slots.commands {
		snap.Commands = append(snap.Commands, detect.CommandGauge{Command: c, InFlight: 1, Succeeded: true})
	}
	names := []string{"CallStalled", "NodeUnresponsive", "CloseWaitBuildup", "DescriptorExhaustion", "AcceptQueueFull", "ConnectionFlood", "RequestFlood",
		"SynFlood", "SlowRequest", "SlowReader", "PowAbuse", "AdminCommand", "OversizedRequest", "MalformedRequests", "UnknownCommands",
		"SuspectParameters", "PortScan", "LoginProbe", "NodeDown", "NodeRestarted", "LatencyRegression", "CaptureLoss", "CaptureBlind"}
	for _, n := range names {
		snap.Alerts = append(snap.Alerts, detect.AlertGauge{Name: n, Severity: detect.Critical, N: 1})
		m.Finding(&detect.Finding{Kind: detect.AlertChanged, Alert: &detect.Alert{Name: n, State: detect.Firing}})
	}
	st := pipeline.Stats{Packets: 1, Last: 1}
	for o := range st.Tracker.Oddities {
		st.Tracker.Oddities[o] = 1 << 60
	}
	for i := range 16 {
		st.Decode.Skipped = append(st.Decode.Skipped, pipeline.Skip{Reason: fmt.Sprintf("reason_number_%d", i), N: 1})
	}
	m.Publish(st, snap)
}

func TestSeriesAreBounded(t *testing.T) {
	now := wall
	m := at(&now, 400)
	hostile(m)
	_, body := page(t, m, "/metrics")
	series := 0
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "#") {
			series++
		}
	}
	t.Logf("%d series, %d bytes", series, len(body))
	if series > 500 || len(body) > 64<<10 {
		t.Errorf("%d series in %d bytes after hostile traffic, want at most 500 in 64 KiB", series, len(body))
	}
	if !strings.Contains(body, `stallwatch_calls_inflight{command="getTransactionsToApprove"} 1`) {
		t.Errorf("the command that matters lost its label")
	}
}

// The embedded rules are the ones most pages are made of.
func TestDefaultRules(t *testing.T) {
	m := New(rules.Default(), Options{Version: "0.1.0"})
	if m.digest == "" {
		t.Errorf("the rules have no digest")
	}
	hostile(m)
	_, body := page(t, m, "/metrics")
	if n := strings.Count(body, "\nstallwatch_"); n > 500 || len(body) > 64<<10 {
		t.Errorf("%d series in %d bytes, want at most 500 in 64 KiB", n, len(body))
	}
	if !strings.Contains(body, `rules="`+m.digest+`"`) {
		t.Errorf("build_info does not name the rules")
	}
}

// Those who ask for everything first must not take the labels of what tells
// of a stall.
func TestReservedLabels(t *testing.T) {
	now := wall
	m := at(&now, 300)
	for _, c := range m.slots.commands[3:] {
		m.slots.of(c)
	}
	if got := m.slots.of(m.slots.commands[1]).label; got != "getTransactionsToApprove" {
		t.Errorf("label %q, want its own", got)
	}
	if got := m.slots.of(m.slots.commands[299]).label; got != rules.Other {
		t.Errorf("label %q, want %q", got, rules.Other)
	}
	if n := len(m.slots.byLabel); n > defaultCommands+1 {
		t.Errorf("%d labels, want at most %d", n, defaultCommands+1)
	}
	if got := m.slots.of(&rules.Command{Index: 5000}); got != m.slots.other {
		t.Errorf("a command of another set has the label %q", got.label)
	}
}

func TestHealth(t *testing.T) {
	base := func() (pipeline.Stats, *detect.Snapshot) {
		return pipeline.Stats{Packets: 1, Last: capture.At(wall)}, &detect.Snapshot{At: capture.At(wall)}
	}
	for _, row := range []struct {
		name   string
		change func(m *Metrics, now *time.Time)
		reason string
	}{
		{"fresh", func(m *Metrics, now *time.Time) { st, s := base(); m.Publish(st, s) }, ""},
		{"never published", func(*Metrics, *time.Time) {}, "nothing was published"},
		{"pipeline stuck", func(m *Metrics, now *time.Time) { st, s := base(); m.Publish(st, s); *now = now.Add(11 * time.Second) }, "has not moved for 11 s"},
		{"behind", func(m *Metrics, now *time.Time) { *now = now.Add(30 * time.Second); st, s := base(); m.Publish(st, s) }, "30 s behind"},
		{"loss grows", func(m *Metrics, now *time.Time) {
			st, s := base()
			m.Publish(st, s)
			st.Loss.Kernel = 4
			m.Publish(st, s)
		}, "packets were lost"},
		{"loss is over", func(m *Metrics, now *time.Time) {
			st, s := base()
			m.Publish(st, s)
			st.Loss.Kernel = 4
			m.Publish(st, s)
			*now = now.Add(2 * time.Minute)
			s.At = capture.At(*now)
			m.Publish(st, s)
		}, ""},
		{"blind", func(m *Metrics, now *time.Time) {
			st, s := base()
			s.Alerts = []detect.AlertGauge{{Name: "CaptureBlind", Severity: detect.Critical, N: 1}}
			m.Publish(st, s)
		}, "CaptureBlind"},
	} {
		t.Run(row.name, func(t *testing.T) {
			now := wall
			m := at(&now, 3)
			row.change(m, &now)
			code, body := page(t, m, "/healthz")
			var h Health
			if err := json.Unmarshal([]byte(body), &h); err != nil {
				t.Fatalf("%v in %s", err, body)
			}
			if row.reason == "" {
				if code != 200 || h.Status != "ok" || len(h.Reasons) != 0 {
					t.Errorf("%d %s, want 200 and ok", code, body)
				}
				return
			}
			if code != 503 || h.Status != "degraded" || len(h.Reasons) != 1 || !strings.Contains(h.Reasons[0], row.reason) {
				t.Errorf("%d %s, want 503 and one reason with %q", code, body, row.reason)
			}
		})
	}
}

// Publish must not keep what its caller uses again.
func TestPublishCopies(t *testing.T) {
	now := wall
	m := at(&now, 3)
	s := snapshot(m.slots.commands)
	st := pipeline.Stats{Decode: pipeline.DecodeStats{Skipped: []pipeline.Skip{{Reason: "arp", N: 1}}}}
	m.Publish(st, s)
	_, before := page(t, m, "/metrics")
	s.Alerts[0].Name, s.Commands[1].InFlight, s.CloseWait, st.Decode.Skipped[0].N = "changed", 999, 999, 999
	if _, after := page(t, m, "/metrics"); after != before {
		t.Errorf("the page changed with the caller's memory:\n%s\nbefore\n%s", after, before)
	}
}

func TestListen(t *testing.T) {
	now := wall
	m := at(&now, 3)
	s, err := Listen("127.0.0.1:0", m.Handler())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + s.Addr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("GET /metrics: %s", resp.Status)
	}
	for _, row := range []struct{ name, addr, want string }{
		{"busy", s.Addr(), "is in use: is another stallwatch running? choose another with --metrics"},
		{"no port", "127.0.0.1", "want HOST:PORT"},
		{"foreign", "192.0.2.1:9814", "is not of this machine"},
	} {
		if _, err := Listen(row.addr, m.Handler()); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: Listen(%q): %v, want %q", row.name, row.addr, err, row.want)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	l, err := net.Listen("tcp", s.Addr())
	if err != nil {
		t.Fatalf("the port is not free after Close: %v", err)
	}
	l.Close()
}

func TestScrapeWhilePublishing(t *testing.T) {
	now := wall
	m := at(&now, 50)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 {
			page(t, m, "/metrics")
			page(t, m, "/healthz")
		}
	}()
	for range 20 {
		hostile(m)
	}
	<-done
}

func hot() (*Metrics, *httpreassembly.Event, *rules.Verdict) {
	now := wall
	m := at(&now, 40)
	ev := done(200, httpreassembly.Answered)
	ev.Flow = capture.Flow{Client: capture.EndpointOf(netip.MustParseAddrPort("192.0.2.1:1"))}
	return m, ev, &rules.Verdict{Command: m.slots.commands[2]}
}

func TestNoAllocs(t *testing.T) {
	m, ev, v := hot()
	m.Event(ev, v)
	if n := testing.AllocsPerRun(1000, func() { m.Event(ev, v) }); n != 0 {
		t.Errorf("an exchange costs %v allocations, want 0", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	m, ev, v := hot()
	b.ReportAllocs()
	for b.Loop() {
		m.Event(ev, v)
	}
}

func BenchmarkPublish(b *testing.B) {
	m, _, _ := hot()
	s := snapshot(m.slots.commands)
	b.ReportAllocs()
	for b.Loop() {
		m.Publish(pipeline.Stats{}, s)
	}
}
