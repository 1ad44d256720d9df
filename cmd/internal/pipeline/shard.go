package pipeline

import (
	"sync"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// shard is a tracker with its part of the flows, and the verdicts on the
// requests it found. One goroutine at a time works on it.
type shard struct {
	tracker *httpreassembly.Tracker
	told
	verdictsOf verdicts
	next       int      // of events, while merging
	contents   contents // that come in parts
	apart      bool     // requests are judged by who consumes the events
}

// told are events that were not consumed yet.
type told struct {
	events   []httpreassembly.Event
	verdicts []*rules.Verdict // on the exchange of each event, as of the event; nil if there is none
}

func newShard(o Options) *shard {
	return &shard{tracker: httpreassembly.New(o.Tracker), verdictsOf: verdicts{rules: o.Rules},
		contents: newContents(o.MaxScans), apart: o.Apart}
}

func (sh *shard) segment(s *capture.Segment) {
	n := len(sh.events)
	sh.events = sh.tracker.Segment(sh.events, s)
	if len(sh.events) == n {
		return
	}
	sh.collect(n)
	if !sh.apart {
		sh.verdictsOf.settle(&sh.told, n)
	}
}

func (sh *shard) advance(now capture.Time) {
	n := len(sh.events)
	sh.events = sh.tracker.Advance(sh.events, now)
	sh.classify(n)
}

func (sh *shard) recycle() {
	sh.told.clear()
	sh.tracker.Recycle()
}

func (t *told) clear() {
	t.events, t.verdicts = t.events[:0], t.verdicts[:0]
}

// classify names the command of every request that is whole since event n.
// It happens here and not at the merge because shards do it in parallel, and
// because a content may lie in the segment.
func (sh *shard) classify(n int) {
	sh.collect(n)
	sh.verdictsOf.settle(&sh.told, n)
}

// collect reads the contents that come in parts, which are there only now,
// among the events since n, and leaves the verdicts on them: of all other
// requests settle finds nil.
func (sh *shard) collect(n int) {
	set, k := sh.verdictsOf.rules, n
	for i := n; i < len(sh.events); i++ {
		ev := &sh.events[i]
		x := ev.Exchange
		if ev.Kind == httpreassembly.BodyPart { // nobody else's
			sh.contents.part(set, x, sh.tracker.Part(ev))
			continue
		}
		if k != i {
			sh.events[k] = *ev
		}
		k++
		var v *rules.Verdict
		if ev.Kind == httpreassembly.RequestSeen || ev.Kind == httpreassembly.ExchangeDone && x.RequestEnd == 0 {
			v = sh.contents.end(set, x) // of the latter nobody will ask: it never was whole
		}
		sh.verdicts = append(sh.verdicts, v)
	}
	sh.events = sh.events[:k]
}

// before is the total order of events over shards.
func before(a, b *httpreassembly.Event) bool {
	if a.At != b.At {
		return a.At < b.At
	}
	if a.Due != b.Due {
		return a.Due
	}
	return a.Conn < b.Conn
}

// order sorts one shard's events, which are nearly always in order: only
// deadlines that fall on the same instant may not be. Stable.
func (t *told) order() {
	for i := 1; i < len(t.events); i++ {
		for j := i; j > 0 && before(&t.events[j], &t.events[j-1]); j-- {
			t.events[j], t.events[j-1] = t.events[j-1], t.events[j]
			t.verdicts[j], t.verdicts[j-1] = t.verdicts[j-1], t.verdicts[j]
		}
	}
}

// round gathers segments for several shards. Payloads are copied to its
// arena, since the source's memory holds only until its next Item.
type round struct {
	limit    int
	shards   int
	segments []capture.Segment
	dealt    [][]int
	arena    []byte
}

// arenaBytes bounds what a round copies: a round ends early when it is full.
const arenaBytes = 4 << 20

func (r *round) init(limit, shards int) {
	if limit <= 0 {
		limit = 1024
	}
	r.limit, r.shards = limit, shards
	if shards > 1 {
		r.arena = make([]byte, 0, arenaBytes)
		r.dealt = make([][]int, shards)
	}
}

// add copies s into the round; full means that it is time to run.
func (r *round) add(s *capture.Segment) (full bool) {
	c := *s
	start := len(r.arena)
	r.arena = append(r.arena, s.TCP...) // grows at most once beyond arenaBytes: the check below leaves room for the largest segment
	c.TCP = r.arena[start:len(r.arena):len(r.arena)]
	c.Payload = c.TCP[len(c.TCP)-len(s.Payload):]
	n := httpreassembly.Shard(s, r.shards)
	r.dealt[n] = append(r.dealt[n], len(r.segments))
	r.segments = append(r.segments, c)
	return len(r.segments) >= r.limit || len(r.arena) > arenaBytes-1<<17
}

// run folds the round's segments, each shard in its own goroutine, and then
// brings every shard to the round's last instant.
func (r *round) run(shards []*shard) {
	end := r.segments[len(r.segments)-1].At
	var wg sync.WaitGroup
	for i, sh := range shards {
		wg.Go(func() {
			for _, k := range r.dealt[i] {
				sh.segment(&r.segments[k])
			}
			sh.advance(end)
		})
	}
	wg.Wait()
}

func (r *round) reset() {
	r.segments, r.arena = r.segments[:0], r.arena[:0]
	for i := range r.dealt {
		r.dealt[i] = r.dealt[i][:0]
	}
}
