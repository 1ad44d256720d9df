package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/replay"
	"stallwatch/capture/vtime"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// damaged is a Source that loses, doubles and reorders the packets of another.
type damaged struct {
	src                     capture.Source
	rnd                     *rand.Rand
	lose, double, reorder   float64
	outageFrom, outageUntil time.Duration // since the first packet
	first                   capture.Time
	strict                  vtime.Strict
	queue                   []capture.Item // own their bytes; given before more is read
	held                    *capture.Item  // to be given after the next packet
}

func (d *damaged) Next(it *capture.Item) error {
	for len(d.queue) == 0 {
		if err := d.read(); err != nil {
			return err
		}
	}
	*it, d.queue = d.queue[0], d.queue[1:]
	it.At = d.strict.Next(it.At)
	return nil
}

func (d *damaged) read() error {
	var it capture.Item
	if err := d.src.Next(&it); err != nil {
		return err
	}
	if it.Kind != capture.PacketSeen {
		d.queue = append(d.queue, it)
		return nil
	}
	if d.first == 0 {
		d.first = it.At
	}
	age := it.At.Sub(d.first)
	if d.rnd.Float64() < d.lose || age >= d.outageFrom && age < d.outageUntil {
		return nil
	}
	it.Packet.Data = append([]byte(nil), it.Packet.Data...)
	if d.held == nil && d.rnd.Float64() < d.reorder {
		d.held = &it
		return nil
	}
	d.queue = append(d.queue, it)
	if d.rnd.Float64() < d.double {
		d.queue = append(d.queue, it)
	}
	if d.held != nil {
		d.held.At = it.At
		d.queue = append(d.queue, *d.held)
		d.held = nil
	}
	return nil
}

// TestCloseWaitOfDamagedCaptures loses, doubles and reorders what real
// captures hold: the count from the wire stays close to the kernel's, in
// sockets or as a share of the highest count, whichever is more.
func TestCloseWaitOfDamagedCaptures(t *testing.T) {
	for _, tt := range []struct {
		name   string
		d      damaged
		worst  int
		within float64
	}{
		{name: "0.1 % lost", d: damaged{lose: 0.001}, worst: 2},
		{name: "1 % lost", d: damaged{lose: 0.01}, worst: 2, within: 0.05},
		{name: "5 % lost", d: damaged{lose: 0.05}, worst: 4, within: 0.12},
		{name: "10 % doubled", d: damaged{double: 0.1}, worst: 1},
		{name: "5 % reordered", d: damaged{reorder: 0.05}, worst: 1},
		{name: "3 s of outage", d: damaged{outageFrom: 30 * time.Second, outageUntil: 33 * time.Second}, worst: 14}, // what opened and what closed meanwhile: about 2 a second each, for ever
	} {
		for _, name := range []string{"iri2018", "iri2018_netns", "slowhttptest_body"} {
			t.Run(tt.name+" of "+name, func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(3) {
					d := tt.d
					d.rnd = rand.New(rand.NewPCG(seed, 1))
					worst, highest := closeWaitError(t, name, &d)
					if allowed := max(tt.worst, int(tt.within*float64(highest))); worst > allowed {
						t.Errorf("seed %d: CLOSE_WAIT is off by %d of %d, want at most %d", seed, worst, highest, allowed)
					}
				}
			})
		}
	}
}

func closeWaitError(t *testing.T, name string, d *damaged) (worst, highest int) {
	t.Helper()
	src, err := replay.Open([]string{fmt.Sprintf("%s/%s.pcap.zst", capturesDir, name)}, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	d.src = src
	w := &wireCount{open: map[httpreassembly.ConnID]bool{}}
	pipe, err := pipeline.New(pipeline.Options{Rules: rules.Default(), Tracker: httpreassembly.Options{Ports: []uint16{14265}}}, w)
	if err != nil {
		t.Fatal(err)
	}
	var it capture.Item
	for {
		if err := d.Next(&it); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pipe.Item(&it)
	}
	pipe.Finish(it.At)
	i, n := 0, 0
	for _, tr := range truthOf(t, name, 14265) {
		for i < len(w.ends) && w.ends[i].at <= capture.At(tr.Time) {
			n = w.ends[i].n
			i++
		}
		highest = max(highest, tr.Sockets["close_wait"])
		if tr.Time.Nanosecond() < int(100*time.Millisecond) {
			worst = max(worst, n-tr.Sockets["close_wait"], tr.Sockets["close_wait"]-n)
		}
	}
	return worst, highest
}
