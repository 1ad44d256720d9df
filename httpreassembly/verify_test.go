package httpreassembly

import (
	"testing"

	"stallwatch/capture"
)

// verify checks what must hold of a Tracker after each call: so that a wrong
// state is found where it comes about, and not by what may follow from it.
func verify(t testing.TB, tr *Tracker) {
	t.Helper()
	v := verifier{TB: t, tr: tr}
	for k := range tr.lists {
		n, prev := 0, uint32(0)
		for ref := tr.lists[k].head; ref != 0; ref = tr.table.slab.at(ref).next {
			c := tr.table.slab.at(ref)
			n++
			v.check(c.prev == prev && c.ref == ref, "place %d of class %d follows %d, and says %d", ref, k, prev, c.prev)
			v.check(int(c.class) == k && c.has(used), "class %d lists a connection of class %d, flags %b", k, c.class, c.flags)
			v.conn(c)
			prev = ref
		}
		v.check(n == tr.lists[k].n && tr.lists[k].tail == prev, "class %d holds %d connections up to %d and says %d, %d", k, n, prev, tr.lists[k].n, tr.lists[k].tail)
	}
	v.sums()
	v.timers()
	v.holes()
}

// verifier adds up what it meets.
type verifier struct {
	testing.TB
	tr *Tracker

	conns       [NumConnStates]int
	count       int
	attached    int
	contested   int
	unconfirmed int
	lent        int // HTTP halves
	owed        int
	alive       int // exchanges
	held        int // reorder buffers
	bytes       int64
}

func (v *verifier) check(ok bool, format string, args ...any) {
	if !ok {
		v.Helper()
		v.Fatalf(format, args...)
	}
}

// sums holds what was met to the counts that the Tracker keeps.
func (v *verifier) sums() {
	v.Helper()
	tr, st := v.tr, &v.tr.stats
	v.check(v.conns == st.Conns && v.count == tr.count && v.attached == tr.table.n && v.unconfirmed == st.Unconfirmed,
		"%d connections in states %d, %d in the table, %d unconfirmed; it says %d, %d, %d, %d",
		v.count, v.conns, v.attached, v.unconfirmed, tr.count, st.Conns, tr.table.n, st.Unconfirmed)
	v.check(v.owed == st.InFlight && v.alive == tr.pool.alive, "%d requests owed, %d exchanges; it says %d, %d", v.owed, v.alive, st.InFlight, tr.pool.alive)
	v.check(v.lent == len(tr.lent.blocks)*messagesBlock-len(tr.lent.free), "%d HTTP halves are lent, %d of %d free", v.lent, len(tr.lent.free), len(tr.lent.blocks)*messagesBlock)
	v.check(v.contested == len(tr.reuses), "%d connections are contested, %d SYNs remembered", v.contested, len(tr.reuses))
	v.check(v.bytes == st.Buffered, "%d bytes are buffered, it says %d", v.bytes, st.Buffered)
	v.check(tr.count <= tr.opts.MaxConns && st.Buffered <= tr.opts.MaxBuffered && tr.pool.alive <= tr.opts.MaxExchanges,
		"%d connections of %d, %d bytes of %d, %d exchanges of %d", tr.count, tr.opts.MaxConns, st.Buffered, tr.opts.MaxBuffered, tr.pool.alive, tr.opts.MaxExchanges)
	v.check(tr.tombs.n == tr.tombs.index.n && tr.tombs.n <= tr.opts.MaxTombs, "%d tombs, %d in the index", tr.tombs.n, tr.tombs.index.n)
}

// timers holds the heap to its order; that it has who waits, conn looks.
func (v *verifier) timers() {
	v.Helper()
	heap := v.tr.timers.heap
	for i := range heap {
		v.check(int(heap[i].c.timer) == i && heap[i].c.has(used), "timer %d believes to be %d", i, heap[i].c.timer)
		v.check(i == 0 || !heap[i].before(&heap[(i-1)/2]), "timer %d is before its parent", i)
	}
}

// holes holds the list of reorder buffers to those that connections have.
func (v *verifier) holes() {
	v.Helper()
	l := &v.tr.holes
	n, cost := 0, int64(0)
	var prev *reorder
	for r := l.head; r != nil; r = r.next {
		v.check(r.prev == prev && r.conn != nil && r.conn.half[r.dir].held == r, "reorder buffer %d is of nobody", n)
		n, cost, prev = n+1, cost+int64(r.cost), r
	}
	v.check(l.tail == prev && n == v.held && cost == l.cost && cost <= v.tr.share(reorderShare), "%d reorder buffers of %d bytes listed; %d are held, of %d", n, cost, v.held, l.cost)
}

// conn looks at a connection.
func (v *verifier) conn(c *conn) {
	v.Helper()
	v.count++
	v.conns[c.state]++
	if !c.has(confirmed) && (c.state == StateOpen || c.state == StateHalfClosed) {
		v.unconfirmed++
	}
	if c.has(contested) {
		v.contested++
		v.check(v.tr.reuses[c.ref].at != 0, "%d is contested by no SYN", c.conn)
	}
	if !c.has(detached) {
		v.attached++
		s := capture.Segment{Src: c.flow.Client, Dst: c.flow.Server}
		found, _ := v.tr.table.find(v.tr.table.hash(&s), &s)
		v.check(found == c, "%d is not found by its ends", c.conn)
	}
	v.check(c.has(opened) == (c.state != StateSyn) && (c.state == StateZombie || !c.has(detached)), "state %d, flags %b", c.state, c.flags)
	client, server := c.half[capture.ToServer].has(finDone), c.half[capture.ToClient].has(finDone)
	ok, classes := true, []class{live, busy}
	switch c.state {
	case StateSyn, StateHandshake:
		ok, classes = !client && !server, []class{halfOpen}
	case StateOpen:
		ok = !client && !server
	case StateHalfClosed:
		ok = client && !server && c.has(clientFIN)
	case StateServerClosed:
		ok = !client && server && !c.has(clientFIN)
	case StateZombie:
		ok, classes = !client || !server, []class{zombies}
	default:
		ok = false
	}
	v.check(ok, "state %d, FIN of the client %t, of the server %t, flags %b", c.state, client, server, c.flags)
	ok = false
	for _, k := range classes {
		ok = ok || c.class == k
	}
	v.check(ok && (c.class != busy || c.pinned()), "state %d in class %d, pinned %t", c.state, c.class, c.pinned())
	for d := range c.half {
		v.half(c, capture.Dir(d))
	}
	if at, waits := v.tr.due(c); waits {
		v.check(c.timer >= 0 && v.tr.timers.heap[c.timer].at <= at, "state %d is due at %d, its timer is %d", c.state, at, c.timer)
	}
	v.messages(c)
}

// half looks at one direction of c.
func (v *verifier) half(c *conn, dir capture.Dir) {
	v.Helper()
	h := &c.half[dir]
	if c.state == StateSyn {
		v.check(h.flags&^(hasTS|announced) == 0 && h.held == nil && h.gapDue == 0, "direction %d has not begun, flags %b, due %d", dir, h.flags, h.gapDue)
		return
	}
	v.check(h.next.sub(h.acked) <= maxJump && h.acked.sub(h.next) < maxJump, "direction %d is at %d and acknowledged up to %d", dir, h.next, h.acked)
	switch {
	case h.has(finDone):
		v.check(h.has(hasFIN) && h.next == h.fin+1 && h.held == nil, "direction %d is at %d, behind its FIN at %d", dir, h.next, h.fin)
	case h.has(hasFIN):
		v.check(h.next.before(h.fin), "direction %d is at %d, its FIN at %d", dir, h.next, h.fin)
	}
	v.check(!h.has(hasUrgent) || !h.urgent.before(h.next), "direction %d is at %d, beyond its urgent byte at %d", dir, h.next, h.urgent)
	v.check(!h.has(choked) || h.window < smallWindow, "direction %d is choked by a window of %d", dir, h.window)
	if c.state == StateZombie {
		v.check(h.gapDue == 0 && h.held == nil, "direction %d of a zombie waits until %d", dir, h.gapDue)
	} else {
		v.check(h.gapDue != 0 || !h.acked.after(h.next), "direction %d is at %d, acknowledged up to %d, and nothing is due", dir, h.next, h.acked)
	}
	if h.held != nil {
		v.reorder(c, h, dir)
	}
}

// reorder looks at what lies beyond a hole: pieces begin and end in order,
// none within another, and nothing of them is delivered yet.
func (v *verifier) reorder(c *conn, h *half, dir capture.Dir) {
	v.Helper()
	r := h.held
	v.held++
	v.bytes += int64(r.cost)
	v.check(r.conn == c && r.dir == dir, "direction %d holds another's reorder buffer", dir)
	v.check(len(r.pieces)+len(r.doubted) > 0 && len(r.pieces) <= maxPieces && len(r.doubted) <= maxDoubted, "%d pieces, %d doubted", len(r.pieces), len(r.doubted))
	cost := 0
	for i := range r.pieces {
		p := &r.pieces[i]
		cost += len(p.data) + pieceCost
		v.check(p.cut >= 0 && p.end().after(p.start) && p.start.after(h.next), "piece %d is %d to %d, at %d", i, p.start, p.end(), h.next)
		if i > 0 {
			o := &r.pieces[i-1]
			v.check(p.start.after(o.start) && p.end().after(o.end()), "pieces %d to %d, %d to %d", o.start, o.end(), p.start, p.end())
		}
	}
	for i := range r.doubted {
		p := &r.doubted[i]
		cost += len(p.data) + pieceCost
		v.check(p.cut >= 0 && p.end().after(p.start) && p.end().after(h.next), "doubted piece %d is %d to %d, at %d", i, p.start, p.end(), h.next)
	}
	v.check(cost == r.cost && cost <= v.tr.opts.MaxConnBuffered, "direction %d holds %d bytes and says %d", dir, cost, r.cost)
}

// messages looks at the HTTP half of c.
func (v *verifier) messages(c *conn) {
	v.Helper()
	if x := c.owed; x != nil {
		v.check(c.msgs == nil && x.next == nil, "the lone call of %d has company", c.conn)
		v.owed++
		v.waits(c, x)
		v.exchange(c, x)
	}
	m := c.msgs
	if m == nil {
		return
	}
	v.lent++
	v.check(m.of == c.ref, "the HTTP half of %d is lent to %d", c.ref, m.of)
	n := 0
	var last *call
	for x := m.first; x != nil; x = x.next {
		v.check(x != m.resp && x != m.cur && (last == nil || last.Depth < x.Depth), "%d waits behind %v, and more", x.Depth, last)
		v.waits(c, x)
		v.exchange(c, x)
		n, last = n+1, x
	}
	v.check(m.last == last && n <= v.tr.opts.MaxPipeline, "%d requests owed, the last is %v", n, m.last)
	if x := m.cur; x != nil {
		v.check(x.RequestEnd == 0 && x.next == nil, "the request being received ended at %d", x.RequestEnd)
		v.exchange(c, x)
	}
	if x := m.resp; x != nil {
		v.check(x.has(hasResponse) && x.ResponseEnd == 0 && x.next == nil && (x != m.cur || x.RequestEnd == 0), "the request being answered: flags %b, ended at %d, %d", x.flags, x.RequestEnd, x.ResponseEnd)
		if x != m.cur {
			v.exchange(c, x)
		}
	}
	if m.h2 != nil {
		n += v.streams(c, m.h2)
	}
	v.check(int(m.n) == n && n <= v.tr.opts.MaxPipeline, "%d requests are owed, it says %d", n, m.n)
	v.owed += n
	for d := range m.side {
		s := &m.side[d]
		v.bytes += int64(cap(s.head))
		v.check(len(s.head) == 0 || s.state == atStart || s.state == inHead || s.state == lost, "state %d with %d bytes of a head", s.state, len(s.head))
		v.check(s.left > 0 || s.state != inBody && s.state != inChunkData, "state %d with nothing left", s.state)
		v.check((s.state == framed) == (m.h2 != nil), "state %d, HTTP/2 %t", s.state, m.h2 != nil)
	}
}

// streams looks at the exchanges of HTTP/2 and returns how many are owed.
func (v *verifier) streams(c *conn, h *h2) (owed int) {
	v.Helper()
	v.bytes += int64(h.charged)
	for id, x := range h.streams {
		v.check(x.StreamID == id && id <= h.last && x.next == nil, "stream %d is %d", id, x.StreamID)
		v.exchange(c, x)
		if x.has(isOwed) {
			owed++
			v.waits(c, x)
		}
	}
	return owed
}

// waits looks at a call that is owed an answer.
func (v *verifier) waits(c *conn, x *call) {
	v.Helper()
	v.check(x.RequestEnd != 0 && x.ResponseStart == 0 && !x.has(hasResponse|whole), "a call that waits: whole at %d, answered at %d, flags %b", x.RequestEnd, x.ResponseStart, x.flags)
}

// exchange looks at an exchange that is not over.
func (v *verifier) exchange(c *conn, x *call) {
	v.Helper()
	v.alive++
	v.check(x.Conn == c.conn && x.Outcome == Unfinished && x.Head != nil, "an exchange of %d on %d, outcome %d", x.Conn, c.conn, x.Outcome)
	v.bytes += int64(cap(x.ResponseTail))
	if x.has(hasHead) {
		v.bytes += int64(cap(x.Head.text))
	}
	if !x.has(bodySpent) {
		v.bytes += int64(x.bodyCost())
	}
}
