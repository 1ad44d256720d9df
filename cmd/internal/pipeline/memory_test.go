package pipeline

import (
	"strings"
	"testing"

	"stallwatch/capture"
	"stallwatch/cmd/internal/synth"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

func TestMemoryIsDivided(t *testing.T) {
	if sum := bufferShare + connShare + callShare + legShare + tombShare + scanShare + fragmentShare; sum > 100 {
		t.Errorf("the shares come to %d %%", sum)
	}
	if _, err := (Options{Memory: MinMemory - 1}).bounded(); err == nil || !strings.Contains(err.Error(), "32 MiB") {
		t.Errorf("less than the least: error %v", err)
	}
	var before Options
	for _, memory := range []int64{MinMemory, 64 << 20, DefaultMemory, 1 << 30} {
		o, err := Options{Memory: memory}.bounded()
		if err != nil {
			t.Fatal(err)
		}
		total := int64(o.Tracker.MaxConns)*connCost + int64(o.Tracker.MaxExchanges)*callCost + int64(o.Detect.MaxLegs)*legCost + int64(o.Tracker.MaxTombs)*tombCost +
			int64(o.MaxScans)*scanCost + o.Tracker.MaxBuffered + int64(o.Decode.Bytes)
		if total > (memory-fixedCost)*2/3 || o.Tracker.MaxConns <= before.Tracker.MaxConns || o.Detect.MaxCalls <= before.Detect.MaxCalls || o.MaxScans <= before.MaxScans {
			t.Errorf("of %d bytes: %d are given away; %+v", memory, total, o)
		}
		before = o
	}
	if o, _ := (Options{Memory: MinMemory, Tracker: httpreassembly.Options{MaxConns: 7}}).bounded(); o.Tracker.MaxConns != 7 {
		t.Errorf("a bound that was set became %d", o.Tracker.MaxConns)
	}
}

// TestStalledCallsOutliveFloods: with the least memory, neither a flood of
// SYNs nor one of idle connections pushes out a call that hangs or a socket
// in CLOSE_WAIT.
func TestStalledCallsOutliveFloods(t *testing.T) {
	p, err := New(Options{Rules: rules.Default(), Memory: MinMemory, Tracker: httpreassembly.Options{Ports: []uint16{synth.ServerPort}}}, discard{})
	if err != nil {
		t.Fatal(err)
	}
	s := soaker{t: t, p: p, at: synth.Start}
	const stalled = 100
	for k := range stalled {
		s.open(k)
		s.send(k, capture.ToServer, capture.ACK|capture.PSH, 100, 500, []byte(soakCall))
		s.send(k, capture.ToClient, capture.ACK, 500, 100+uint32(len(soakCall)), nil)
		if k%2 == 0 { // its client leaves
			s.send(k, capture.ToServer, capture.ACK|capture.FIN, 100+uint32(len(soakCall)), 500, nil)
			s.send(k, capture.ToClient, capture.ACK, 500, 101+uint32(len(soakCall)), nil)
		}
	}
	for i, f := range floods[:4] {
		f.play(&s, (i+1)*1_000_000, 60_000)
	}
	st := p.Stats().Tracker
	if st.InFlight != stalled || st.Conns[httpreassembly.StateHalfClosed] != stalled/2 || st.EvictedIdle == 0 || st.EvictedHalfOpen == 0 {
		t.Errorf("%d in flight, %d half closed, want %d and %d; evicted %d idle, %d half open, want some",
			st.InFlight, st.Conns[httpreassembly.StateHalfClosed], stalled, stalled/2, st.EvictedIdle, st.EvictedHalfOpen)
	}
}
