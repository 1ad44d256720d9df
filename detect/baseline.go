package detect

import (
	"math/bits"
	"time"

	"stallwatch/capture"
	"stallwatch/rules"
)

// baseline is what a command's answers usually take on a node: a histogram of
// waits whose counts are halved now and then, so that the last hours count. A
// quantile of it moves little for a burst of slow calls, where a mean would
// follow the attack. Buckets are a quarter of an octave wide, from 1 ms to
// 18 h: a quantile is right to 19 %.
type baseline struct {
	counts [numBuckets]uint32
	total  int
	first  capture.Time
	frozen capture.Time // nothing is learned before: an alert fires
	recent [recentWaits]waitPoint
	next   int
}

type waitPoint struct {
	at   capture.Time
	wait time.Duration
}

const (
	numBuckets  = 104
	recentWaits = 32
	halveAt     = 1 << 15 // answers: hours of an ordinary node
)

// bucketOf is the quarter octave of a wait.
func bucketOf(d time.Duration) int {
	quarters := uint64(max(d, time.Millisecond) / (time.Millisecond / 4))
	octave := bits.Len64(quarters) - 3
	return min(4*octave+int(quarters>>octave)&3, numBuckets-1)
}

// bucketEnd is the longest wait of a bucket.
func bucketEnd(i int) time.Duration {
	return time.Duration(5+i&3) << (i / 4) * time.Millisecond / 4
}

// learn takes the wait of an answered call.
func (c *cell) learn(at capture.Time, wait time.Duration) {
	b := c.base
	if b == nil {
		b = &baseline{first: at}
		c.base = b
	}
	b.recent[b.next] = waitPoint{at, wait}
	b.next = (b.next + 1) % recentWaits
	if at < b.frozen {
		return
	}
	b.counts[bucketOf(wait)]++
	if b.total++; b.total < halveAt {
		return
	}
	b.total = 0
	for i := range b.counts {
		b.counts[i] /= 2
		b.total += int(b.counts[i])
	}
}

// slowHere reports whether calls of a command over their warn budget, being all
// that hangs, say nothing yet. Public nodes took 7 to 60 s for tip selection
// long before anybody attacked them (iotaledger/iri#476). So at least half of
// the answers took half of the warn budget or more: those of the baseline once
// it is learned, else the latest; or the command is heavy by its class, none
// was ever answered, and only few hang. What hangs beside quick answers, or
// blocks other commands, is a stall.
//
// The latest answers are an attacker's to make: sixteen calls kept just below
// the critical budget would excuse all that follow. What was learned before he
// came, and is not learned from while calls hang, is not.
func (c *cell) slowHere(at capture.Time, hanging int, o *Options) bool {
	if hanging != c.overWarn {
		return false
	}
	if usual, known := c.half(at, c.command.Warn/2, o); known {
		return usual
	}
	return c.command.Class == rules.ClassHeavy && hanging < o.CallStalled.CriticalCalls
}

// longHere reports whether calls of a command over their critical budget, being
// all that hangs, say little yet: half of the answers took half of that budget
// or more. A call that is only slow ends within twice of it: IRI itself gives
// up on tip selection at 60 s (since 1.7.1).
func (c *cell) longHere(at capture.Time, hanging int, o *Options) bool {
	usual, known := c.half(at, c.command.Critical/2, o)
	return usual && known && hanging == c.overWarn
}

// half reports whether at least half of the answers took d or more: those of
// the baseline once it is learned, else the latest. It is not known before the
// first.
func (c *cell) half(at capture.Time, d time.Duration, o *Options) (usual, known bool) {
	if typical, ok := c.base.quantile(at, 0.5, &o.LatencyRegression); ok {
		return typical >= d, true
	}
	n, late := 0, 0
	if b := c.base; b != nil && c.command.Warn > 0 {
		for i := range b.recent {
			if b.recent[i].at == 0 {
				continue
			}
			n++
			if b.recent[i].wait >= d {
				late++
			}
		}
	}
	return 2*late >= n, n > 0
}

// usual returns what 95 of 100 answers do not exceed.
func (b *baseline) usual(at capture.Time, o *LatencyRegressionOptions) (q time.Duration, ok bool) {
	return b.quantile(at, 0.95, o)
}

// quantile returns what a share of the answers does not exceed; ok is false
// until enough was learned.
func (b *baseline) quantile(at capture.Time, share float64, o *LatencyRegressionOptions) (q time.Duration, ok bool) {
	if b == nil || b.total < o.Learn || at.Sub(b.first) < o.LearnFor {
		return 0, false
	}
	left := int((1 - share) * float64(b.total))
	for i := numBuckets - 1; i >= 0; i-- {
		if left -= int(b.counts[i]); left < 0 {
			return bucketEnd(i), true
		}
	}
	return 0, false
}

// median returns the median of the latest waits, if all are from within d.
func (b *baseline) median(at capture.Time, d time.Duration) (m time.Duration, ok bool) {
	var waits [recentWaits]time.Duration
	for i := range b.recent {
		if b.recent[i].at == 0 || at.Sub(b.recent[i].at) > d {
			return 0, false
		}
		w := b.recent[i].wait
		k := i
		for ; k > 0 && waits[k-1] > w; k-- {
			waits[k] = waits[k-1]
		}
		waits[k] = w
	}
	return waits[recentWaits/2], true
}

// adjust sets the warn budget of a command for the alert: the rules' own,
// tightened or loosened by what its calls usually take, within the floor of
// CallStalled and the command's critical budget. Steps of a factor of two keep
// the number of ladders small.
func (v *view) adjust(c *cell, usual time.Duration) {
	warn, critical := c.command.Warn, c.command.Critical
	if warn <= 0 {
		return
	}
	want := time.Duration(v.o.LatencyRegression.Factor * float64(usual))
	for warn/2 >= max(want, v.o.CallStalled.WarnFloor) {
		warn /= 2
	}
	for warn < want && critical > 0 && 2*warn <= critical {
		warn *= 2
	}
	c.learned = warn
}

// alertWarn is the warn budget that the alert looks at.
func (c *cell) alertWarn() time.Duration {
	if c.learned > 0 {
		return c.learned
	}
	return c.command.Warn
}
