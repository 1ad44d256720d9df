package httpreassembly

import (
	"time"

	"stallwatch/capture"
)

// timers is a heap of connections by when to look at them next, one entry a
// connection at most. A packet does not touch it: an entry may be too early,
// and is put off when it comes up. It is never too late: what shortens a
// connection's patience calls arm. vtime.Deadlines cannot remove a value, and
// ten minutes' worth of closed connections would pile up in it.
type timers struct {
	heap []timer
}

type timer struct {
	at capture.Time
	c  *conn
}

func (a *timer) before(b *timer) bool { return a.at < b.at || a.at == b.at && a.c.conn < b.c.conn }

// set makes c come up at at, or leaves it where it is if that is earlier.
func (q *timers) set(c *conn, at capture.Time) {
	if c.timer < 0 {
		c.timer = int32(len(q.heap))
		q.heap = append(q.heap, timer{at, c})
		q.up(len(q.heap) - 1)
		return
	}
	if i := int(c.timer); at < q.heap[i].at {
		q.heap[i].at = at
		q.up(i)
	}
}

// putOff moves c to the later time at.
func (q *timers) putOff(c *conn, at capture.Time) {
	q.heap[c.timer].at = at
	q.down(int(c.timer))
}

// remove forgets c.
func (q *timers) remove(c *conn) {
	i := int(c.timer)
	if i < 0 {
		return
	}
	c.timer = -1
	n := len(q.heap) - 1
	moved := q.heap[n]
	q.heap[n] = timer{}
	q.heap = q.heap[:n]
	if i < n {
		q.heap[i] = moved
		moved.c.timer = int32(i)
		q.up(i)
		q.down(int(moved.c.timer))
	}
}

func (q *timers) up(i int) {
	x := q.heap[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !x.before(&q.heap[parent]) {
			break
		}
		q.put(i, q.heap[parent])
		i = parent
	}
	q.put(i, x)
}

func (q *timers) down(i int) {
	x, n := q.heap[i], len(q.heap)
	for {
		kid := 2*i + 1
		if kid >= n {
			break
		}
		if kid+1 < n && q.heap[kid+1].before(&q.heap[kid]) {
			kid++
		}
		if !q.heap[kid].before(&x) {
			break
		}
		q.put(i, q.heap[kid])
		i = kid
	}
	q.put(i, x)
}

func (q *timers) put(i int, x timer) {
	q.heap[i] = x
	x.c.timer = int32(i)
}

// reorderGrace is how long bytes may be missing although the other end has
// acknowledged them: packets of several interfaces and receive queues reach
// the capture up to some milliseconds out of order.
const reorderGrace = 20 * time.Millisecond

// due returns when c has to be looked at; ok is false if only a packet can
// change it.
func (t *Tracker) due(c *conn) (at capture.Time, ok bool) {
	switch {
	case c.state == StateZombie:
		return c.mark.Add(t.opts.Zombie), true
	case c.state == StateSyn && !c.has(synReported):
		return c.mark.Add(t.opts.SynPatience), true
	case c.state == StateSyn || c.state == StateHandshake:
		at, ok = c.last.Add(t.opts.HalfOpen), true
	case !c.pinned():
		at, ok = c.last.Add(t.opts.Idle), true
	}
	for d := range c.half {
		if gap := c.half[d].gapDue; gap != 0 && (!ok || gap < at) {
			at, ok = gap, true
		}
	}
	return at, ok
}

// arm makes sure that c comes up in time.
func (t *Tracker) arm(c *conn) {
	if at, ok := t.due(c); ok {
		t.timers.set(c, at)
	}
}

// fire handles everything that is due at or before now. Events are stamped
// with the deadline: when it was discovered must not matter.
func (t *Tracker) fire(now capture.Time) {
	if t.unbalanced() { // Recycle gave buffers back
		at := now
		if len(t.timers.heap) > 0 {
			at = min(at, t.timers.heap[0].at)
		}
		t.relevel(at)
	}
	for len(t.timers.heap) > 0 && t.timers.heap[0].at <= now {
		c := t.timers.heap[0].c
		at, ok := t.due(c)
		switch {
		case !ok:
			t.timers.remove(c)
		case at > t.timers.heap[0].at:
			t.timers.putOff(c, at)
		default:
			n := len(t.out)
			if t.expire(c, at); c.has(used) {
				t.review(c)
			}
			t.weigh(at) // here, so that what is read next does not depend on ticks
			for i := n; i < len(t.out); i++ {
				t.out[i].Due = true
			}
		}
	}
}

// expire does what c waited for until at.
func (t *Tracker) expire(c *conn, at capture.Time) {
	if c.state == StateSyn && !c.has(synReported) {
		t.unanswered(c, at)
		return
	}
	if c.state == StateZombie {
		t.free(c, at, ByIdle)
		return
	}
	for d := range c.half {
		if gap := c.half[d].gapDue; gap != 0 && gap <= at {
			t.giveUp(c, capture.Dir(d), at)
			return
		}
	}
	t.closed(c, at, Nobody, ByIdle)
}
