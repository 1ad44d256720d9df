package report

import (
	"math/bits"
	"time"
)

// Shape of the histogram. 64 steps to each doubling make a step 1.6 % wide at
// most, and its middle is at most 0.8 % off. It reaches from 1 us (below that
// nothing on a network is measured) to 39 h.
const (
	stepBits = 6
	minBits  = 10 // 2^10 ns
	maxBits  = 47 // 2^47 ns
	nBuckets = (maxBits-minBits)<<stepBits + 2
)

// histogram counts durations in logarithmic buckets. The first bucket holds
// what is shorter than 2^minBits ns, the last what is longer than 2^maxBits.
type histogram struct {
	counts [nBuckets]uint64
	n      uint64
}

func bucket(d time.Duration) int {
	if d < 1<<minBits {
		return 0
	}
	if d >= 1<<maxBits {
		return nBuckets - 1
	}
	exp := bits.Len64(uint64(d)) - 1
	step := uint64(d)>>(exp-stepBits) - 1<<stepBits
	return 1 + (exp-minBits)<<stepBits + int(step)
}

// middle is the inverse of bucket, within half a step.
func middle(i int) time.Duration {
	switch i {
	case 0:
		return 0
	case nBuckets - 1:
		return 1 << maxBits
	}
	i--
	exp := minBits + i>>stepBits
	low := uint64(1)<<exp + uint64(i&(1<<stepBits-1))<<(exp-stepBits)
	return time.Duration(low + 1<<(exp-stepBits)/2)
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.n++
}

// latencies are the waits of one command: those that ended in an answer, and
// those that did not, whose true value is at least what was seen.
type latencies struct {
	answered, open histogram
	sum            time.Duration // of both
	longest        time.Duration
	longestOpen    time.Duration
}

func (l *latencies) add(d time.Duration, answered bool) {
	d = max(d, 0)
	if l.sum += d; l.sum < 0 {
		l.sum = 1<<63 - 1 // 292 years of waiting
	}
	l.longest = max(l.longest, d)
	if answered {
		l.answered.add(d)
		return
	}
	l.open.add(d)
	l.longestOpen = max(l.longestOpen, d)
}

func (l *latencies) count() uint64 { return l.answered.n + l.open.n }

// bound is a quantile; AtLeast means that the true value may be greater.
type bound struct {
	d       time.Duration
	atLeast bool
	none    bool
}

// quantile returns the smallest value that a share q of the calls does not
// exceed. It is a lower bound as soon as one open call is at or below it: had
// that call been waited for, it might stand above.
func (l *latencies) quantile(q float64) bound {
	n := l.count()
	if n == 0 {
		return bound{none: true}
	}
	rank := uint64(q*float64(n)) + 1
	if float64(rank-1) == q*float64(n) && rank > 1 {
		rank--
	}
	rank = min(rank, n)
	var seen, open uint64
	for i := range nBuckets {
		seen += l.answered.counts[i] + l.open.counts[i]
		open += l.open.counts[i]
		if seen >= rank {
			return bound{d: min(middle(i), l.longest), atLeast: open > 0}
		}
	}
	return l.max()
}

func (l *latencies) max() bound {
	return bound{d: l.longest, atLeast: l.open.n > 0, none: l.count() == 0}
}
