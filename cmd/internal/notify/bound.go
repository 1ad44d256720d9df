package notify

import (
	"fmt"
	"slices"
	"time"

	"stallwatch/capture"
	"stallwatch/detect"
)

// expire drops what waited too long, and resolves what an earlier process
// left firing and this one has not seen.
func (q *queue) expire(now time.Time) {
	var old []uint64
	var silent []detect.Alert
	for _, g := range q.groups {
		for _, in := range g.incidents {
			for i, c := range in.waiting {
				if now.Sub(c.Queued) > q.limits.age && !in.closing(i) {
					old = append(old, c.Seq)
				}
			}
			if !in.inherited.IsZero() && in.open() && now.Sub(in.inherited) >= q.limits.adopt {
				in.inherited = time.Time{}
				silent = append(silent, orphaned(&in.newest().Alert, now))
			}
		}
	}
	if len(old) > 0 {
		q.drop(now, old)
	}
	if len(silent) > 0 {
		q.add(now, silent...)
	}
	if q.limits.keep > 0 {
		for _, g := range slices.Clone(q.groups) {
			q.finish(now, g)
		}
	}
}

// closing reports whether the i-th waiting change is the last of an incident
// that was told: without it the message would say for ever what is no more.
// There is one of it for an incident at most.
func (in *incident) closing(i int) bool {
	return in.told != nil && !in.told.resolved() && i == len(in.waiting)-1
}

// orphaned resolves an alert that nobody will resolve any more: the process
// that raised it has ended. Without this its message would stay red for ever.
func orphaned(a *detect.Alert, now time.Time) detect.Alert {
	c := *a
	c.State = detect.Resolved
	c.At = max(capture.At(now), a.At+1)
	c.Summary = fmt.Sprintf("%s on %s was firing when stallwatch was restarted, and has not been seen since", a.Name, a.Subject)
	c.Why = "closed after a restart"
	c.Evidence = detect.Evidence{CloseWait: -1, CloseWaitKernel: -1, Unaccepted: -1, FDs: -1, FDLimit: -1}
	return c
}

// nextExpiry is how long until expire has something to do; 0: never.
func (q *queue) nextExpiry(now time.Time) time.Duration {
	var wait time.Duration
	for _, g := range q.groups {
		for _, in := range g.incidents {
			if in.inherited.IsZero() || !in.open() {
				continue
			}
			if d := max(in.inherited.Add(q.limits.adopt).Sub(now), time.Millisecond); wait == 0 || d < wait {
				wait = d
			}
		}
	}
	return wait
}

// drop takes changes out and says so in the file.
func (q *queue) drop(now time.Time, seqs []uint64) {
	q.applyDrop(now, seqs)
	q.write(encodeJSON(record{Drop: seqs}))
}

// bound keeps the queue within its limits: the oldest waiting change goes
// first, as the newest says more about what is.
func (q *queue) bound(now time.Time) {
	for q.count > q.limits.changes || q.bytes > q.limits.bytes {
		c := q.oldest()
		if c == nil {
			break
		}
		q.drop(now, []uint64{c.Seq})
	}
	for q.known() > q.limits.incidents && q.forgetQuietest() {
	}
}

// oldest returns the change to give up first; nil if all that waits is under
// way.
func (q *queue) oldest() *change {
	var first, last *change // last: the resort
	older := func(a, b *change) bool { return b == nil || a.Seq < b.Seq }
	for _, g := range q.groups {
		for _, in := range g.incidents {
			for i, c := range in.waiting {
				switch {
				case q.planned(c):
				case in.closing(i):
					if older(c, last) {
						last = c
					}
				case older(c, first):
					first = c
				}
			}
		}
	}
	if first == nil {
		return last
	}
	return first
}

func (q *queue) known() (n int) {
	for _, g := range q.groups {
		n += len(g.incidents)
	}
	return n
}

// forgetQuietest forgets the incident that was told longest ago and has
// nothing waiting; a later change of it is a new incident then.
func (q *queue) forgetQuietest() bool {
	var in *group
	var at int
	for _, g := range q.groups {
		for i, c := range g.incidents {
			if len(c.waiting) == 0 && c.told != nil && (in == nil || c.told.Seq < in.incidents[at].told.Seq) {
				in, at = g, i
			}
		}
	}
	if in == nil {
		return false
	}
	q.bytes -= in.incidents[at].told.size
	in.incidents = slices.Delete(in.incidents, at, at+1)
	q.dirty = true // the file still knows it
	return true
}
