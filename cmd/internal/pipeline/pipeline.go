package pipeline

import (
	"fmt"
	"math"

	"stallwatch/capture"
	"stallwatch/capture/decode"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Options configure a Pipeline. The zero value of a field takes its default.
type Options struct {
	Tracker httpreassembly.Options // bounds are for the whole; shards divide them
	Detect  detect.Options         // what is not set is filled in from Rules, as detect.Options.WithRules does
	Rules   *rules.Set             // required
	Decode  decode.Options         // what fragments may take
	Memory  int64                  // bytes that the whole may take; sets every bound that is not set (0: the packages' defaults)
	// MaxScans bounds the contents beyond Tracker.BodyPrefix that are read
	// for their command while they come (0: 1024). Further ones have none.
	MaxScans int
	Shards   int // trackers that work in parallel (0: 1)
	Round    int // segments a round, with more than one shard (0: 1024)
	// Apart moves judging requests, detection and the Sinks to a goroutine of
	// their own, with one shard: they then lag behind the Items until one comes that is no
	// packet, or Flush is called. What is told does not change.
	Apart bool
}

// MaxShards bounds Options.Shards: beyond the merge costs more than it gains.
const MaxShards = 64

// Pipeline runs Items through the stages. See the package's documentation.
type Pipeline struct {
	dec      *decode.Decoder
	shards   []*shard
	engine   *detect.Engine
	detect   detect.Options // as given to New: what the rules may fill in
	sinks    []Sink
	stats    Stats
	seg      capture.Segment
	findings []detect.Finding
	now      capture.Time
	round    round
	judge    *judge // nil unless Options.Apart
}

// New makes a Pipeline that reports to sinks, in their order.
func New(o Options, sinks ...Sink) (*Pipeline, error) {
	if o.Rules == nil {
		return nil, fmt.Errorf("pipeline: no rules")
	}
	if o.Shards == 0 {
		o.Shards = 1
	}
	if o.Shards < 0 || o.Shards > MaxShards {
		return nil, fmt.Errorf("%d shards: want 1 to %d", o.Shards, MaxShards)
	}
	o, err := o.bounded()
	if err != nil {
		return nil, err
	}
	o.Detect.Ports = o.Tracker.Ports
	detectors, err := o.Detect.WithRules(o.Rules)
	if err != nil {
		return nil, err
	}
	engine, err := detect.New(detectors)
	if err != nil {
		return nil, err
	}
	p := &Pipeline{dec: decode.New(o.Decode), engine: engine, sinks: sinks, detect: o.Detect}
	o.Apart = o.Apart && o.Shards == 1
	o = o.divided()
	for range o.Shards {
		p.shards = append(p.shards, newShard(o))
	}
	p.round.init(o.Round, o.Shards)
	if o.Apart {
		p.judge = &judge{p: p}
	}
	return p, nil
}

// divided gives each of n shards its part of the bounds. Which flow lands
// where is a hash's choice, so a bound may be felt a little early: never late.
func (o Options) divided() Options {
	def(&o.MaxScans, 1024)
	o.MaxScans = max(o.MaxScans/o.Shards, 1)
	o.Tracker = o.Tracker.WithDefaults()
	t := &o.Tracker
	t.BodyParts, t.LendBodies = true, !o.Apart
	t.MaxConns = max(t.MaxConns/o.Shards, 1)
	t.MaxExchanges = max(t.MaxExchanges/o.Shards, 1)
	t.MaxTombs = max(t.MaxTombs/o.Shards, 1)
	t.MaxBuffered = max(t.MaxBuffered/int64(o.Shards), 1)
	return o
}

// Reload puts other rules in force, between two Items: their commands,
// budgets, detector settings and free rules. set must come from Set.Reload of
// the present rules. What is in flight keeps its verdict, and incidents go on.
// With an error everything stays as it was.
func (p *Pipeline) Reload(set *rules.Set) error {
	detectors, err := p.detect.WithRules(set)
	if err != nil {
		return err
	}
	p.Flush()
	if err := p.engine.Reload(detectors); err != nil {
		return err
	}
	for _, sh := range p.shards {
		sh.verdictsOf.rules = set
	}
	return nil
}

// Item takes the next observation. Times must strictly grow.
func (p *Pipeline) Item(it *capture.Item) {
	p.now = it.At
	if it.Kind == capture.PacketSeen {
		p.packet(it)
		return
	}
	p.Flush()
	p.advance(it.At)
	switch it.Kind {
	case capture.HostSampled:
		p.findings = p.engine.Sample(p.findings[:0], it.At, it.Sample)
		p.report()
	case capture.PacketsLost:
		p.stats.Loss.Kernel += it.Loss.Kernel
		p.stats.Loss.Interface += it.Loss.Interface
		if it.Loss.Unwatched > 0 {
			p.stats.Pauses++
			p.stats.Loss.Unwatched += it.Loss.Unwatched
			p.inParts(func(t *httpreassembly.Tracker, dst []httpreassembly.Event, n int) ([]httpreassembly.Event, bool) {
				return t.UnwatchedPart(dst, it.At, it.Loss.Unwatched, n)
			})
		}
		p.findings = p.engine.Loss(p.findings[:0], it.At, it.Loss)
		for _, s := range p.sinks {
			s.Loss(it.At, it.Loss)
		}
		p.report()
	}
}

func (p *Pipeline) packet(it *capture.Item) {
	if p.stats.First == 0 {
		p.stats.First = it.At
	}
	p.stats.Last = it.At
	p.stats.Packets++
	p.stats.Bytes += uint64(it.Packet.Length)
	if !p.dec.Segment(&it.Packet, it.At, &p.seg) {
		return
	}
	if len(p.shards) > 1 {
		if p.round.add(&p.seg) {
			p.Flush()
		}
		return
	}
	sh := p.shards[0]
	sh.segment(&p.seg)
	switch {
	case p.judge != nil:
		if len(sh.events) >= judgeBatch || sh.tracker.SpentBytes() >= judgeBytes {
			p.judge.send(sh)
		}
	case len(sh.events) > 0:
		p.deliver(&sh.told)
		sh.recycle()
	}
}

// Flush works off a round in progress; with one shard, and nothing Apart,
// there never is one. A caller that pauses between Items (a live source that
// is idle) need not call it: every Item but a packet does.
func (p *Pipeline) Flush() {
	if p.judge != nil {
		p.judge.flush(p.shards[0])
	}
	if len(p.round.segments) == 0 {
		return
	}
	p.round.run(p.shards)
	p.merge()
	for _, sh := range p.shards {
		sh.recycle()
	}
	p.round.reset()
}

// Finish ends the run at now, the time of the last Item: what is open is
// reported as such. The Pipeline must not be used afterwards, but for Stats
// and Snapshot.
func (p *Pipeline) Finish(now capture.Time) {
	p.Flush()
	p.advance(now)
	for more := true; more; {
		p.findings, more = p.engine.FinishPart(p.findings[:0], now, findingsAtOnce)
		p.report()
	}
	p.inParts(func(t *httpreassembly.Tracker, dst []httpreassembly.Event, n int) ([]httpreassembly.Event, bool) {
		return t.FinishPart(dst, now, n)
	})
}

// finishConns connections end at a time, with one shard: what they were takes
// room until it is told. Several shards have to be merged as a whole.
const finishConns = 32

// inParts has every tracker do part of something until all is done, and tells
// what comes of it.
func (p *Pipeline) inParts(part func(t *httpreassembly.Tracker, dst []httpreassembly.Event, n int) ([]httpreassembly.Event, bool)) {
	n := finishConns
	if len(p.shards) > 1 {
		n = math.MaxInt
	}
	for more := true; more; {
		for _, sh := range p.shards {
			sh.recycle()
			sh.events, more = part(sh.tracker, sh.events, n)
			sh.classify(0)
		}
		p.merge()
	}
	for _, sh := range p.shards {
		sh.recycle()
	}
}

// advance fires what is due at or before now, in the trackers and then in
// the engine.
func (p *Pipeline) advance(now capture.Time) {
	for _, sh := range p.shards {
		sh.advance(now)
	}
	p.merge()
	for _, sh := range p.shards {
		sh.recycle()
	}
	for more := true; more; {
		p.findings, more = p.engine.AdvancePart(p.findings[:0], now, findingsAtOnce)
		p.report()
	}
}

// findingsAtOnce findings are told before more are made.
const findingsAtOnce = 256

// merge hands the shards' events on in the order of a single shard: by At,
// deadlines before packets, then by Conn.
func (p *Pipeline) merge() {
	if len(p.shards) == 1 {
		p.deliver(&p.shards[0].told)
		return
	}
	for _, sh := range p.shards {
		sh.order()
		sh.next = 0
	}
	for {
		var first *shard
		which := 0
		for i, sh := range p.shards {
			if sh.next < len(sh.events) && (first == nil || before(&sh.events[sh.next], &first.events[first.next])) {
				first, which = sh, i
			}
		}
		if first == nil {
			return
		}
		ev := &first.events[first.next]
		if ev.Slot >= 0 { // unique in its tracker: make it so among all
			ev.Slot = ev.Slot*int32(len(p.shards)) + int32(which)
		}
		p.event(ev, first.verdicts[first.next])
		first.next++
	}
}

func (p *Pipeline) deliver(t *told) {
	t.order()
	for i := range t.events {
		p.event(&t.events[i], t.verdicts[i])
	}
}

func (p *Pipeline) event(ev *httpreassembly.Event, v *rules.Verdict) {
	p.findings = p.engine.Observe(p.findings[:0], ev, v)
	// What was due before the event is told before it, what the event caused
	// after it.
	i := 0
	for i < len(p.findings) && p.findings[i].At < ev.At {
		i++
	}
	p.tell(p.findings[:i])
	for _, s := range p.sinks {
		s.Event(ev, v)
	}
	p.tell(p.findings[i:])
	p.engine.Recycle()
}

func (p *Pipeline) report() {
	p.tell(p.findings)
	p.engine.Recycle()
}

func (p *Pipeline) tell(fs []detect.Finding) {
	for i := range fs {
		for _, s := range p.sinks {
			s.Finding(&fs[i])
		}
	}
}

// Stats describes the run so far; call Flush before if something is Apart.
func (p *Pipeline) Stats() Stats {
	st := p.stats
	d := p.dec.Stats()
	st.Decode.Segments = d.Segments
	for reason, n := range d.Skips() {
		st.Decode.Skipped = append(st.Decode.Skipped, Skip{reason, n})
	}
	st.Detect = p.engine.Stats()
	for _, sh := range p.shards {
		t := sh.tracker.Stats()
		st.Tracker.Add(&t)
		st.Unscanned += sh.contents.missed
	}
	st.Tracker.Oddities[httpreassembly.FragmentsOverlap] += d.Skipped[decode.FragmentOverlap] // seen before there is a connection
	return st
}

// Snapshot copies the engine's gauges.
func (p *Pipeline) Snapshot(dst *detect.Snapshot) { p.engine.Snapshot(dst) }
