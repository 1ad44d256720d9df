package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math/rand"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"stallwatch/capture"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	_ pipeline.Sink = (*Report)(nil)
	_ pipeline.Sink = (*Log)(nil)
)

var t0 = capture.At(time.Date(2018, 1, 12, 20, 15, 3, 0, time.UTC))

func after(d time.Duration) capture.Time { return t0.Add(d) }

const ms, sec = time.Millisecond, time.Second

var (
	other = &rules.Command{Index: 0, API: "iri", Name: rules.Other}
	gtta  = &rules.Command{Index: 1, API: "iri", Name: "getTransactionsToApprove"}
	info  = &rules.Command{Index: 2, API: "iri", Name: "getNodeInfo"}
)

// call plays one call; wait < 0 means that no answer came before done.
func call(r *Report, c *rules.Command, at, wait, done time.Duration, status int, o httpreassembly.Outcome) {
	x := &httpreassembly.Exchange{RequestStart: after(at), RequestEnd: after(at + ms), Outcome: o, Answer: &httpreassembly.Answer{Status: status}, Head: &httpreassembly.Head{}}
	v := &rules.Verdict{Command: c}
	r.Event(&httpreassembly.Event{At: x.RequestEnd, Kind: httpreassembly.RequestSeen, Exchange: x}, v)
	if wait >= 0 {
		x.ResponseStart = x.RequestEnd.Add(wait)
		x.ResponseEnd = after(done)
		r.Event(&httpreassembly.Event{At: x.ResponseStart, Kind: httpreassembly.ResponseSeen, Exchange: x}, v)
	}
	r.Event(&httpreassembly.Event{At: after(done), Kind: httpreassembly.ExchangeDone, Exchange: x}, v)
}

// incident plays two minutes like those of 2018: pollers are served, calls of
// getTransactionsToApprove never return, clients leave, the node refuses.
func incident(r *Report) pipeline.Stats {
	for i := range 100 {
		at := time.Duration(i) * 400 * ms
		status := 200
		if i%25 == 0 {
			status = 400
		}
		call(r, info, at, 2*ms+time.Duration(i)*100*time.Microsecond, at+20*ms, status, httpreassembly.Answered)
	}
	call(r, gtta, sec, 1500*ms, 3*sec, 200, httpreassembly.Answered)
	call(r, other, 2*sec, -1, 50*sec, 0, httpreassembly.ClientGone)
	var open []*httpreassembly.Exchange
	for i := range 3 {
		x := &httpreassembly.Exchange{RequestStart: after(time.Duration(51+i) * sec), RequestEnd: after(time.Duration(51+i)*sec + ms), Answer: &httpreassembly.Answer{}, Head: &httpreassembly.Head{}}
		r.Event(&httpreassembly.Event{At: x.RequestEnd, Kind: httpreassembly.RequestSeen, Exchange: x}, &rules.Verdict{Command: gtta})
		open = append(open, x)
	}
	for i := range 8 {
		r.Event(&httpreassembly.Event{At: after(time.Duration(55+3*i) * sec), Kind: httpreassembly.HalfClosed, By: httpreassembly.Client}, nil)
	}
	client := netip.MustParseAddr("192.0.2.8")
	a := detect.Alert{At: after(62 * sec), State: detect.Firing, Name: "CallStalled", Severity: detect.Warning, Subject: "10.0.0.1:14265 getTransactionsToApprove",
		Since: after(61 * sec), Client: detect.ClientOf(client), Command: gtta.Name, Value: 10, Limit: 10, Unit: "seconds", Confidence: 0.9,
		Summary: "8 calls of getTransactionsToApprove hang, the oldest for 10 s; 3 calls of other commands wait behind it, and clients begin to leave",
		Why:     "oldest call 10 s, budget 10 s",
		Evidence: detect.Evidence{InFlight: 11, CloseWait: 7, CloseWaitKernel: 7, Unaccepted: 1, FDs: 3200, FDLimit: 4096, ETA: 77 * sec, HasETA: true, LostPackets: 2, GapBytes: 1460,
			Calls: []detect.CallRef{
				{Client: netip.MustParseAddrPort("192.0.2.8:50123"), Command: gtta.Name, Shape: "depth=27 numWalks=5", Age: 10 * sec, Verdict: detect.CauseApp},
				{Client: netip.MustParseAddrPort("[2001:db8::1]:4"), Command: rules.Other, Raw: "x\x1b[2J", Age: 4 * sec, Verdict: detect.CauseGone}},
			Clients: []detect.ClientCount{{Client: detect.ClientOf(client), N: 8}, {Client: detect.ClientOf(netip.MustParseAddr("2001:db8::1")), N: 3}}}}
	r.Finding(&detect.Finding{At: a.At, Kind: detect.AlertChanged, Alert: &a})
	r.Event(&httpreassembly.Event{At: after(95 * sec), Kind: httpreassembly.Refused}, nil)
	over := a
	over.At, over.State = after(110*sec), detect.Resolved
	r.Finding(&detect.Finding{At: over.At, Kind: detect.AlertChanged, Alert: &over})
	for range 3 {
		r.Finding(&detect.Finding{At: after(120 * sec), Kind: detect.CallPending, Pending: &detect.Pending{Call: rules.Verdict{Command: gtta}, Final: true}})
	}
	for _, x := range open {
		x.Outcome = httpreassembly.Cut
		r.Event(&httpreassembly.Event{At: after(120 * sec), Kind: httpreassembly.ExchangeDone, Exchange: x}, &rules.Verdict{Command: gtta})
	}
	st := pipeline.Stats{First: t0, Last: after(120 * sec), Packets: 123456, Bytes: 34567890, Loss: capture.Loss{Kernel: 2},
		Decode: pipeline.DecodeStats{Skipped: []pipeline.Skip{{Reason: "arp", N: 4}}}}
	st.Tracker.Opened, st.Tracker.Gaps, st.Tracker.GapBytes = 1234, 1, 1460
	st.Tracker.Oddities[httpreassembly.BareLF] = 2
	st.Tracker.Oddities[httpreassembly.UnaskedResponse] = 31
	return st
}

func written(t *testing.T, r *Report, st pipeline.Stats) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b, st); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(b.String(), "\n") {
		if len(line) > width || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' }) || strings.HasSuffix(line, " ") {
			t.Errorf("line %d is not %d columns of printable ASCII: %q", i+1, width, line)
		}
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for name, play := range map[string]func(*Report) pipeline.Stats{
		"incident": incident,
		"quiet": func(r *Report) pipeline.Stats {
			call(r, info, 0, 3*ms, 5*ms, 200, httpreassembly.Answered)
			return pipeline.Stats{First: t0, Last: after(sec), Packets: 9, Bytes: 900}
		},
		"empty": func(*Report) pipeline.Stats { return pipeline.Stats{} },
	} {
		r := New(nil, Options{Sources: []string{"incident.pcap", "evil\x1b[2J\u202e.pcap"}, Version: "0.1.0"})
		got := written(t, r, play(r))
		path := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s (-update rewrites it):\ngot\n%s\nwant\n%s", path, got, want)
		}
	}
}

func TestHistogramError(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for range 100000 {
		d := time.Duration(rnd.Int63n(1<<uint(11+rnd.Intn(36)))) + 1<<minBits
		m := middle(bucket(d))
		if e := float64(m-d) / float64(d); e > 0.01 || e < -0.01 {
			t.Fatalf("%v is counted as %v: off by %.2f %%, want at most 1 %%", d, m, 100*e)
		}
	}
	for _, d := range []time.Duration{-5, 0, 1, 1<<minBits - 1, 1 << minBits, 1<<maxBits - 1, 1 << maxBits, 1<<63 - 1} {
		if b := bucket(d); b < 0 || b >= nBuckets {
			t.Errorf("bucket(%d ns) = %d of %d", d, b, nBuckets)
		}
	}
}

// Quantiles of answered calls against a sorted list.
func TestQuantiles(t *testing.T) {
	rnd := rand.New(rand.NewSource(2))
	for n := 1; n < 300; n += 7 {
		var l latencies
		var all []time.Duration
		for range n {
			d := time.Duration(rnd.ExpFloat64() * float64(50*ms))
			l.add(d, true)
			all = append(all, d)
		}
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.95, 0.99, 1} {
			k := 0
			for float64(k+1) < q*float64(n) {
				k++
			}
			got, want := l.quantile(q), all[k]
			if diff := float64(got.d-want) / float64(want+1); want > 1<<minBits && (diff > 0.01 || diff < -0.01) || got.atLeast {
				t.Errorf("quantile %v of %d is %v, want %v", q, n, got, want)
			}
		}
	}
}

func TestOpenCallsAreLowerBounds(t *testing.T) {
	for _, row := range []struct {
		name     string
		answered []time.Duration
		open     []time.Duration
		q        float64
		want     string
	}{
		{"none", nil, nil, 0.5, "-"},
		{"all answered", []time.Duration{10 * ms, 10 * ms}, nil, 0.5, "10.0ms"},
		{"all open", nil, []time.Duration{30 * sec}, 0.5, ">30.0s"},
		{"open ones stand above", []time.Duration{10 * ms, 10 * ms, 10 * ms}, []time.Duration{30 * sec}, 0.5, "10.0ms"},
		{"the tail is open", []time.Duration{10 * ms, 10 * ms, 10 * ms}, []time.Duration{30 * sec}, 0.95, ">30.0s"},
		{"an open one may rise above", []time.Duration{10 * ms, 20 * sec, 20 * sec}, []time.Duration{sec}, 0.75, ">20.0s"},
	} {
		var l latencies
		for _, d := range row.answered {
			l.add(d, true)
		}
		for _, d := range row.open {
			l.add(d, false)
		}
		got := l.quantile(row.q)
		if g, w := strings.TrimPrefix(got.String(), ">"), strings.TrimPrefix(row.want, ">"); len(g) != len(w) || got.atLeast != (row.want[0] == '>') || g[:1] != w[:1] && g != "19.9s" && g != "29.9s" {
			t.Errorf("%s: quantile %v of %v and open %v is %v, want about %v", row.name, row.q, row.answered, row.open, got, row.want)
		}
	}
}

func TestSeriesKeepsPeaks(t *testing.T) {
	rnd := rand.New(rand.NewSource(3))
	for range 200 {
		var s series
		at, v, peak := t0, int32(0), int32(0)
		for range 500 {
			at = at.Add(time.Duration(rnd.Int63n(int64(10 * sec))))
			d := int32(rnd.Intn(5)) - 2
			v = max(v+d, 0)
			peak = max(peak, v)
			s.add(at, d)
		}
		if got := slices.Max(s.max[:]); got != peak || s.peak != peak || s.now != v {
			t.Fatalf("peak %d in the slices, %d noted, now %d; want %d, %d, %d", got, s.peak, s.now, peak, peak, v)
		}
	}
}

// A crafted file may jump from 1970 to 2262.
func TestSeriesTakesAnyTime(t *testing.T) {
	var s series
	for _, at := range []capture.Time{1, 1 << 40, 1<<63 - 1} {
		s.add(at, 1)
	}
	if s.now != 3 || s.last >= points {
		t.Errorf("now %d in slice %d, want 3 below %d", s.now, s.last, points)
	}
	s.appendCurve(nil)
}

func TestAlertsAreBounded(t *testing.T) {
	r := New(nil, Options{})
	for range 10 * maxAlerts {
		r.Finding(&detect.Finding{Kind: detect.AlertChanged, Alert: &detect.Alert{State: detect.Firing, Severity: detect.Critical, Name: "X"}})
	}
	if len(r.alerts) != maxAlerts || r.dropped != 9*maxAlerts || r.Worst() != detect.Critical {
		t.Errorf("%d alerts kept, %d counted, worst %d", len(r.alerts), r.dropped, r.Worst())
	}
	if got := written(t, r, pipeline.Stats{Packets: 1}); !strings.Contains(got, "and 2,304 changes not shown") {
		t.Errorf("the report does not say what it leaves out:\n%s", got)
	}
}

// An Exchange that went on before its first event was looked at must be
// counted like one that did not.
func TestInFlightWithLateReading(t *testing.T) {
	r := New(nil, Options{})
	x := &httpreassembly.Exchange{RequestStart: after(0), RequestEnd: after(ms), Outcome: httpreassembly.Answered, Answer: &httpreassembly.Answer{ResponseStart: after(5 * ms), ResponseEnd: after(6 * ms)}, Head: &httpreassembly.Head{}}
	for _, ev := range []httpreassembly.Event{{At: x.RequestEnd, Kind: httpreassembly.RequestSeen}, {At: x.ResponseStart, Kind: httpreassembly.ResponseSeen}, {At: x.ResponseEnd, Kind: httpreassembly.ExchangeDone}} {
		ev.Exchange = x
		r.Event(&ev, nil)
	}
	early := &httpreassembly.Exchange{RequestStart: after(sec), RequestEnd: after(sec + 9*ms), Outcome: httpreassembly.Answered, Answer: &httpreassembly.Answer{ResponseStart: after(sec + 5*ms), ResponseEnd: after(sec + 10*ms)}, Head: &httpreassembly.Head{}}
	for _, ev := range []httpreassembly.Event{{At: early.ResponseStart, Kind: httpreassembly.ResponseSeen, Early: true}, {At: early.RequestEnd, Kind: httpreassembly.RequestSeen, Early: true}, {At: early.ResponseEnd, Kind: httpreassembly.ExchangeDone}} {
		ev.Exchange = early
		r.Event(&ev, nil)
	}
	if r.inFlight.peak != 1 || r.inFlight.now != 0 {
		t.Errorf("in flight: peak %d, now %d; want 1 and 0", r.inFlight.peak, r.inFlight.now)
	}
}

func TestClosing(t *testing.T) {
	warn := &detect.Finding{At: after(10 * sec), Kind: detect.AlertChanged, Alert: &detect.Alert{At: after(10 * sec), State: detect.Firing, Severity: detect.Warning}}
	refuse := func(at time.Duration) func(*Report) {
		return func(r *Report) {
			r.Event(&httpreassembly.Event{At: after(at), Kind: httpreassembly.Refused}, nil)
		}
	}
	alert := func(r *Report) { r.Finding(warn) }
	calls := func(r *Report) { call(r, info, sec, ms, 2*sec, 200, httpreassembly.Answered) }
	encrypted := func(r *Report) {
		r.Event(&httpreassembly.Event{At: after(sec), Kind: httpreassembly.Closed, Summary: &httpreassembly.Connection{Protocol: httpreassembly.ProtoTLS}}, nil)
	}
	// Two calls, each told twice and at the end.
	poll := func(r *Report) {
		other := &rules.Command{Name: rules.Other, Warn: 5 * sec}
		for range 2 {
			for _, p := range []detect.Pending{{Age: 5 * sec, Uncounted: true}, {Age: 10 * sec, Uncounted: true}, {Age: 6 * sec, Uncounted: true, Final: true}, {Age: 5 * sec}} {
				p.Call.Command = other
				r.Finding(&detect.Finding{At: after(9 * sec), Kind: detect.CallPending, Pending: &p})
			}
		}
	}
	for _, row := range []struct {
		name  string
		plays []func(*Report)
		want  string
	}{
		{"no request", nil, "No HTTP request was seen"},
		{"encrypted", []func(*Report){encrypted}, "1 of the connections speak TLS"},
		{"quiet", []func(*Report){calls}, "Nothing suspicious."},
		{"warned in time", []func(*Report){alert, refuse(25 * sec)}, "First warning at +10.0s, 15.0s before the first"},
		{"warned late", []func(*Report){refuse(4 * sec), alert}, "First warning at +10.0s, 6.00s after the first"},
		{"warned only", []func(*Report){alert}, "First warning at +10.0s; no connection was refused"},
		{"not warned", []func(*Report){refuse(sec)}, "No warning; the first connection that was refused"},
		{"uncounted", []func(*Report){calls, poll}, "2 GET requests of no known command waited longer than the budget."},
		{"uncounted, then refused", []func(*Report){poll, refuse(sec)}, "2 GET requests of no known command"},
	} {
		r := New(nil, Options{})
		for _, p := range row.plays {
			p(r)
		}
		if got := written(t, r, pipeline.Stats{First: t0, Last: after(30 * sec), Packets: 1}); !strings.Contains(got, "\n"+row.want) {
			t.Errorf("%s: no %q in\n%s", row.name, row.want, got)
		}
	}
}

// What an operator can mend comes with what to do, within the page's width.
func TestCures(t *testing.T) {
	st := pipeline.Stats{First: t0, Last: after(sec), Packets: 1}
	st.Tracker.Oddities[httpreassembly.PacketCut] = 1_234_567
	st.Tracker.Oddities[httpreassembly.TLSInstead] = 3
	got := written(t, New(nil, Options{}), st)
	for _, want := range []string{" 1,234,567  packet_cut  (", "whole ones with -s 0)\n", "         3  tls_instead  (encrypted: "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

type fails struct{}

var errFull = errors.New("no space left on device")

func (fails) Write([]byte) (int, error) { return 0, errFull }

func TestWriteError(t *testing.T) {
	if err := New(nil, Options{}).Write(fails{}, pipeline.Stats{}); !errors.Is(err, errFull) {
		t.Errorf("Write: %v, want %v", err, errFull)
	}
}

func hostileAlert() *detect.Alert {
	nasty := "x\r\n\x1b[2J\u202e\xff" + strings.Repeat("A", 9000)
	return &detect.Alert{At: t0, State: detect.Firing, Name: nasty, Severity: detect.Critical, Subject: nasty, Summary: nasty, Why: nasty,
		Evidence: detect.Evidence{Calls: []detect.CallRef{{Command: nasty, Raw: nasty, Shape: nasty}}}}
}

func TestLogIsSafe(t *testing.T) {
	for _, style := range []string{"json", "console"} {
		var b bytes.Buffer
		l := zerolog.New(&b)
		if style == "console" {
			l = zerolog.New(zerolog.ConsoleWriter{Out: &b, NoColor: true})
		}
		g := NewLog(l)
		g.Finding(&detect.Finding{Kind: detect.AlertChanged, Alert: hostileAlert()})
		g.Finding(&detect.Finding{Kind: detect.NodeSeen, Node: &detect.Node{}})
		got := b.String()
		if strings.Count(got, "\n") != 1 || strings.ContainsFunc(strings.TrimSuffix(got, "\n"), func(c rune) bool { return c < ' ' || c > '~' }) || len(got) > 4096 {
			t.Errorf("%s: not one short line of printable ASCII: %q", style, got)
		}
		if style == "json" && !json.Valid([]byte(got)) {
			t.Errorf("not JSON: %s", got)
		}
	}
}

func TestLogLine(t *testing.T) {
	var b bytes.Buffer
	r := New(nil, Options{})
	incident(r)
	NewLog(zerolog.New(&b)).Finding(&detect.Finding{Kind: detect.AlertChanged, Alert: &r.alerts[0]})
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, b.String())
	}
	for k, want := range map[string]any{"level": "warn", "message": "CallStalled", "state": "firing", "severity": "warning",
		"subject": "10.0.0.1:14265 getTransactionsToApprove", "client": "192.0.2.8", "culprit": "getTransactionsToApprove",
		"culprit_client": "192.0.2.8:50123", "close_wait": 7.0, "fds": 3200.0, "at": "2018-01-12T20:16:05Z"} {
		if got[k] != want {
			t.Errorf("%s is %v, want %v in %s", k, got[k], want, b.String())
		}
	}
}

// A request that never became whole has no command, and its line no empty one.
func TestLogLineOfNoCommand(t *testing.T) {
	var b bytes.Buffer
	NewLog(zerolog.New(&b)).Finding(&detect.Finding{Kind: detect.AlertChanged, Alert: &detect.Alert{At: t0, State: detect.Firing, Name: "SlowRequest",
		Evidence: detect.Evidence{Calls: []detect.CallRef{{Age: sec}}}}})
	if got := b.String(); strings.Contains(got, `"culprit":`) || !strings.Contains(got, `"culprit_age_seconds":1`) {
		t.Errorf("got %s, want the age alone", got)
	}
}

func TestHostileReport(t *testing.T) {
	r := New(nil, Options{Sources: []string{strings.Repeat("long/", 100)}})
	r.Finding(&detect.Finding{Kind: detect.AlertChanged, Alert: hostileAlert()})
	call(r, &rules.Command{Name: strings.Repeat("\x1b", 99)}, 0, ms, 2*ms, 200, httpreassembly.Answered)
	written(t, r, pipeline.Stats{First: t0, Last: after(sec), Packets: 1 << 62, Bytes: 1 << 63})
}

func hot() (*Report, []httpreassembly.Event, *rules.Verdict) {
	x := &httpreassembly.Exchange{RequestStart: after(0), RequestEnd: after(ms), Outcome: httpreassembly.Answered, Answer: &httpreassembly.Answer{Status: 200, ResponseStart: after(5 * ms), ResponseEnd: after(6 * ms)}, Head: &httpreassembly.Head{}}
	return New(nil, Options{}), []httpreassembly.Event{
		{At: x.RequestEnd, Kind: httpreassembly.RequestSeen, Exchange: x},
		{At: x.ResponseStart, Kind: httpreassembly.ResponseSeen, Exchange: x},
		{At: x.ResponseEnd, Kind: httpreassembly.ExchangeDone, Exchange: x}}, &rules.Verdict{Command: info}
}

func TestNoAllocs(t *testing.T) {
	r, events, v := hot()
	if n := testing.AllocsPerRun(1000, func() {
		for i := range events {
			r.Event(&events[i], v)
		}
	}); n != 0 {
		t.Errorf("an exchange costs %v allocations, want 0", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	r, events, v := hot()
	b.ReportAllocs()
	for b.Loop() {
		for i := range events {
			r.Event(&events[i], v)
		}
	}
}

// Of a capture that was read for a wrong port the report says the right one.
func TestClosingElsewhere(t *testing.T) {
	for _, row := range []struct {
		name  string
		stats httpreassembly.Stats
		want  string
	}{
		{"one port", httpreassembly.Stats{Segments: 9, Ignored: 8, HTTPElsewhere: httpreassembly.Ports{14265}}, "Requests went to port 14265, not to the ports that were read: give -p 14265,"},
		{"two ports", httpreassembly.Stats{Segments: 9, Ignored: 9, HTTPElsewhere: httpreassembly.Ports{80, 14265}}, "Requests went to ports 80, 14265, not to the ports that were read: give -p 80,14265,"},
		{"no HTTP", httpreassembly.Stats{Segments: 9, Ignored: 9}, "None of the 9 TCP segments belongs to a port that was read:"},
	} {
		got := written(t, New(nil, Options{}), pipeline.Stats{First: t0, Last: after(sec), Packets: 9, Tracker: row.stats})
		if !strings.Contains(got, "so nothing can be said of calls.\n"+row.want) {
			t.Errorf("%s: no %q in\n%s", row.name, row.want, got)
		}
	}
	if got := written(t, New(nil, Options{}), pipeline.Stats{First: t0, Last: after(sec), Packets: 9, Tracker: httpreassembly.Stats{Segments: 9, Ignored: 8}}); strings.Contains(got, "-p") {
		t.Errorf("a port is advised though some of the capture was read:\n%s", got)
	}
}

// A name that two APIs share, as "other", comes with the API's.
func TestProfileSharedName(t *testing.T) {
	r := New(nil, Options{})
	for i, api := range []string{"iri", "rest"} {
		call(r, &rules.Command{Index: i, API: api, Name: rules.Other}, sec, ms, 2*sec, 200, httpreassembly.Answered)
	}
	got := written(t, r, pipeline.Stats{First: t0, Last: after(3 * sec), Packets: 1})
	for _, want := range []string{"\nother (iri) ", "\nother (rest) "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
