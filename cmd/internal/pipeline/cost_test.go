package pipeline

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/synth"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// TestCostsAreMeasured holds what memory.go charges to what the parts take,
// of clients who mean to be dear: each waits in the middle of a message, each
// asks in words of its own.
func TestCostsAreMeasured(t *testing.T) {
	const n = 40_000
	for _, row := range []struct {
		name   string
		charge int
		dear   bool // as dear as can be: the charge must not be far above
		play   func(s *soaker, k int)
	}{
		{"idle", connCost, false, func(s *soaker, k int) {}},
		{"in the middle of a request", connCost, true, func(s *soaker, k int) {
			s.send(k, capture.ToServer, capture.ACK|capture.PSH, 100, 500, []byte("POST"))
		}},
		{"hanging, in the same words", connCost + callCost, false, func(s *soaker, k int) {
			s.send(k, capture.ToServer, capture.ACK|capture.PSH, 100, 500, []byte(soakCall))
		}},
		{"hanging, each in its own words", connCost + callCost, true, func(s *soaker, k int) {
			s.send(k, capture.ToServer, capture.ACK|capture.PSH, 100, 500,
				fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: node%d\r\nUser-Agent: curl/%d\r\n\r\n", k, k, k))
		}},
		{"hanging, each with its own parameters", connCost + callCost, true, func(s *soaker, k int) {
			b := fmt.Sprintf(`{"command":"findTransactions","addresses%d":["%d"],"tags":[]}`, k, k)
			s.send(k, capture.ToServer, capture.ACK|capture.PSH, 100, 500,
				fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: node%d\r\nContent-Length: %d\r\n\r\n%s", k, len(b), b))
		}},
	} {
		p, err := New(Options{Rules: rules.Default(), Tracker: httpreassembly.Options{Ports: []uint16{synth.ServerPort}}}, discard{})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		s := soaker{t: t, p: p, at: synth.Start}
		play := func(k int) { s.open(k); row.play(&s, k) }
		for k := range 100 { // what is there once
			play(n + k)
		}
		runtime.GC()
		runtime.ReadMemStats(&before)
		for k := range n {
			play(k)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		st := p.Stats()
		got := (int(after.HeapAlloc-before.HeapAlloc) - int(st.Tracker.Buffered)) / n
		t.Logf("%s: %d bytes, charged %d; %d bytes of buffers besides", row.name, got, row.charge, st.Tracker.Buffered/n)
		if got > row.charge || row.dear && got < row.charge*2/3 {
			t.Errorf("%s: %d bytes, %d are charged", row.name, got, row.charge)
		}
		runtime.KeepAlive(p)
	}
}

// TestReportsMakeNoGarbage: that calls hang, and that they hang at the end, is
// told in room that is used again. The collector would let as much pile up as
// a quarter of what lives.
func TestReportsMakeNoGarbage(t *testing.T) {
	const n = 10_000
	p, err := New(Options{Rules: rules.Default(), Tracker: httpreassembly.Options{Ports: []uint16{synth.ServerPort}}}, discard{})
	if err != nil {
		t.Fatal(err)
	}
	s := soaker{t: t, p: p, at: synth.Start}
	for k := range n {
		s.open(k)
		s.send(k, capture.ToServer, capture.ACK|capture.PSH, 100, 500, []byte(soakCall))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.at = s.at.Add(5 * time.Minute) // every budget passes some times
	p.Item(&capture.Item{At: s.at, Kind: capture.Tick})
	p.Finish(s.at)
	runtime.ReadMemStats(&after)
	got := float64(after.TotalAlloc-before.TotalAlloc) / n
	t.Logf("%.0f bytes a call that hangs", got)
	if got > 200 {
		t.Errorf("%.0f bytes a call, want at most 200", got)
	}
	if st := p.Stats(); st.Tracker.InFlight != 0 || st.Tracker.Requests != n {
		t.Errorf("%d requests, %d in flight after the end; want %d, 0", st.Tracker.Requests, st.Tracker.InFlight, n)
	}
}
