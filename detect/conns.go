package detect

import (
	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// conn is a connection of interest: with a call in flight or an answer on its
// way, half closed, or reset with a call unanswered. All others are numbers.
//
//	           client's FIN                 server's FIN, Closed
//	(number) ───────────────> half closed ───────────────────────> (number)
//	   │                           │ RST, call unanswered
//	   └───────────────────────────┴────────────> zombie ── last ExchangeDone ──> (gone)
type conn struct {
	id         httpreassembly.ConnID
	flow       capture.Flow
	node       *node
	calls      list
	stuckSince capture.Time // valid iff half: since the FIN or the server's last reaction
	halfSince  capture.Time // valid iff half
	early      int          // depth of an exchange whose answer came before its request was whole; 0: none
	links      link         // node.cw
	half       bool         // by the client, and the server has not closed: CLOSE_WAIT
	server     bool         // half closed by the server
	zombie     bool         // reset by the client, with a call unanswered
	held       bool         // and it is believed that the node holds its descriptor
	closed     bool
	answering  bool // an answer is on its way: not stuck, however long it takes
	gap        bool // bytes were missed on it: an answer may be among them
}

func (c *conn) plain() bool {
	return c.calls.n == 0 && !c.half && !c.server && !c.answering && c.early == 0
}

// connAt finds the connection of an event or adds it; none: no room.
func (v *view) connAt(ev *httpreassembly.Event, n *node) int32 {
	if ci, ok := v.connOf[ev.Conn]; ok {
		return ci
	}
	ci := v.conns.get()
	if ci == none {
		v.stats.ConnsNotFollowed++
		return none
	}
	v.conns.items[ci] = conn{id: ev.Conn, flow: ev.Flow, node: n, calls: emptyList}
	v.connOf[ev.Conn] = ci
	return ci
}

// dropIfPlain forgets a connection that is of no more interest.
func (v *view) dropIfPlain(ci int32) {
	c := &v.conns.items[ci]
	if !c.plain() {
		return
	}
	if c.zombie {
		c.node.zombies--
		if c.held {
			c.node.held--
		}
	}
	delete(v.connOf, c.id)
	v.conns.put(ci)
}

func (v *view) halfClosed(ev *httpreassembly.Event) {
	n := v.find(ev.Flow.Server)
	n.lastEvent = ev.At
	v.loss.saw(ev.At, 2, 0)
	ci := v.connAt(ev, n)
	if ci == none {
		return
	}
	c := &v.conns.items[ci]
	switch {
	case ev.By == httpreassembly.Client && !c.half && !c.server:
		c.half, c.halfSince, c.stuckSince = true, ev.At, ev.At
		c.node.half++
		v.pushCloseWait(ci)
	case ev.By == httpreassembly.Server && !c.server:
		v.leaveHalf(ci)
		c.server = true
		c.node.serverClosed++
	}
	v.dropIfPlain(ci)
}

// leaveHalf ends a connection's time in CLOSE_WAIT, if it is there.
func (v *view) leaveHalf(ci int32) {
	c := &v.conns.items[ci]
	if !c.half {
		return
	}
	v.dropCloseWait(ci)
	c.half = false
	c.node.half--
}

func (v *view) closed(ev *httpreassembly.Event) {
	n := v.find(ev.Flow.Server)
	n.lastEvent = ev.At
	v.loss.saw(ev.At, 2, 0)
	delete(v.seeds, ev.Flow)
	ci, ok := v.connOf[ev.Conn]
	if ok {
		n = v.conns.items[ci].node
	}
	if n.live > 0 {
		n.live--
	} else {
		v.stats.ClosedUnopened++
	}
	if !ok {
		return
	}
	v.leaveHalf(ci)
	c := &v.conns.items[ci]
	if c.server {
		c.server = false
		c.node.serverClosed--
	}
	c.closed = true
	zombie := ev.Summary != nil && ev.Summary.State == httpreassembly.StateZombie
	if zombie && c.calls.n > 0 && !c.zombie {
		v.doubt(ci, ev.At)
	}
	if !zombie {
		c.answering, c.early = false, 0
	}
	v.dropIfPlain(ci)
}

// reacted notes that the server did something on a connection: one that is
// half closed starts to age anew.
func (v *view) reacted(ci int32, at capture.Time) {
	c := &v.conns.items[ci]
	if !c.half {
		return
	}
	v.dropCloseWait(ci)
	c.stuckSince = at
	v.pushCloseWait(ci)
}

func (v *view) pushCloseWait(ci int32) {
	c := &v.conns.items[ci]
	l := &c.node.cw
	c.links = link{prev: l.tail, next: none}
	if l.tail == none {
		l.head = ci
	} else {
		v.conns.items[l.tail].links.next = ci
	}
	l.tail = ci
	l.n++
}

func (v *view) dropCloseWait(ci int32) {
	c := &v.conns.items[ci]
	l := &c.node.cw
	if c.links.prev == none {
		l.head = c.links.next
	} else {
		v.conns.items[c.links.prev].links.next = c.links.next
	}
	if c.links.next == none {
		l.tail = c.links.prev
	} else {
		v.conns.items[c.links.next].links.prev = c.links.prev
	}
	l.n--
}

// stuckHalf counts the half-closed connections of a node that the server has
// not reacted to since before.
func (v *view) stuckHalf(n *node, before capture.Time) int {
	stuck := 0
	for ci := n.cw.head; ci != none; ci = v.conns.items[ci].links.next {
		c := &v.conns.items[ci]
		if c.stuckSince > before {
			break
		}
		if !c.answering {
			stuck++
		}
	}
	return stuck
}

// oldestHalf returns when the longest half-closed connection of a node was
// half closed; ok is false if there is none.
func (v *view) oldestHalf(n *node) (since capture.Time, ok bool) {
	for ci := n.cw.head; ci != none; ci = v.conns.items[ci].links.next {
		if c := &v.conns.items[ci]; !ok || c.halfSince < since {
			since, ok = c.halfSince, true
		}
	}
	return since, ok
}
