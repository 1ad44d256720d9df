package records

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"stallwatch/capture"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var _ pipeline.Sink = (*Writer)(nil)

// t0 is the minute of the published 2018 report; any instant would do.
var t0 = capture.At(time.Date(2018, 1, 12, 20, 15, 3, 0, time.UTC))

func after(d time.Duration) capture.Time { return t0.Add(d) }

const ms, sec = time.Millisecond, time.Second

func flow(client string) capture.Flow {
	return capture.Flow{Client: capture.EndpointOf(netip.MustParseAddrPort(client)), Server: capture.EndpointOf(netip.MustParseAddrPort("10.0.0.1:14265"))}
}

var (
	gtta  = &rules.Command{Index: 1, API: "iri", Name: "getTransactionsToApprove", Class: rules.ClassHeavy}
	info  = &rules.Command{Index: 2, API: "iri", Name: "getNodeInfo", Class: rules.ClassInstant}
	other = &rules.Command{Index: 0, API: "iri", Name: rules.Other}
)

func answered() *httpreassembly.Exchange {
	return &httpreassembly.Exchange{
		Conn: httpreassembly.ConnID(t0), Flow: flow("192.0.2.7:50123"), Depth: 2,
		RequestStart: after(ms), RequestEnd: after(2 * ms), RequestBody: 27,
		Answer: &httpreassembly.Answer{Status: 200, ResponseStart: after(12*ms + 345678), ResponseEnd: after(13 * ms), ResponseBody: 512,
			ResponseTail: []byte(`,"duration":1500}`)},
		Outcome: httpreassembly.Answered, Head: &httpreassembly.Head{Method: []byte("POST"), Target: []byte("/?token=abc"), TargetBytes: 11, Host: []byte("node.example:14265")},
	}
}

// one writes one record of each kind.
func one(r *Writer) {
	r.Event(&httpreassembly.Event{At: after(13 * ms), Kind: httpreassembly.ExchangeDone, Exchange: answered()},
		&rules.Verdict{Command: info, Calls: 1})
	batch := answered()
	batch.Flow = flow("[2001:db8::7]:4000")
	batch.ForwardedFor = []byte("203.0.113.9")
	r.Event(&httpreassembly.Event{At: after(13 * ms), Kind: httpreassembly.ExchangeDone, Exchange: batch},
		&rules.Verdict{Command: gtta, Calls: 3, Batch: []rules.Count{{Command: info, N: 1}, {Command: gtta, N: 2}}})
	never := &httpreassembly.Exchange{Conn: 7, Flow: flow("192.0.2.8:1"), Depth: 1,
		RequestStart: after(ms), RequestEnd: after(ms), Outcome: httpreassembly.ServerReset, Lost: 17, Answer: &httpreassembly.Answer{}, Head: &httpreassembly.Head{Method: []byte("GET\x1b["), Target: []byte("/"), TargetBytes: 5000}}
	r.Event(&httpreassembly.Event{At: after(2 * sec), Kind: httpreassembly.ExchangeDone, Exchange: never},
		&rules.Verdict{Command: other, Raw: `x\x0a"`})
	partial := &httpreassembly.Exchange{Conn: 8, Flow: flow("192.0.2.8:2"), Depth: 1, RequestStart: after(ms), Outcome: httpreassembly.Cut, Answer: &httpreassembly.Answer{}, Head: &httpreassembly.Head{}}
	r.Event(&httpreassembly.Event{At: after(2 * sec), Kind: httpreassembly.ExchangeDone, Exchange: partial}, nil)
	r.Event(&httpreassembly.Event{At: after(2 * sec), Kind: httpreassembly.Odd, Conn: 9, Flow: flow("192.0.2.9:3"),
		Odd: httpreassembly.LengthAndChunked, Detail: "2 fields"}, nil)
	r.Event(&httpreassembly.Event{At: after(2 * sec), Kind: httpreassembly.Refused}, nil)
	r.Event(&httpreassembly.Event{At: after(2 * sec), Kind: httpreassembly.Gap, Bytes: 1460}, nil)
	r.Event(&httpreassembly.Event{At: after(2*sec + 5), Kind: httpreassembly.Gap, Bytes: -1}, nil)
	r.Loss(after(4*sec), capture.Loss{Kernel: 12, Interface: 3})
	r.Finding(&detect.Finding{At: after(10 * sec), Kind: detect.NodeSeen, Node: &detect.Node{
		Server: netip.MustParseAddrPort("10.0.0.1:14265"), Connections: 812, InFlight: 40, Oldest: 9 * sec, CloseWait: 300, Host: true,
		CloseWaitKernel: 301, Unaccepted: 12, FDs: 900, FDLimit: 4096, ETA: 77500 * ms, HasETA: true}})
	call := detect.CallRef{Conn: 7, Depth: 1, Client: netip.MustParseAddrPort("192.0.2.8:1"), Command: gtta.Name, Since: after(ms), Age: 11 * sec, Verdict: detect.CauseApp}
	a := detect.Alert{At: after(12 * sec), State: detect.Firing, Name: "CallStalled", Severity: detect.Warning, Subject: "10.0.0.1:14265 getTransactionsToApprove",
		Since: after(2 * sec), Server: netip.MustParseAddrPort("10.0.0.1:14265"), Client: detect.ClientOf(netip.MustParseAddr("192.0.2.8")), Command: gtta.Name,
		Value: 11, Limit: 10, Unit: "seconds", Summary: "1 call of getTransactionsToApprove hangs", Why: "11 s > 10 s", Confidence: 0.75,
		Evidence: detect.Evidence{Calls: []detect.CallRef{call}, InFlight: 40, Clients: []detect.ClientCount{{Client: detect.ClientOf(netip.MustParseAddr("192.0.2.8")), N: 3}},
			CloseWait: 300, CloseWaitKernel: -1, Unaccepted: -1, FDs: 900, FDLimit: 4096, ETA: 77 * sec, ETALow: 60 * sec, ETAHigh: 90 * sec, HasETA: true, GapBytes: 5}}
	r.Finding(&detect.Finding{At: a.At, Kind: detect.AlertChanged, Alert: &a})
	worse := a
	worse.At, worse.Severity = after(30*sec), detect.Critical
	behind := call
	behind.Client, behind.From = netip.MustParseAddrPort("203.0.113.9:0"), call.Client
	worse.Evidence.Calls = []detect.CallRef{behind}
	worse.Evidence.Leg = detect.Leg{Side: detect.NodeLeg, Proxy: netip.MustParseAddrPort("10.0.0.1:80"), Node: a.Server, Leaks: true, Paired: 30, Queued: 2, Left: 4, GaveUp: 20,
		Status: 504, Patience: 60 * sec}
	r.Finding(&detect.Finding{At: worse.At, Kind: detect.AlertChanged, Alert: &worse})
	r.Finding(&detect.Finding{At: after(31 * sec), Kind: detect.CallPending, Pending: &detect.Pending{
		Conn: 7, Flow: flow("192.0.2.8:1"), Depth: 1, Method: "POST", Target: "/?k=secret", Host: "node", RequestStart: after(0), RequestEnd: after(ms),
		Client: netip.MustParseAddrPort("203.0.113.9:4000"), RequestBody: 40, Call: rules.Verdict{Command: gtta}, Age: 31 * sec, Cause: detect.CauseGone, Final: true}})
	over := a
	over.At, over.State, over.Evidence = after(32*sec), detect.Resolved, detect.Evidence{CloseWait: -1, CloseWaitKernel: -1, Unaccepted: -1, FDs: -1, FDLimit: -1}
	r.Finding(&detect.Finding{At: over.At, Kind: detect.AlertChanged, Alert: &over})
	r.Event(&httpreassembly.Event{At: after(33 * sec), Kind: httpreassembly.Closed, Conn: 7, Flow: flow("192.0.2.8:1"), By: httpreassembly.Server, How: httpreassembly.ByFIN,
		Summary: &httpreassembly.Connection{Opened: t0, State: httpreassembly.StateClosed, Exchanges: 1, Bytes: [2]int64{120, 0}, CloseWait: after(3 * sec), History: "ShADFf"}}, nil)
	st := pipeline.Stats{First: t0, Last: after(33 * sec), Packets: 1234, Bytes: 567890, Loss: capture.Loss{Kernel: 12, Interface: 3},
		Decode: pipeline.DecodeStats{Skipped: []pipeline.Skip{{Reason: "arp", N: 4}, {Reason: "udp", N: 2}}}}
	st.Tracker.Opened = 5
	st.Tracker.Oddities[httpreassembly.LengthAndChunked] = 1
	st.Tracker.GapBytes = 1460
	r.Summary(st)
}

func stream(t *testing.T, o Options, fill func(*Writer)) string {
	t.Helper()
	var b bytes.Buffer
	r := New(&b, o)
	fill(r)
	if err := r.Flush(); err != nil {
		t.Fatalf("Flush: %v", err)
	}
	return b.String()
}

var trusted = []netip.Prefix{netip.MustParsePrefix("2001:db8::/64")}

func TestGolden(t *testing.T) {
	got := stream(t, Options{Redact: true, Version: "0.1.0", Sources: []string{"a \"b\".pcap", "tïme\u202e.pcap"}, RulesDigest: "0123456789abcdef", Trusted: trusted}, one)
	path := filepath.Join("testdata", "stream.jsonl")
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
		t.Errorf("stream differs from %s (-update rewrites it):\ngot  %s\nwant %s", path, got, want)
	}
	types := map[string]bool{}
	for _, m := range parse(t, got) {
		types[m["type"].(string)] = true
	}
	for _, k := range []string{"stream", "exchange", "pending", "connection", "oddity", "node", "loss", "alert", "summary"} {
		if !types[k] {
			t.Errorf("the golden stream has no %s record", k)
		}
	}
}

// parse reads every line with a decoder that is not ours, and checks that no
// key stands twice.
func parse(t *testing.T, s string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for i, text := range strings.Split(strings.TrimSuffix(s, "\n"), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatalf("line %d is not JSON: %v\n%s", i+1, err, text)
		}
		for k := range m {
			if n := topLevel(text, k); n != 1 {
				t.Errorf("line %d has the key %q %d times: %s", i+1, k, n, text)
			}
		}
		all = append(all, m)
	}
	return all
}

func topLevel(text, key string) (n int) {
	d := json.NewDecoder(strings.NewReader(text))
	depth, isKey := 0, false
	for {
		tok, err := d.Token()
		if err != nil {
			return n
		}
		switch v := tok.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				depth++
			} else {
				depth--
			}
			isKey = depth == 1
			continue
		case string:
			if depth == 1 && isKey && v == key {
				n++
			}
		}
		isKey = depth == 1 && !isKey
	}
}

func TestHostileTextStaysOnItsLine(t *testing.T) {
	nasty := "\"}\r\n{\"type\":\"alert\"}\x00\x1b[2J\u202e\xff" + strings.Repeat("A", 9000)
	x := answered()
	x.Method, x.Target, x.Host, x.ForwardedFor = []byte(nasty), []byte("/"+nasty), []byte(nasty), []byte(nasty)
	for _, redact := range []bool{true, false} {
		got := stream(t, Options{Redact: redact}, func(r *Writer) {
			r.Event(&httpreassembly.Event{At: t0, Kind: httpreassembly.ExchangeDone, Exchange: x}, &rules.Verdict{Command: other, Raw: nasty})
			r.Finding(&detect.Finding{At: t0, Kind: detect.CallPending, Pending: &detect.Pending{Flow: x.Flow, Method: nasty, Target: nasty, Host: nasty,
				Call: rules.Verdict{Command: other, Raw: nasty}}})
			r.Finding(&detect.Finding{At: t0, Kind: detect.AlertChanged, Alert: &detect.Alert{Evidence: detect.Evidence{Calls: []detect.CallRef{{Raw: nasty}}}}})
		})
		if lines := parse(t, got); len(lines) != 4 {
			t.Errorf("redact %v: %d lines, want 4:\n%s", redact, len(lines), got)
		}
		for i := range len(got) {
			if c := got[i]; c != '\n' && (c < ' ' || c > '~') {
				t.Fatalf("redact %v: byte %#x at %d of %q", redact, c, i, got)
			}
		}
		if !redact && len(got) > 40<<10 || redact && len(got) > 8<<10 {
			t.Errorf("redact %v: %d bytes for three records", redact, len(got))
		}
	}
}

func TestRedaction(t *testing.T) {
	for _, row := range []struct {
		redact bool
		want   string
	}{{true, `"target":"/?token={3}"`}, {false, `"target":"/?token=abc"`}} {
		got := stream(t, Options{Redact: row.redact}, one)
		if !strings.Contains(got, row.want) {
			t.Errorf("redact %v: no %s in\n%s", row.redact, row.want, got)
		}
	}
}

func TestSecondsAreExact(t *testing.T) {
	for _, row := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0"}, {1, "0.000000001"}, {sec, "1"}, {1500 * ms, "1.5"}, {-1500 * ms, "-1.5"}, {10 * time.Hour, "36000"},
		{math.MaxInt64, "9223372036.854775807"}, {math.MinInt64, "-9223372036.854775808"},
	} {
		if got := string(appendSeconds(nil, row.d)); got != row.want {
			t.Errorf("appendSeconds(%d ns) = %s, want %s", row.d, got, row.want)
		}
	}
}

func TestTimes(t *testing.T) {
	var l line
	for _, at := range []capture.Time{1, t0, t0 + 1, -1, -1e9, math.MinInt64, math.MaxInt64, t0} {
		l.b = l.b[:0]
		l.appendTime(at)
		if got, want := string(l.b), at.Std().Format("2006-01-02T15:04:05.000000000Z"); got != want {
			t.Errorf("time %d is %s, want %s", at, got, want)
		}
	}
}

// Vectors of https://github.com/corelight/pycommunityid and of the Community
// ID specification.
func TestCommunityID(t *testing.T) {
	for _, row := range []struct{ a, b, want string }{
		{"128.232.110.120:34855", "66.35.250.204:80", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"[fe80::200:86ff:fe05:80da]:135", "[fe80::260:97ff:fe07:69ea]:0", "1:+sv1F6JQBglTsE0j26d1G1XhKZM="},
	} {
		a, b := capture.EndpointOf(netip.MustParseAddrPort(row.a)), capture.EndpointOf(netip.MustParseAddrPort(row.b))
		for _, f := range []capture.Flow{{Client: a, Server: b}, {Client: b, Server: a}} {
			if got := string(appendCommunityID(nil, &f)); got != row.want {
				t.Errorf("community id of %v = %s, want %s", f, got, row.want)
			}
		}
	}
}

func TestRealClient(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, row := range []struct{ name, client, header, want string }{
		{"from a proxy", "10.1.1.1:5", "203.0.113.9", "203.0.113.9"},
		{"rightmost counts", "10.1.1.1:5", "1.2.3.4, 203.0.113.9", "203.0.113.9"},
		{"chain of proxies", "10.1.1.1:5", "203.0.113.9, 10.2.2.2", "203.0.113.9"},
		{"with port", "10.1.1.1:5", "[2001:db8::1]:443", "[2001:db8::1]:443"},
		{"mapped", "10.1.1.1:5", "::ffff:203.0.113.9", "203.0.113.9"},
		{"from a stranger", "203.0.113.1:5", "198.51.100.1", ""},
		{"garbage stops the walk", "10.1.1.1:5", "203.0.113.9, unknown", ""},
		{"zone", "10.1.1.1:5", "fe80::1%\x1b", ""},
		{"empty", "10.1.1.1:5", "", ""},
		{"only proxies", "10.1.1.1:5", "10.9.9.9", ""},
		{"cut by the core", "10.1.1.1:5", strings.Repeat("1.2.3.4,", httpreassembly.MaxField/8), ""},
	} {
		r := New(&bytes.Buffer{}, Options{Trusted: proxies})
		r.l.b = append(r.l.b[:0], '{')
		r.realClient(&httpreassembly.Exchange{Flow: flow(row.client), Answer: &httpreassembly.Answer{}, Head: &httpreassembly.Head{ForwardedFor: []byte(row.header)}})
		want := "{"
		if row.want != "" {
			want = fmt.Sprintf(`{"real_client":%q`, row.want)
		}
		if got := string(r.l.b); got != want {
			t.Errorf("%s: %s behind %s gives %s, want %s", row.name, row.header, row.client, got, want)
		}
	}
}

type brokenPipe struct{ left int }

var errPipe = errors.New("broken pipe")

func (b *brokenPipe) Write(p []byte) (int, error) {
	b.left -= len(p)
	if b.left < 0 {
		return 0, errPipe
	}
	return len(p), nil
}

func TestWriteErrorIsKeptAndBounded(t *testing.T) {
	r := New(&brokenPipe{left: 100 << 10}, Options{})
	x := answered()
	for range 5000 {
		r.Event(&httpreassembly.Event{At: t0, Kind: httpreassembly.ExchangeDone, Exchange: x}, nil)
	}
	if !errors.Is(r.Err(), errPipe) || !errors.Is(r.Flush(), errPipe) {
		t.Errorf("Err() = %v, want %v", r.Err(), errPipe)
	}
	if n := r.Unwritten(); n == 0 || n > 5001 {
		t.Errorf("Unwritten() = %d of 5001 lines", n)
	}
	if c := cap(r.l.b); c > 2*bufferBytes {
		t.Errorf("the buffer grew to %d bytes after the error", c)
	}
}

func TestGapsOfASecondAreOneLine(t *testing.T) {
	got := stream(t, Options{}, func(r *Writer) {
		for i := range 3000 {
			r.Event(&httpreassembly.Event{At: after(time.Duration(i) * ms), Kind: httpreassembly.Gap, Bytes: 10}, nil)
		}
		r.Summary(pipeline.Stats{})
	})
	var gaps, size float64
	lines := 0
	for _, m := range parse(t, got) {
		if m["type"] == "loss" {
			lines++
			gaps += m["gaps"].(float64)
			size += m["gap_bytes"].(float64)
		}
	}
	if lines != 3 || gaps != 3000 || size != 30000 {
		t.Errorf("%d lines with %v gaps of %v bytes, want 3 with 3000 of 30000:\n%s", lines, gaps, size, got)
	}
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", `a"b\c`, "\x00\x1f\x7f", "ä€\U0001f600\u202e\U000e0001", "\xff\xc0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := appendString(nil, s)
		var back string
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("appendString(%q) = %q: %v", s, b, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && back != want {
			t.Errorf("appendString(%q) reads back as %q", s, back)
		}
		if bytes.ContainsAny(b, "\n\r\x1b\u202e") {
			t.Errorf("appendString(%q) = %q has a control character", s, b)
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func hot() (*Writer, []httpreassembly.Event, *rules.Verdict) {
	r := New(discard{}, Options{Redact: true})
	return r, []httpreassembly.Event{
		{At: after(13 * ms), Kind: httpreassembly.ExchangeDone, Exchange: answered()},
		{At: after(14 * ms), Kind: httpreassembly.Closed, Flow: flow("192.0.2.7:50123"), By: httpreassembly.Client, Summary: &httpreassembly.Connection{Opened: t0, History: "ShADadFf"}},
		{At: after(14 * ms), Kind: httpreassembly.Odd, Flow: flow("192.0.2.7:50123"), Odd: httpreassembly.ObsFold},
	}, &rules.Verdict{Command: info}
}

func TestNoAllocs(t *testing.T) {
	r, events, v := hot()
	names := []string{"exchange", "connection", "oddity"}
	for i := range events {
		if n := testing.AllocsPerRun(2000, func() { r.Event(&events[i], v) }); n != 0 {
			t.Errorf("%s: %v allocations a record, want 0", names[i], n)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	r, events, v := hot()
	for i, name := range []string{"exchange", "connection", "oddity"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Event(&events[i], v)
			}
		})
	}
}

func BenchmarkCommunityID(b *testing.B) {
	f := flow("192.0.2.7:50123")
	dst := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		dst = appendCommunityID(dst[:0], &f)
	}
}
