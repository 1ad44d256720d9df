package httpreassembly

// class says what may be done with a connection when room is needed. The
// order of the classes is the order in which they are given up.
type class uint8

const (
	halfOpen class = iota + 1 // no handshake yet
	live                      // idle, or busy and nobody looked since
	busy                      // found pinned when room was needed
	zombies
	numClasses
)

// list is a class's connections, longest in it first, by their places in the
// slab; 0: none.
type list struct {
	head, tail uint32
	n          int
}

func (l *list) push(sl *slab, c *conn) {
	c.prev, c.next = l.tail, 0
	if l.tail != 0 {
		sl.at(l.tail).next = c.ref
	} else {
		l.head = c.ref
	}
	l.tail = c.ref
	l.n++
}

func (l *list) remove(sl *slab, c *conn) {
	if c.prev != 0 {
		sl.at(c.prev).next = c.next
	} else {
		l.head = c.next
	}
	if c.next != 0 {
		sl.at(c.next).prev = c.prev
	} else {
		l.tail = c.prev
	}
	c.prev, c.next = 0, 0
	l.n--
}

// first returns the connection that is longest in l; nil: there is none.
func (l *list) first(sl *slab) *conn {
	if l.head == 0 {
		return nil
	}
	return sl.at(l.head)
}

// classify moves c to the end of class k.
func (t *Tracker) classify(c *conn, k class) {
	if c.class != 0 {
		t.lists[c.class].remove(&t.table.slab, c)
	}
	c.class = k
	if k != 0 {
		t.lists[k].push(&t.table.slab, c)
	}
}

// room makes sure that one more connection fits. A half-open one goes first,
// then the longest established one that is neither pinned nor was seen since
// the hand of this clock last passed; when all are pinned nobody goes, and the
// newcomer is not followed.
//
// It costs O(1) amortised: each step moves a connection that a packet or a
// finished call has moved here, or marked, before.
func (t *Tracker) room() bool {
	if t.count < t.opts.MaxConns {
		return true
	}
	if c := t.lists[halfOpen].first(&t.table.slab); c != nil {
		t.stats.EvictedHalfOpen++
		t.closed(c, t.now, Nobody, ByEviction)
		return true
	}
	for {
		c := t.lists[live].first(&t.table.slab)
		switch {
		case c == nil:
			t.stats.Unadmitted++
			return false
		case c.pinned():
			t.classify(c, busy)
		case c.has(touched):
			c.flags &^= touched
			t.classify(c, live)
		default:
			t.countEvicted(c)
			t.closed(c, t.now, Nobody, ByEviction)
			return true
		}
	}
}

func (t *Tracker) countEvicted(c *conn) {
	if c.msgs != nil && c.msgs.busy() { // one with a call that is owed is pinned, and not evicted
		t.stats.EvictedBusy++
	} else {
		t.stats.EvictedIdle++
	}
}

// unpin gives c back to the clock when its last call was answered.
func (t *Tracker) unpin(c *conn) {
	if !c.pinned() {
		t.classify(c, live)
	}
}

// reorderShare is how much of Options.MaxBuffered may lie beyond holes, in
// percent: less than what makes the tracker read less. To send out of order
// costs an attacker nothing, and must not blind the tracker to the rest.
const reorderShare = 35

// hold reserves n bytes for c's reorder buffer. When the budget is used up,
// the buffers of the oldest holes are dropped: those bytes are the least
// likely to be of use, and their sender gains nothing by having many.
func (t *Tracker) hold(r *reorder, n int) bool {
	if r.cost+n > t.opts.MaxConnBuffered || len(r.pieces) >= maxPieces {
		return false
	}
	for t.holes.cost+int64(n) > t.share(reorderShare) || !t.reserve(n) {
		oldest := t.holes.head
		if oldest == nil || oldest == r {
			return false
		}
		t.discard(oldest)
	}
	r.cost += n
	t.holes.cost += int64(n)
	return true
}
