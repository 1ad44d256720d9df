package main

import (
	"fmt"
	"io"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/live"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// tally is a Sink that counts alerts and what is left in flight for the lines that end a live run.
type tally struct {
	fired   [detect.Critical + 1]int
	pending int // calls in flight at the end
}

func (*tally) Event(*httpreassembly.Event, *rules.Verdict) {}
func (*tally) Loss(capture.Time, capture.Loss)             {}

func (t *tally) Finding(f *detect.Finding) {
	if f.Kind == detect.AlertChanged && f.Alert.State == detect.Firing {
		t.fired[f.Alert.Severity]++
	}
	if f.Kind == detect.CallPending && f.Pending.Final && !f.Pending.Over {
		t.pending++
	}
}

// write prints what tcpdump's users look for at the end, and what was found.
func (t *tally) write(w io.Writer, c live.Stats, p pipeline.Stats) {
	var received, kernel, iface uint64
	for _, i := range c.Interfaces {
		received += i.Received
		kernel += i.KernelDrops
		iface += i.InterfaceDropped
	}
	fmt.Fprintf(w, "%d packets captured\n%d packets received by filter\n%d packets dropped by kernel\n", c.Delivered, received, kernel)
	if iface > 0 {
		fmt.Fprintf(w, "%d packets dropped by interface\n", iface)
	}
	if p.Pauses > 0 {
		fmt.Fprintf(w, "%v unwatched\n", p.Loss.Unwatched.Round(time.Millisecond))
	}
	s := p.Tracker
	fmt.Fprintf(w, "%d calls seen, %d answered, %d in flight\n", s.Requests, s.Responses-s.UnpairedResponses, t.pending)
	fmt.Fprintf(w, "%d critical, %d warning, %d info alerts\n", t.fired[detect.Critical], t.fired[detect.Warning], t.fired[detect.Info])
}
