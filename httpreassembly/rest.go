package httpreassembly

import "stallwatch/capture"

// Between two messages a connection needs next to nothing of its HTTP half: a
// million idle ones, or as many half closed, would hold ten times what is
// left. So a messages is lent to a connection from the first byte of a message
// to the last one of its answer, and what it knows beyond is kept here. Before
// more are made, those are taken back whose connections only wait: so as many
// calls as hang, a hundred thousand in an attack, do not hold one each.
type rested struct {
	odd   uint64
	depth int32
	flags msgFlags
	proto Protocol
	blind uint8 // directions whose bytes pass unread, as bits
}

// rest returns what m knows and the lone call that it owes an answer, if
// nothing is in progress.
func (m *messages) rest() (k rested, owed *call, ok bool) {
	if m.first != m.last || m.cur != nil || m.resp != nil || m.rare != nil || m.h2 != nil {
		return k, nil, false
	}
	k = rested{odd: m.odd, depth: m.depth, flags: m.flags, proto: m.proto}
	for d := range m.side {
		s := &m.side[d]
		switch {
		case cap(s.head) > 0 || s.began != 0:
			return k, nil, false
		case s.state == blind:
			k.blind |= 1 << d
		case s.state != atStart || !m.has(begun):
			return k, nil, false // else the next message sets what is left of the last one anew
		}
	}
	return k, m.first, true
}

// wake makes m, which is zero, what it was before it rested.
func (m *messages) wake(k rested, owed *call) {
	if owed != nil {
		m.first, m.last, m.n = owed, owed, 1
	}
	m.odd, m.depth, m.flags, m.proto = k.odd, k.depth, k.flags, k.proto
	for d := range m.side {
		if k.blind&(1<<d) != 0 {
			m.side[d].state = blind
		}
	}
}

// messages returns the HTTP half of c.
func (t *Tracker) messages(c *conn) *messages {
	if c.msgs == nil {
		if !c.has(spoken) {
			c.flags |= spoken
			c.keys = t.familiars.keys(&c.flow)
		}
		if len(t.lent.free) == 0 {
			t.collectWaiting()
		}
		m := t.lent.get()
		m.wake(c.rested, c.owed)
		m.keys, m.of = c.keys, c.ref
		c.msgs, c.owed = m, nil
	}
	return c.msgs
}

// unrested returns the HTTP half of c if anything may be in progress or owed,
// else nil.
func (t *Tracker) unrested(c *conn) *messages {
	if c.owed != nil {
		return t.messages(c)
	}
	return c.msgs
}

// collectWaiting takes back halves of connections that only wait for the
// answer to one call. It looks at twice as many as are made at once, going
// round: what that costs is paid by making few.
func (t *Tracker) collectWaiting() {
	l := &t.lent
	for range min(2, len(l.blocks)) {
		b := l.blocks[l.hand%len(l.blocks)]
		l.hand++
		for i := range b {
			m := &b[i]
			if m.of == 0 || m.n != 1 {
				continue
			}
			if k, owed, ok := m.rest(); ok {
				c := t.table.slab.at(m.of)
				c.rested, c.owed, c.msgs = k, owed, nil
				l.put(m)
			}
		}
	}
}

// restMessages takes the HTTP half of c back if it can rest.
func (t *Tracker) restMessages(c *conn) {
	if m := c.msgs; m != nil && m.n == 0 && m.resp == nil && m.cur == nil {
		if k, _, ok := m.rest(); ok {
			c.rested, c.msgs = k, nil
			t.lent.put(m)
		}
	}
}

// speaks is what c was found to speak.
func (c *conn) speaks() Protocol {
	if c.msgs != nil {
		return c.msgs.protocol()
	}
	return c.rested.proto
}

// finished tells the HTTP half of c that the FIN of dir was reached.
func (t *Tracker) finished(c *conn, dir capture.Dir, at capture.Time) {
	if !c.has(spoken) {
		return
	}
	n, back := len(t.out), &c.half[dir.Reverse()]
	t.messages(c).end(&t.shared, &c.ident, dir, at, int64(back.next.sub(back.acked)))
	t.told(c, n)
	t.restMessages(c)
}

// lending is the HTTP halves that were made and no connection has, in blocks
// that are never given back: as many as were needed at once.
type lending struct {
	free   []*messages
	blocks []*[messagesBlock]messages
	hand   int // the block that is looked at next
}

func (l *lending) get() *messages {
	if len(l.free) == 0 {
		b := new([messagesBlock]messages)
		l.blocks = append(l.blocks, b)
		for i := range b {
			l.free = append(l.free, &b[i])
		}
	}
	n := len(l.free) - 1
	m := l.free[n]
	l.free = l.free[:n]
	return m
}

func (l *lending) put(m *messages) {
	*m = messages{}
	l.free = append(l.free, m)
}

const messagesBlock = 32
