package status

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var _ pipeline.Sink = (*Status)(nil)

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				t.Fatalf("%s, line %d (-update rewrites it):\n got %s\nwant %s", name, i+1, g[i], w[i])
			}
		}
		t.Fatalf("%s has %d lines, want %d", name, len(g), len(w))
	}
}

// The style has a golden file of its own: the page's.
func withoutStyle(page []byte) []byte { return bytes.Replace(page, []byte(pageStyle), nil, 1) }

func TestScenes(t *testing.T) {
	for _, row := range scenes {
		t.Run(row.name, func(t *testing.T) {
			s := newScene(row.o)
			row.play(s)
			d := s.Document()
			if d.State != row.state {
				t.Errorf("the state is %s (%s), want %s", d.State, d.Sentence, row.state)
			}
			golden(t, row.name+".html", withoutStyle(d.html(true)))
			var b bytes.Buffer
			if err := json.Indent(&b, d.json(), "", " "); err != nil {
				t.Fatal(err)
			}
			golden(t, row.name+".json", short(b.Bytes()))
		})
	}
}

// short puts a column of numbers on one line.
func short(b []byte) []byte {
	var out []byte
	in := false
	for line := range bytes.Lines(b) {
		trimmed := bytes.TrimSpace(line)
		switch {
		case bytes.HasSuffix(trimmed, []byte(": [")) && bytes.HasPrefix(line, []byte("    ")):
			in = true
			out = append(out, bytes.TrimRight(line, "\n")...)
			continue
		case in && bytes.HasPrefix(trimmed, []byte("]")):
			in = false
			line = append(trimmed, '\n')
		case in:
			line = trimmed
		}
		out = append(out, line...)
	}
	return out
}

// What comes from elsewhere is text, wherever it stands.
func TestHostileText(t *testing.T) {
	s := newScene(Options{Instance: hostileWord(300)})
	hostile(s)
	page := withoutStyle(s.Document().html(true))
	for _, evil := range []string{"<script", "<img", "</style></title>", "\u202e", "\x1b", "\x00", "\"'>"} {
		if bytes.Contains(page, []byte(evil)) {
			t.Errorf("%q reached the page", evil)
		}
	}
	for i, c := range page {
		if c > '~' && c != 0xe2 && c != 0x80 && c != 0x93 && c != 0xc2 && c != 0xb7 || c < ' ' && c != '\n' { // our own dash and dot
			t.Fatalf("byte %#x at %d: %q", c, i, page[max(0, i-40):i])
		}
	}
	if n := bytes.Count(page, []byte("<article")); n != maxRows+maxResolved {
		t.Errorf("%d incidents are shown, want %d", n, maxRows+maxResolved)
	}
	if len(page) > 512<<10 {
		t.Errorf("the page has %d bytes", len(page))
	}
	if b := s.Document().json(); len(b) > 512<<10 {
		t.Errorf("the document has %d bytes", len(b))
	} else if bytes.ContainsAny(b, "<>\x1b\x00") {
		t.Errorf("the document has markup or controls")
	} else if err := json.Unmarshal(b, &map[string]any{}); err != nil {
		t.Errorf("%v", err)
	}
}

// Whatever is told, what is kept has a bound.
func TestMemoryIsBounded(t *testing.T) {
	s := newScene(Options{})
	hours := func(n int) uint64 {
		for i := range n * 60 {
			var nodes []detect.Node
			for k := range 300 {
				nodes = append(nodes, detect.Node{Server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i % 5), byte(k >> 8), byte(k)}), 14265), Calls: 3})
			}
			s.alert(fmt.Sprint("Rule", i), detect.Firing, detect.Severity(1+i%3), nil)
			if i%2 == 0 {
				s.alert(fmt.Sprint("Rule", i), detect.Resolved, detect.Warning, nil)
			}
			s.now = s.now.Add(59 * sec)
			s.second(nodes...)
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := hours(3)
	after := hours(9)
	if after > before+256<<10 {
		t.Errorf("%d bytes after 3 hours, %d after 12", before, after)
	}
	if b := &s.board; len(b.firing) != maxFiring || len(b.resolved) != maxResolved || len(s.curves) > maxCurves {
		t.Errorf("%d firing, %d resolved, %d curves", len(b.firing), len(b.resolved), len(s.curves))
	}
	for _, a := range s.board.firing {
		if a.Severity == detect.Info {
			t.Errorf("%s, of the least severity, stayed", a.Name)
			break
		}
	}
	runtime.KeepAlive(s)
}

// What detect says fires, beyond those that are kept, is counted.
func TestHiddenIncidents(t *testing.T) {
	s := newScene(Options{})
	for i := range maxFiring + 20 {
		s.alert(fmt.Sprint("Rule", i), detect.Firing, detect.Warning, nil)
	}
	s.snap.Alerts = []detect.AlertGauge{{Name: "Rule", Severity: detect.Warning, N: maxFiring + 20}}
	s.second(detect.Node{Server: iri, Calls: 1})
	if d := s.Document(); len(d.Firing) != maxRows || d.MoreFires != maxFiring+20-maxRows {
		t.Errorf("%d shown and %d more, want %d and %d", len(d.Firing), d.MoreFires, maxRows, maxFiring+20-maxRows)
	}
}

// An incident that is told again, or gets worse, is one.
func TestIncidentIsOne(t *testing.T) {
	s := newScene(Options{})
	since := capture.At(s.now)
	s.second(detect.Node{Server: iri, Calls: 1})
	s.alert("CallStalled", detect.Firing, detect.Warning, nil)
	s.second(detect.Node{Server: iri, Calls: 1})
	s.alert("CallStalled", detect.Firing, detect.Critical, func(a *detect.Alert) { a.Since = since })
	d := s.Document()
	if len(d.Firing) != 1 || d.Firing[0].Severity != Critical || d.Nodes[0].State != Critical || capture.Time(*d.Nodes[0].Since) != since {
		t.Errorf("got %+v", d.Firing)
	}
	s.alert("CallStalled", detect.Resolved, detect.Critical, nil)
	if d = s.Document(); len(d.Firing) != 0 || len(d.Resolved) != 1 || d.State != Fine {
		t.Errorf("%d fire, %d resolved, %s: want 0, 1, fine", len(d.Firing), len(d.Resolved), d.State)
	}
}

// Publish must not keep what its caller uses again, nor a reader see what
// comes later.
func TestPublishCopies(t *testing.T) {
	s := newScene(Options{})
	attack(s)
	d := s.Document()
	before := d.json()
	s.snap.Nodes[0].InFlight, s.snap.Calls[0].Command = 999, "changed"
	if after := s.Document().json(); !bytes.Equal(before, after) {
		t.Errorf("the document changed with the caller's memory")
	}
	attack(s)
	if after := d.json(); !bytes.Equal(before, after) {
		t.Errorf("a document changed after it was made")
	}
}

// crowded is a status with every bound reached.
func crowded() *scene {
	s := newScene(Options{})
	attack(s)
	for i := range maxFiring {
		s.alert(fmt.Sprint("Rule", i), detect.Firing, detect.Warning, nil)
	}
	return s
}

// The packet path pays nothing for an event, and a constant for a second.
func TestNoAllocs(t *testing.T) {
	s := crowded()
	ev := &httpreassembly.Event{Kind: httpreassembly.ExchangeDone}
	if n := testing.AllocsPerRun(100, func() { s.Event(ev, nil) }); n != 0 {
		t.Errorf("an event costs %v allocations, want 0", n)
	}
	now := s.now
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(sec)
		s.snap.At = capture.At(now)
		s.Publish(s.stats, &s.snap)
	}); n > 8 {
		t.Errorf("a second costs %v allocations, want a few copies", n)
	}
}

func BenchmarkPublish(b *testing.B) {
	s := crowded()
	b.ReportAllocs()
	for b.Loop() {
		s.snap.At += capture.Time(sec)
		s.Publish(s.stats, &s.snap)
	}
}

// BenchmarkCopy is how long a reader may hold the pipeline up.
func BenchmarkCopy(b *testing.B) {
	s := crowded()
	b.ReportAllocs()
	for b.Loop() {
		s.copy()
	}
}

func BenchmarkPage(b *testing.B) {
	s := crowded()
	b.ReportAllocs()
	for b.Loop() {
		s.Document().html(true)
	}
}

func TestReadersWhilePublishing(t *testing.T) {
	s := newScene(Options{})
	h := s.Handler()
	attack(s)
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 20 {
				get(h, "/", nil)
				get(h, "/status.json", nil)
				s.Document()
			}
		}()
	}
	for i := range 200 {
		s.snap.At += capture.Time(sec)
		s.Publish(s.stats, &s.snap)
		f := &detect.Finding{Kind: detect.AlertChanged, Alert: &detect.Alert{State: detect.Firing, Name: fmt.Sprint("Rule", i), Severity: detect.Warning}}
		s.Finding(f)
		f.Alert = &detect.Alert{State: detect.Resolved, Name: f.Alert.Name, Severity: detect.Warning}
		s.Finding(f)
		s.sees(i)
	}
	for range 4 {
		<-done
	}
}

func TestSpan(t *testing.T) {
	for _, row := range []struct {
		d    time.Duration
		want string
	}{
		{-sec, "0 s"}, {0, "0 s"}, {40 * time.Microsecond, "0 s"}, {20 * time.Millisecond, "20 ms"}, {9999 * time.Millisecond, "9.9 s"}, {59 * sec, "59 s"},
		{99 * sec, "99 s"}, {121 * sec, "2 min 01 s"}, {3*time.Hour + 5*time.Minute, "3 h 05 min"}, {50 * time.Hour, "2 days 2 h"},
	} {
		if got := span(row.d); got != row.want {
			t.Errorf("span(%v) = %q, want %q", row.d, got, row.want)
		}
	}
}
