package pipeline

import (
	"sync"

	"stallwatch/httpreassembly"
)

// judge runs detection and the Sinks apart from the tracker:
//
//	Item ─> decode ─> Tracker ─┬─ batch ─> rules ─> detect ─> Sinks
//	             Reuse <── batch ┘
//
// A batch is events, the verdicts on them, and what of the tracker's they
// point to. An event and the fields of its Exchange that are settled with it
// do not change any more, so the two sides share them without a lock. The
// goroutine lives from the first batch until flush, which every Item but a
// packet calls: it belongs to the Pipeline's caller as much as the rest.
type judge struct {
	p       *Pipeline
	ready   chan *batch // to the goroutine; nil: it does not run
	free    chan *batch // from it
	running sync.WaitGroup
}

// judgeBatch events go over at once, or more: to wake a goroutine that waits on
// another core takes several microseconds. Or fewer with judgeBytes of contents:
// what is under way has to stay in the cache.
const (
	judgeBatch   = 768
	judgeBytes   = 256 << 10
	judgeBatches = 3
)

type batch struct {
	told
	spent httpreassembly.Spent
}

// send hands over what sh has, and gives it the room of what was consumed.
func (j *judge) send(sh *shard) {
	if j.free == nil {
		j.free = make(chan *batch, judgeBatches)
		for range judgeBatches {
			j.free <- new(batch)
		}
	}
	if j.ready == nil {
		j.ready = make(chan *batch, judgeBatches)
		ready := j.ready
		j.running.Go(func() { j.run(ready) })
	}
	b := <-j.free
	sh.tracker.Reuse(&b.spent)
	sh.told, b.told = b.told, sh.told
	sh.tracker.Take(&b.spent)
	j.ready <- b
}

func (j *judge) run(ready <-chan *batch) {
	for b := range ready {
		j.p.shards[0].verdictsOf.settle(&b.told, 0)
		j.p.deliver(&b.told)
		b.clear()
		j.free <- b
	}
}

// flush waits until everything is consumed, and ends the goroutine.
func (j *judge) flush(sh *shard) {
	if len(sh.events) > 0 {
		j.send(sh)
	}
	if j.ready == nil {
		return
	}
	close(j.ready)
	j.running.Wait()
	j.ready = nil
	// What the batches took is consumed, and has to go back before what comes
	// now does: an exchange that both know of would be given back twice.
	for range judgeBatches {
		b := <-j.free
		sh.tracker.Reuse(&b.spent)
		j.free <- b
	}
}
