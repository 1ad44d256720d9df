package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// heard is a Sink that remembers the alerts.
type heard struct{ alerts []detect.Alert }

func (h *heard) Event(*httpreassembly.Event, *rules.Verdict) {}
func (h *heard) Loss(capture.Time, capture.Loss)             {}
func (h *heard) Finding(f *detect.Finding) {
	if f.Kind == detect.AlertChanged && f.Alert.State == detect.Firing {
		h.alerts = append(h.alerts, *f.Alert)
	}
}

// at is when the same alert of the same severity fired.
func (h *heard) at(a *detect.Alert) (capture.Time, bool) {
	for i := range h.alerts {
		if h.alerts[i].Name == a.Name && h.alerts[i].Subject == a.Subject && h.alerts[i].Severity == a.Severity {
			return h.alerts[i].At, true
		}
	}
	return 0, false
}

// run replays a capture through the pipeline, and a Collector if c is set.
func run(t *testing.T, path string, c *Collector) *heard {
	t.Helper()
	src, err := replay.Open([]string{path}, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	h := &heard{}
	sinks := []pipeline.Sink{h}
	if c != nil {
		sinks = append(sinks, c)
	}
	pipe, err := pipeline.New(pipeline.Options{Rules: rules.Default(), Tracker: httpreassembly.Options{Ports: []uint16{14265}}, Detect: detect.Options{FDLimit: 128, Workers: 72}}, sinks...)
	if err != nil {
		t.Fatal(err)
	}
	var it capture.Item
	for {
		if err = src.Next(&it); err != nil {
			break
		}
		if c != nil {
			c.Item(&it)
		}
		pipe.Item(&it)
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	pipe.Finish(it.At)
	for _, e := range src.Errors() {
		t.Errorf("%s: %v", path, e.Err)
	}
	return h
}

// results gathers what a Collector reports.
type results struct {
	sync.Mutex
	list []Result
}

func (r *results) add(x Result) {
	r.Lock()
	defer r.Unlock()
	r.list = append(r.list, x)
}

func collector(t *testing.T, o Options) (*Collector, *results) {
	t.Helper()
	var r results
	o.Report = r.add
	if o.MinFree == 0 {
		o.MinFree = -1
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, &r
}

const iri2018 = "../../../testdata/captures/iri2018.pcap.zst"

// TestBundleReplaysToTheAlert is the promise of the package, on real captures:
// each bundle replays to its alert, at the same instant.
func TestBundleReplaysToTheAlert(t *testing.T) {
	for _, name := range []string{"iri2018", "iri2018_monitor", "haproxy_proxy", "nginx_proxy", "slowhttptest_body"} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "iri2018" {
				t.Skip("one capture is enough for a short run")
			}
			t.Parallel()
			c, res := collector(t, Options{Dir: t.TempDir(), Version: "test"})
			h := run(t, "../../../testdata/captures/"+name+".pcap.zst", c)
			if err := c.Close(time.Minute); err != nil {
				t.Fatal(err)
			}
			st := c.Stats()
			if st.Written < 3 || st.Failed+st.Refused+st.PacketsDropped != 0 || int(st.Written) != len(res.list) {
				t.Fatalf("stats %+v of %d alerts, %d results", st, len(h.alerts), len(res.list))
			}
			stalled := false
			for _, r := range res.list {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
				stalled = stalled || r.Alert.Name == "CallStalled"
				checkBundle(t, r.Path)
				again := run(t, filepath.Join(r.Path, packetsFile), nil)
				if at, ok := again.at(r.Alert); !ok || at != r.Alert.At {
					t.Errorf("%s fired at %v and replays to %v (%v); the replay has %v", filepath.Base(r.Path), r.Alert.At, at, ok, names(again))
				}
			}
			if !stalled {
				t.Error("no bundle of CallStalled")
			}
		})
	}
}

func names(h *heard) (list []string) {
	for i := range h.alerts {
		list = append(list, h.alerts[i].Name+" "+h.alerts[i].Subject)
	}
	return list
}

// checkBundle holds a bundle to its manifest and its modes.
func checkBundle(t *testing.T, dir string) {
	t.Helper()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 || !nameForm.MatchString(info.Name()) {
		t.Errorf("%s: %v, %v", dir, info, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if m.Packets == 0 || m.NotKept+m.Beyond+m.OtherLinks != 0 {
		t.Errorf("%s: %s", dir, b)
	}
	listed := map[string]bool{manifestFile: true}
	for _, f := range m.Files {
		listed[f.Name] = true
		data, err := os.ReadFile(filepath.Join(dir, f.Name))
		sum := sha256.Sum256(data)
		if err != nil || hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(data)) != f.Bytes {
			t.Errorf("%s/%s: %v, sum or size differs from the manifest", dir, f.Name, err)
		}
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, _ := e.Info()
		if want := os.FileMode(0o600); !listed[e.Name()] || info.Mode().Perm() != want && e.Name() != reproduceFile {
			t.Errorf("%s/%s: mode %v, in the manifest: %v", dir, e.Name(), info.Mode(), listed[e.Name()])
		}
	}
	for _, name := range []string{packetsFile, "packets.host.jsonl", callsFile, timelineFile, alertFile, reproduceFile, adviceFile} {
		if !listed[name] {
			t.Errorf("%s: no %s", dir, name)
		}
	}
}

// TestBundleSaysWhatHappened reads the texts of the bundle of the stall.
func TestBundleSaysWhatHappened(t *testing.T) {
	dir := t.TempDir()
	c, res := collector(t, Options{Dir: dir})
	run(t, iri2018, c)
	if err := c.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, r := range res.list {
		if r.Alert.Name != "CallStalled" {
			continue
		}
		for file, want := range map[string][]string{
			reproduceFile: {`"command":"getTransactionsToApprove"`, `"reference":"GFCCGTG`, `"$NODE"'/'`},
			adviceFile:    {"getTransactionsToApprove"},
			timelineFile:  {"<- this bundle", "call   getTransactionsToApprove from 127.0.66."},
			alertFile:     {`"type":"alert"`, `"alert":"CallStalled"`},
			callsFile:     {`"type":"pending"`, `"command":"getTransactionsToApprove"`},
		} {
			b, err := os.ReadFile(filepath.Join(r.Path, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range want {
				if !strings.Contains(string(b), w) {
					t.Errorf("%s lacks %q:\n%.3000s", file, w, b)
				}
			}
		}
		return
	}
	t.Error("no bundle of CallStalled")
}

// alertAt makes an alert of a node that no packet belongs to.
func alertAt(at capture.Time, name, subject string, s detect.Severity) *detect.Finding {
	return &detect.Finding{At: at, Kind: detect.AlertChanged, Alert: &detect.Alert{At: at, State: detect.Firing, Name: name, Subject: subject, Severity: s,
		Server: netip.MustParseAddrPort("10.0.0.1:14265")}}
}

const start = capture.Time(1_516_866_000) * second

func TestWhatMakesABundle(t *testing.T) {
	dir := t.TempDir()
	c, _ := collector(t, Options{Dir: dir, After: time.Second})
	tick := func(at capture.Time) { c.Item(&capture.Item{At: at}) }
	tell := func(f *detect.Finding) { tick(f.At); c.Finding(f); tick(f.At.Add(2 * time.Second)) }
	tell(alertAt(start, "CallStalled", "a", detect.Info)) // news only
	resolved := alertAt(start.Add(time.Minute), "CallStalled", "a", detect.Critical)
	resolved.Alert.State = detect.Resolved
	tell(resolved)
	tell(alertAt(start.Add(2*time.Minute), "CallStalled", "a", detect.Warning))   // first
	tell(alertAt(start.Add(3*time.Minute), "CallStalled", "a", detect.Warning))   // cooling
	tell(alertAt(start.Add(4*time.Minute), "CallStalled", "a", detect.Critical))  // worse
	tell(alertAt(start.Add(5*time.Minute), "CallStalled", "b", detect.Warning))   // another
	tell(alertAt(start.Add(20*time.Minute), "CallStalled", "a", detect.Warning))  // again
	tell(alertAt(start.Add(21*time.Minute), "../../../x", "c", detect.Warning))   // hostile name
	tell(alertAt(start.Add(22*time.Minute), "\x1b[2J/\x00", "d", detect.Warning)) //
	if err := c.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	if st := c.Stats(); st.Written != 6 || st.Cooling != 1 || st.Failed != 0 {
		t.Errorf("%+v, want 6 written, 1 cooling", st)
	}
	for _, want := range []string{"20180125T074200Z-CallStalled-0001", "20180125T080100Z-x-0005", "20180125T080200Z-2J-0006"} {
		if _, err := os.Stat(filepath.Join(dir, want)); err != nil {
			t.Error(err)
		}
	}
}

func TestBounds(t *testing.T) {
	full := func(string) (int64, bool) { return 100, true }
	for _, row := range []struct {
		name  string
		o     Options
		left  int // directories
		stats func(Stats) bool
	}{
		{"number", Options{MaxBundles: 3}, 3, func(s Stats) bool { return s.Written == 6 && s.Removed == 3 }},
		{"size", Options{MaxBytes: 1}, 1, func(s Stats) bool { return s.Written == 6 && s.Removed == 5 }},
		{"age", Options{Now: func() time.Time { return time.Now().Add(1000 * time.Hour) }}, 1, func(s Stats) bool { return s.Removed == 5 }},
		{"disk", Options{MinFree: 1000, Free: full}, 0, func(s Stats) bool { return s.Refused == 6 && s.Written == 0 && s.Failed == 0 }},
		{"nobody knows the disk", Options{MinFree: 1000, Free: func(string) (int64, bool) { return 0, false }}, 6, func(s Stats) bool { return s.Written == 6 }},
	} {
		dir := t.TempDir()
		for _, other := range []string{"mine", "20180125T074200Z-x"} { // not ours: never removed
			os.Mkdir(filepath.Join(dir, other), 0o700)
		}
		row.o.Dir, row.o.After = dir, time.Second
		c, res := collector(t, row.o)
		for i := range 6 {
			at := start.Add(time.Duration(i) * time.Minute)
			c.Item(&capture.Item{At: at})
			c.Finding(alertAt(at, "CallStalled", fmt.Sprint(i), detect.Warning))
			c.Item(&capture.Item{At: at.Add(2 * time.Second)})
		}
		if err := c.Close(time.Minute); err != nil {
			t.Fatal(err)
		}
		entries, _ := os.ReadDir(dir)
		if len(entries) != row.left+2 || !row.stats(c.Stats()) || len(res.list) != 6 {
			t.Errorf("%s: %d bundles left, want %d; %+v; %d results", row.name, len(entries)-2, row.left, c.Stats(), len(res.list))
		}
		for _, r := range res.list {
			if row.name == "disk" && !errors.Is(r.Err, errDiskFull) {
				t.Errorf("%s: error %v", row.name, r.Err)
			}
		}
	}
}

func TestTooManyAtOnce(t *testing.T) {
	c, res := collector(t, Options{Dir: t.TempDir()})
	for i := range maxOpen + 5 {
		at := start + capture.Time(i)
		c.Item(&capture.Item{At: at})
		c.Finding(alertAt(at, "CallStalled", fmt.Sprint(i), detect.Warning))
	}
	if err := c.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	if st := c.Stats(); st.Written != maxOpen || st.Busy != 5 || len(res.list) != maxOpen {
		t.Errorf("%+v, %d results: want %d written and 5 busy", st, len(res.list), maxOpen)
	}
}

// TestFailuresAreTold takes the directory away.
func TestFailuresAreTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "evidence")
	c, res := collector(t, Options{Dir: dir})
	os.RemoveAll(dir)
	c.Item(&capture.Item{At: start})
	c.Finding(alertAt(start, "CallStalled", "a", detect.Warning))
	c.Close(time.Minute)
	if st := c.Stats(); st.Failed != 1 || st.Written != 0 || len(res.list) != 1 || res.list[0].Err == nil || res.list[0].Path != "" {
		t.Errorf("%+v, %+v: want one failure", st, res.list)
	}
	if _, err := New(Options{Dir: "/dev/null/x"}); err == nil {
		t.Error("New in a file: no error")
	}
}

// TestHangingDisk has a writer that does not come back: packets and alerts go
// on, in bounded memory, and Close gives up.
func TestHangingDisk(t *testing.T) {
	hang := make(chan struct{})
	c, res := collector(t, Options{Dir: t.TempDir(), RingBytes: 2 << 20, MinFree: 1, Free: func(string) (int64, bool) { <-hang; return 0, false }})
	it := capture.Item{At: start, Kind: capture.PacketSeen, Packet: *numbered(1, 1500)}
	for i := range 20_000 {
		it.At += second / 10
		c.Item(&it)
		if i%100 == 0 {
			c.Finding(alertAt(it.At, "CallStalled", fmt.Sprint(i), detect.Warning))
		}
	}
	if n := len(c.ring.blocks) + len(c.ring.away); n > 2*c.ring.maxBlocks {
		t.Errorf("%d blocks, want at most %d", n, 2*c.ring.maxBlocks)
	}
	if st := c.Stats(); st.Busy != 200-maxOpen {
		t.Errorf("%+v: want all but %d alerts counted as busy", st, maxOpen)
	}
	if err := c.Close(time.Millisecond); err == nil {
		t.Error("Close says that all is on disk")
	}
	close(hang)
	c.done.Wait()
	if len(res.list) != maxOpen {
		t.Errorf("%d results, want %d", len(res.list), maxOpen)
	}
}

// TestHostileZone: an address of a crafted side file may hold free text.
func TestHostileZone(t *testing.T) {
	bad := netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone("x\ntouch pwned\n"), 1)
	a := &detect.Alert{At: start, Name: "CallStalled", Server: bad}
	a.Evidence.Calls = []detect.CallRef{{Client: bad, Command: "getNodeInfo"}}
	var r requests
	r.init(a)
	r.wanted[0].seen, r.wanted[0].method, r.wanted[0].target = true, "GET", "/"
	line := appendTimeline(nil, a, []moment{{at: 1, node: &detect.Node{Server: bad}}, {at: 2, pending: &detect.Pending{Flow: capture.Flow{Client: capture.EndpointOf(bad)}}}})
	if text := string(r.script(a, true).text) + string(line); strings.Contains(text, "pwned") {
		t.Errorf("got in:\n%s", text)
	}
}

// TestPacketsAreBounded has a bundle with room for three packets, and frames
// of two link types.
func TestPacketsAreBounded(t *testing.T) {
	src, err := replay.Open([]string{iri2018}, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	c, res := collector(t, Options{Dir: t.TempDir(), MaxPackets: 1000})
	var it capture.Item
	for i := range 2000 {
		if src.Next(&it) != nil {
			t.Fatal("the capture is too short")
		}
		if i == 1000 {
			it.Packet.Link = capture.LinkSLL2
		}
		c.Item(&it)
	}
	f := alertAt(it.At, "CallStalled", "a", detect.Warning)
	f.Alert.Server = netip.MustParseAddrPort("127.0.0.1:14265")
	c.Finding(f)
	c.Close(time.Minute)
	if len(res.list) != 1 || res.list[0].Err != nil {
		t.Fatalf("%+v", res.list)
	}
	b, _ := os.ReadFile(filepath.Join(res.list[0].Path, manifestFile))
	var m manifest
	json.Unmarshal(b, &m)
	st, _ := os.Stat(filepath.Join(res.list[0].Path, packetsFile))
	if m.Packets == 0 || m.Beyond == 0 || st.Size() > 24+1000+int64(m.Packets)*16 {
		t.Errorf("%d bytes of packets; %s", st.Size(), b)
	}
}

func TestUnfinishedAreRemoved(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, unfinished+"20180125T074200Z-CallStalled-0041")
	os.MkdirAll(filepath.Join(left, "x"), 0o700)
	os.Mkdir(filepath.Join(dir, "20180125T074200Z-CallStalled-0042"), 0o700)
	c, res := collector(t, Options{Dir: dir})
	c.Item(&capture.Item{At: start})
	c.Finding(alertAt(start, "CallStalled", "a", detect.Warning))
	c.Close(time.Minute)
	if _, err := os.Stat(left); err == nil {
		t.Errorf("%s is still there", left)
	}
	if len(res.list) != 1 || !strings.HasSuffix(res.list[0].Path, "-0043") {
		t.Errorf("%+v, want number 43", res.list)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	c, _ := collector(t, Options{Dir: t.TempDir()})
	for i := range 3 * maxLedger {
		at := start + capture.Time(i)
		c.Item(&capture.Item{At: at, Kind: capture.HostSampled, Sample: &capture.Sample{}})
		c.Finding(&detect.Finding{At: at, Kind: detect.CallPending, Pending: &detect.Pending{Conn: httpreassembly.ConnID(i), Depth: 1}})
		c.remember(key{fmt.Sprint(i), ""}, had{at: at})
	}
	if len(c.ledger.calls) > maxLedger || len(c.samples) > maxSamples || len(c.timeline) > maxTimeline || len(c.last) > maxKeys {
		t.Errorf("%d calls, %d samples, %d moments, %d incidents", len(c.ledger.calls), len(c.samples), len(c.timeline), len(c.last))
	}
	if st := c.Stats(); st.CallsDropped != 2*maxLedger {
		t.Errorf("%d calls counted as dropped, want %d", st.CallsDropped, 2*maxLedger)
	}
	ev := httpreassembly.Event{Kind: httpreassembly.ExchangeDone, Conn: 5, Exchange: &httpreassembly.Exchange{Depth: 1, Answer: &httpreassembly.Answer{}, Head: &httpreassembly.Head{}}}
	c.Event(&ev, nil)
	if len(c.ledger.calls) != maxLedger-1 {
		t.Error("an answered call stays in the ledger")
	}
	c.Close(time.Minute)
}

func TestItemAllocs(t *testing.T) {
	c, _ := collector(t, Options{Dir: t.TempDir(), RingBytes: 2 << 20})
	it := capture.Item{At: start, Kind: capture.PacketSeen, Packet: *numbered(1, 1500)}
	item := func() { it.At++; c.Item(&it) }
	for range 5000 {
		item()
	}
	if n := testing.AllocsPerRun(5000, item); n != 0 {
		t.Errorf("Item allocates %v times a packet, want 0", n)
	}
	c.Close(time.Minute)
}

func TestOptions(t *testing.T) {
	for _, row := range []struct {
		o  Options
		ok bool
	}{
		{Options{Dir: "x"}, true}, {Options{}, false}, {Options{Dir: "x", RingBytes: 5}, false}, {Options{Dir: "x", After: -1}, false}, {Options{Dir: "x", MaxBundles: -1}, false},
	} {
		if err := row.o.Validate(); (err == nil) != row.ok {
			t.Errorf("Validate(%+v) = %v, want ok %v", row.o, err, row.ok)
		}
	}
}

func BenchmarkItem(b *testing.B) {
	c, err := New(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close(time.Minute)
	it := capture.Item{At: start, Kind: capture.PacketSeen, Packet: *numbered(1, 300)}
	b.ReportAllocs()
	for b.Loop() {
		it.At++
		c.Item(&it)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/packet")
}
