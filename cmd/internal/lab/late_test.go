package lab

import (
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// TestStartUnderAttack: a monitor is started, as a rule, when the node is
// already in trouble. From whatever instant of an attack on, packets alone,
// the first alert about what hangs comes within so long, of whatever was
// learned nothing. SuspectParameters, which comes with the first call, does not
// count.
func TestStartUnderAttack(t *testing.T) {
	for _, row := range []struct {
		capture string
		within  time.Duration
		until   time.Duration // the last instant to begin at, counted from the attack
	}{
		{"iri2018", 12 * time.Second, 30 * time.Second},
		{"iri2018_netns", 12 * time.Second, 30 * time.Second},
		{"iri2018_monitor", 12 * time.Second, 5 * time.Second},
		{"distributed", 12 * time.Second, 30 * time.Second},
		{"reset_clients", 12 * time.Second, 30 * time.Second},
		{"nginx_proxy", 12 * time.Second, 30 * time.Second},
		{"haproxy_proxy", 12 * time.Second, 30 * time.Second},
		{"slow_ramp", 21 * time.Second, 45 * time.Second}, // three calls take it 10 s
		{"two_nodes", 16 * time.Second, 30 * time.Second},
		{"slowhttptest_body", 13 * time.Second, 30 * time.Second},
		{"accept_queue", 10 * time.Second, 18 * time.Second}, // in the end there are SYNs without an answer, and nothing else
	} {
		t.Run(row.capture, func(t *testing.T) {
			all := Expectations()
			x := &all[slices.IndexFunc(all, func(x Expectation) bool { return x.Capture == row.capture })]
			ev, first, _ := committed(t, row.capture)
			start := x.start(&ev, first)
			for after := time.Duration(0); after <= row.until; after += 5 * time.Second {
				cut := start.Add(after)
				got, fired := firstAlert(t, x, cut)
				if !fired || got > row.within {
					t.Errorf("from %s of the attack on the first alert comes after %s (%v), want %s", after, got.Round(100*time.Millisecond), fired, row.within)
				}
			}
		})
	}
}

// firstAlert is when the first alert comes of a capture that begins at cut.
func firstAlert(t *testing.T, x *Expectation, cut time.Time) (after time.Duration, ok bool) {
	src, err := replay.Open([]string{filepath.Join(captures, x.Capture+".pcap.zst")}, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ports := x.Ports
	if len(ports) == 0 {
		ports = []uint16{nodePort}
	}
	var f firing
	pipe, err := pipeline.New(pipeline.Options{Rules: rules.Default(), Tracker: httpreassembly.Options{Ports: ports}}, &f)
	if err != nil {
		t.Fatal(err)
	}
	var it capture.Item
	for {
		if err := src.Next(&it); err == io.EOF {
			return 0, false
		} else if err != nil {
			t.Fatal(err)
		}
		if it.At.Std().Before(cut) {
			continue
		}
		pipe.Item(&it)
		for _, g := range f.fired {
			if g.Alert != "SuspectParameters" {
				return g.Time.Sub(cut), true
			}
		}
	}
}
