package live

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"stallwatch/capture"
)

// maxExtras bounds what waits for the packets' time to catch up. A sample a
// second and a loss a second come in; a ring that is a minute behind has long
// since overflowed. Beyond it the oldest sample goes, counted; losses are
// added to the loss before them, so that none is forgotten.
const maxExtras = 128

// extras are the samples and losses that wait to join the packets by time.
type extras struct {
	mu      sync.Mutex
	list    []capture.Item // by At
	waiting atomic.Int32   // len(list), so that a packet need not lock
	dropped atomic.Uint64  // samples
}

func (x *extras) add(it capture.Item) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := len(x.list)
	for i > 0 && x.list[i-1].At > it.At {
		i--
	}
	x.list = slices.Insert(x.list, i, it)
	if len(x.list) > maxExtras {
		x.shrink()
	}
	x.waiting.Store(int32(len(x.list)))
}

// shrink drops the oldest sample, or, if all are losses, joins the two oldest.
func (x *extras) shrink() {
	for i := range x.list {
		if x.list[i].Kind == capture.HostSampled {
			x.list = slices.Delete(x.list, i, i+1)
			x.dropped.Add(1)
			return
		}
	}
	x.list[1].Loss.Kernel += x.list[0].Loss.Kernel
	x.list[1].Loss.Interface += x.list[0].Loss.Interface
	x.list = slices.Delete(x.list, 0, 1)
}

func (x *extras) lost(at capture.Time, l capture.Loss) {
	x.add(capture.Item{At: at, Kind: capture.PacketsLost, Loss: l})
}

// pop takes the earliest that is not later than limit.
func (x *extras) pop(limit capture.Time, it *capture.Item) bool {
	if x.waiting.Load() == 0 {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.list) == 0 || x.list[0].At > limit {
		return false
	}
	*it = x.list[0]
	x.list = slices.Delete(x.list, 0, 1)
	x.waiting.Store(int32(len(x.list)))
	return true
}

// first returns the time of the earliest; endOfTime: there is none.
func (x *extras) first() capture.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.list) == 0 {
		return endOfTime
	}
	return x.list[0].At
}

// probe samples the host until Stop. It has a goroutine of its own so that a
// slow /proc never holds up packets; a sample that takes longer than the
// interval delays the next one, and only that. Nobody waits for its end: a
// process stuck in the kernel may keep a read of its files for ever.
func (s *Source) probe() {
	tick := time.NewTicker(s.opts.ProbeEvery)
	defer tick.Stop()
	for {
		now := s.now()
		if sample := s.opts.Prober.Sample(now); sample != nil && s.stopAt.Load() == 0 {
			s.extras.add(capture.Item{At: capture.At(now), Kind: capture.HostSampled, Sample: sample})
		}
		select {
		case <-s.stopProbe:
			return
		case <-tick.C:
		}
	}
}
