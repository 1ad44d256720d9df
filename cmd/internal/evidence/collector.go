package evidence

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Collector writes a bundle for each alert of Warning and above. It is a
// pipeline.Sink; the pipeline's goroutine owns it, but for Stats.
type Collector struct {
	o        Options
	ring     *Ring
	samples  []capture.Item // HostSampled and PacketsLost, oldest first
	timeline []moment
	moments  int // ever put into timeline
	ledger   ledger
	last     map[key]had
	open     []*bundle // wait for what follows their alert
	due      capture.Time
	now      capture.Time
	jobs     chan *job
	busy     atomic.Int32 // bundles that are open or queued
	done     sync.WaitGroup
	counts   counts
}

type counts struct {
	written, failed, refused, busy, cooling, removed, dropped, calls, bytes atomic.Uint64
}

var _ pipeline.Sink = (*Collector)(nil)

// moment is a line of the timeline; one field is set.
type moment struct {
	at      capture.Time
	alert   *detect.Alert
	pending *detect.Pending
	node    *detect.Node
	loss    capture.Loss
}

// bundle is an alert whose evidence is being gathered.
type bundle struct {
	alert   *detect.Alert
	ends    capture.Time
	from    capture.Time // packets later than this are not written yet
	calls   []*detect.Pending
	moments int    // told until the alert
	dropped uint64 // by the ring, until the alert
}

// job is a part of a bundle on its way to the disk: its beginning, or what
// followed.
type job struct {
	*bundle
	packets  *Snapshot
	samples  []capture.Item
	timeline []moment
	dropped  uint64
	end      capture.Time // valid iff last
	last     bool
}

// New makes a Collector, its directory and its goroutine. What a bundle left
// behind that was not finished is removed.
func New(o Options) (*Collector, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	c := &Collector{o: o, ring: NewRing(o.RingBytes, o.Before+o.After), last: make(map[key]had), jobs: make(chan *job, 2*maxOpen)}
	c.ledger.init()
	w, err := newWriter(c)
	if err != nil {
		return nil, err
	}
	c.done.Go(w.run)
	return c, nil
}

// Item takes every observation, before the pipeline does.
func (c *Collector) Item(it *capture.Item) {
	c.now = it.At
	switch it.Kind {
	case capture.PacketSeen:
		c.ring.Add(it.At, &it.Packet)
	case capture.HostSampled:
		c.samples = bounded(c.samples, *it, maxSamples)
	case capture.PacketsLost:
		c.samples = bounded(c.samples, *it, maxSamples)
		c.tell(moment{at: it.At, loss: it.Loss})
	}
	if c.due != 0 && it.At >= c.due {
		c.finish(it.At)
	}
}

// bounded appends v; the older half goes when there is no room.
func bounded[T any](list []T, v T, limit int) []T {
	if len(list) >= limit {
		n := copy(list, list[limit/2:])
		clear(list[n:])
		list = list[:n]
	}
	return append(list, v)
}

func (c *Collector) tell(m moment) {
	c.timeline = bounded(c.timeline, m, maxTimeline)
	c.moments++
}

// Event implements pipeline.Sink: an answered call leaves the ledger.
func (c *Collector) Event(ev *httpreassembly.Event, _ *rules.Verdict) {
	if ev.Kind == httpreassembly.ExchangeDone {
		c.ledger.remove(ev.Conn, ev.Exchange.Depth)
	}
}

// Loss implements pipeline.Sink; Item has told already.
func (c *Collector) Loss(capture.Time, capture.Loss) {}

// Finding implements pipeline.Sink.
func (c *Collector) Finding(f *detect.Finding) {
	m := moment{at: f.At}
	switch f.Kind {
	case detect.AlertChanged:
		m.alert = f.Alert
	case detect.CallPending:
		p := *f.Pending
		m.pending = &p
		if !c.ledger.put(&p) {
			c.counts.calls.Add(1)
		}
	case detect.NodeSeen:
		n := *f.Node
		m.node = &n
	}
	c.tell(m)
	if m.alert != nil && m.alert.State == detect.Firing && !m.alert.Repeat && m.alert.Severity >= detect.Warning {
		c.fire(m.alert)
	}
}

// fire begins a bundle.
func (c *Collector) fire(a *detect.Alert) {
	k := key{a.Name, a.Subject}
	if h, ok := c.last[k]; ok && a.Severity <= h.severity && a.At.Sub(h.at) < c.o.Cooldown {
		c.counts.cooling.Add(1)
		return
	}
	if c.busy.Load() >= maxOpen {
		c.counts.busy.Add(1)
		return
	}
	c.remember(k, had{a.At, a.Severity})
	at := max(c.now, a.At)
	b := &bundle{alert: a, ends: a.At.Add(c.o.After), from: at, calls: c.ledger.list(), moments: c.moments, dropped: c.ring.Dropped()}
	from := a.At.Add(-c.o.Before)
	j := &job{bundle: b, packets: c.ring.Snapshot(from-1, at), samples: since(c.samples, from-1), timeline: c.told(0, from-1)}
	c.busy.Add(1)
	if !c.send(j) {
		return
	}
	c.open = append(c.open, b)
	if c.due == 0 || b.ends < c.due {
		c.due = b.ends
	}
}

// remember bounds the incidents by forgetting those whose cooldown is over,
// or else all: at worst an incident gets a bundle too soon.
func (c *Collector) remember(k key, h had) {
	if len(c.last) >= maxKeys {
		for k, h := range c.last {
			if c.now.Sub(h.at) >= c.o.Cooldown {
				delete(c.last, k)
			}
		}
		if len(c.last) >= maxKeys {
			clear(c.last)
		}
	}
	c.last[k] = h
}

// finish sends what followed the alerts whose time is up at now.
func (c *Collector) finish(now capture.Time) {
	c.due = 0
	kept := c.open[:0]
	for _, b := range c.open {
		if b.ends > now {
			kept = append(kept, b)
			if c.due == 0 || b.ends < c.due {
				c.due = b.ends
			}
			continue
		}
		c.send(&job{bundle: b, packets: c.ring.Snapshot(b.from, now), samples: since(c.samples, b.from), timeline: c.told(b.moments, 0),
			dropped: c.ring.Dropped() - b.dropped, end: min(now, b.ends), last: true})
	}
	clear(c.open[len(kept):])
	c.open = kept
}

// send never blocks: the queue has two places for each bundle that may be
// open, so it is full only if the invariant is broken.
func (c *Collector) send(j *job) bool {
	select {
	case c.jobs <- j:
		return true
	default:
	}
	j.packets.Release()
	c.busy.Add(-1)
	c.counts.busy.Add(1)
	return false
}

func since(items []capture.Item, after capture.Time) []capture.Item {
	i, _ := slices.BinarySearchFunc(items, after, func(it capture.Item, at capture.Time) int {
		if it.At <= at {
			return -1
		}
		return 1
	})
	return slices.Clone(items[i:])
}

// told returns what was put into the timeline after the first n, later than
// after. Moments are not strictly in order: a finding may be due before the
// packet that showed it.
func (c *Collector) told(n int, after capture.Time) (list []moment) {
	for _, m := range c.timeline[max(len(c.timeline)-(c.moments-n), 0):] {
		if m.at > after {
			list = append(list, m)
		}
	}
	return list
}

// Close ends the bundles that are open with what there is, and waits until
// all is on disk, or for at most patience.
func (c *Collector) Close(patience time.Duration) error {
	for _, b := range c.open {
		b.ends = min(b.ends, c.now)
	}
	c.finish(c.now)
	close(c.jobs)
	ended := make(chan struct{})
	go func() { c.done.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("evidence: bundles were not on disk after %v", patience)
	}
}

// Stats returns the counts so far. It may be called from any goroutine, but
// for PacketsDropped, which is as of the last bundle.
func (c *Collector) Stats() Stats {
	n := &c.counts
	return Stats{Written: n.written.Load(), Failed: n.failed.Load(), Refused: n.refused.Load(), Busy: n.busy.Load(), Cooling: n.cooling.Load(),
		Removed: n.removed.Load(), PacketsDropped: n.dropped.Load(), CallsDropped: n.calls.Load(), Bytes: n.bytes.Load()}
}
