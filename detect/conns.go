package detect

import (
	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// conn is a connection. Each stands in one phase (see phases.go).
//
//	           client's FIN                 server's FIN, Closed
//	(open) ─────────────────> half closed ───────────────────────> (gone)
//	   │                           │ RST, call unanswered
//	   └───────────────────────────┴────────────> zombie ── last ExchangeDone ──> (gone)
type conn struct {
	id        httpreassembly.ConnID
	node      *node
	since     capture.Time // of its phase
	reading   *reading     // valid iff the client's window was closed during the present answer
	client    capture.Endpoint
	calls     connCalls
	closeWait int32 // in view.closeWaits; valid iff half
	slot      int32 // Event.Slot
	early     int32 // depth of an exchange whose answer came before its request was whole; 0: none
	queue     link  // of its phase
	visitor   visitorRef
	phase     phase
	asked     uint8 // requests seen whole: 0, 1, or more
	aged      bool  // its phase lasts longer than the phase's age
	half      bool  // by the client, and the server has not closed: CLOSE_WAIT
	server    bool  // half closed by the server
	zombie    bool  // reset by the client, with a call unanswered
	held      bool  // and it is believed that the node holds its descriptor
	closed    bool
	answering bool // an answer is on its way: not stuck, however long it takes
	gap       bool // bytes were missed on it: an answer may be among them
	body      bool // valid iff sending: the head is whole
	unseen    side // of which no packet was captured
	wire      wireState
}

// once reports whether it asked once and, for long, never again.
func (c *conn) once() bool { return c.phase == idle && c.aged && c.asked == 1 }

// closeWait is what a connection has besides while it is half closed.
type closeWait struct {
	since      capture.Time // the client's FIN
	stuckSince capture.Time // the FIN, or the server's last reaction
	links      link         // node.cw, connections in order of stuckSince
	server     capture.Endpoint
}

// plain reports whether nothing is left to wait for on a connection.
func (c *conn) plain() bool {
	return c.calls.head == none && !c.half && !c.server && !c.answering && c.early == 0
}

// look finds the connection of an event; none: not followed.
func (v *view) look(ev *httpreassembly.Event) int32 {
	if uint(ev.Slot) >= uint(len(v.slots)) {
		return none
	}
	ci := v.slots[ev.Slot]
	if ci == none || v.conns.at(ci).id != ev.Conn {
		return none
	}
	return ci
}

// connAt finds the connection of an event or adds it; none: no room.
func (v *view) connAt(ev *httpreassembly.Event, n *node) int32 {
	if ci := v.look(ev); ci != none {
		return ci
	}
	if ev.Slot < 0 {
		v.stats.ConnsNotFollowed++
		return none
	}
	for int(ev.Slot) >= len(v.slots) {
		v.slots = append(v.slots, none)
	}
	if old := v.slots[ev.Slot]; old != none {
		v.displace(old)
	}
	ci := v.conns.get()
	if ci == none && v.evictConn() {
		ci = v.conns.get()
	}
	if ci == none {
		v.stats.ConnsNotFollowed++
		return none
	}
	*v.conns.at(ci) = conn{id: ev.Conn, slot: ev.Slot, client: ev.Flow.Client, node: n, calls: connCalls{none, none}, visitor: visitorRef{index: none}}
	v.slots[ev.Slot] = ci
	n.phases[active]++
	return ci
}

// dropIfPlain forgets a connection that is over.
func (v *view) dropIfPlain(ci int32) {
	if c := v.conns.at(ci); c.closed && c.plain() {
		v.forget(ci)
	}
}

// forget gives up the entry of a connection.
func (v *view) forget(ci int32) {
	c := v.conns.at(ci)
	if c.zombie {
		c.node.zombies--
		if c.held {
			c.node.held--
		}
	}
	v.enter(ci, active, 0)
	c.node.phases[active]--
	v.stopReading(c)
	v.left(c)
	v.slots[c.slot] = none
	v.conns.put(ci)
}

// displace forgets a connection whose slot another one has. A Tracker gives
// a slot away when all of its connection was told; that nothing can be left
// behind must not hang on it.
func (v *view) displace(ci int32) {
	v.stats.ConnsEvicted++
	c := v.conns.at(ci)
	for c.calls.head != none {
		v.endCall(c.calls.head)
	}
	v.leaveHalf(ci)
	if c.server {
		c.server = false
		c.node.serverClosed--
	}
	v.forget(ci)
}

func (v *view) halfClosed(ev *httpreassembly.Event) {
	n := v.find(ev.Flow.Server)
	n.lastEvent = ev.At
	v.loss.saw(ev.At, 2, 0)
	ci := v.connAt(ev, n)
	if ci == none {
		return
	}
	c := v.conns.at(ci)
	switch {
	case ev.By == httpreassembly.Client && !c.half && !c.server:
		c.half, c.closeWait = true, v.closeWaits.get() // there is one for each connection
		*v.closeWaits.at(c.closeWait) = closeWait{since: ev.At, stuckSince: ev.At, server: ev.Flow.Server}
		c.node.half++
		v.enter(ci, active, ev.At)
		v.pushCloseWait(ci)
	case ev.By == httpreassembly.Server && !c.server:
		v.leaveHalf(ci)
		c.server = true
		c.node.serverClosed++
		v.enter(ci, active, ev.At)
	}
	v.dropIfPlain(ci)
}

// leaveHalf ends a connection's time in CLOSE_WAIT, if it is there.
func (v *view) leaveHalf(ci int32) {
	c := v.conns.at(ci)
	if !c.half {
		return
	}
	v.dropCloseWait(ci)
	v.closeWaits.put(c.closeWait)
	c.half = false
	c.node.half--
}

func (v *view) closed(ev *httpreassembly.Event) {
	n := v.find(ev.Flow.Server)
	n.lastEvent = ev.At
	v.loss.saw(ev.At, 2, 0)
	if len(v.seeds) > 0 {
		delete(v.seeds, ev.Flow)
	}
	ci := v.look(ev)
	if ci != none {
		n = v.conns.at(ci).node
	}
	if n.live > 0 {
		n.live--
	} else {
		v.stats.ClosedUnopened++
	}
	if ci == none {
		return
	}
	v.leaveHalf(ci)
	v.enter(ci, active, ev.At)
	c := v.conns.at(ci)
	v.left(c)
	v.stopReading(c)
	if c.server {
		c.server = false
		c.node.serverClosed--
	}
	c.closed = true
	zombie := ev.Summary != nil && ev.Summary.State == httpreassembly.StateZombie
	if zombie && c.calls.head != none && !c.zombie {
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
	c := v.conns.at(ci)
	if !c.half {
		return
	}
	v.dropCloseWait(ci)
	v.closeWaits.at(c.closeWait).stuckSince = at
	v.pushCloseWait(ci)
}

func (v *view) pushCloseWait(ci int32) {
	c := v.conns.at(ci)
	l := &c.node.cw
	v.closeWaitOf(ci).links = link{prev: l.tail, next: none}
	if l.tail == none {
		l.head = ci
	} else {
		v.closeWaitOf(l.tail).links.next = ci
	}
	l.tail = ci
	l.n++
}

func (v *view) dropCloseWait(ci int32) {
	c := v.conns.at(ci)
	l, k := &c.node.cw, v.closeWaitOf(ci).links
	if k.prev == none {
		l.head = k.next
	} else {
		v.closeWaitOf(k.prev).links.next = k.next
	}
	if k.next == none {
		l.tail = k.prev
	} else {
		v.closeWaitOf(k.next).links.prev = k.prev
	}
	l.n--
}

// closeWaitOf is what a connection that is half closed has besides.
func (v *view) closeWaitOf(ci int32) *closeWait { return v.closeWaits.at(v.conns.at(ci).closeWait) }

// stuckHalf counts the half-closed connections of a node that the server has
// not reacted to since before.
func (v *view) stuckHalf(n *node, before capture.Time) int {
	stuck := 0
	for ci := n.cw.head; ci != none; ci = v.closeWaitOf(ci).links.next {
		c := v.conns.at(ci)
		if v.closeWaitOf(ci).stuckSince > before {
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
	for ci := n.cw.head; ci != none; ci = v.closeWaitOf(ci).links.next {
		if w := v.closeWaitOf(ci); !ok || w.since < since {
			since, ok = w.since, true
		}
	}
	return since, ok
}
