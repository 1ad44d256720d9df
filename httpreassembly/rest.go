package httpreassembly

import "stallwatch/capture"

// Between two messages a connection needs next to nothing of its HTTP half: a
// million idle ones, or as many half closed, would hold ten times what is
// left. So a messages is lent to a connection from the first byte of a message
// to the last one of its answer, and what it knows beyond is kept here.
type rested struct {
	odd   uint64
	depth int32
	flags msgFlags
	proto Protocol
	blind uint8    // directions whose bytes pass unread, as bits
	keys  [2]uint8 // of the familiar heads; valid iff spoken
}

// rest returns what m knows, if nothing is in progress or owed.
func (m *messages) rest() (k rested, ok bool) {
	if m.n != 0 || m.first != nil || m.cur != nil || m.resp != nil || m.rare != nil || m.h2 != nil {
		return k, false
	}
	k = rested{odd: m.odd, depth: m.depth, flags: m.flags, proto: m.proto, keys: m.keys}
	for d := range m.side {
		s := &m.side[d]
		switch {
		case cap(s.head) > 0 || s.began != 0:
			return k, false
		case s.state == blind:
			k.blind |= 1 << d
		case s.state != atStart || !m.has(begun):
			return k, false // else the next message sets what is left of the last one anew
		}
	}
	return k, true
}

// wake makes m, which is zero, what it was before it rested.
func (m *messages) wake(k rested) {
	m.odd, m.depth, m.flags, m.proto, m.keys = k.odd, k.depth, k.flags, k.proto, k.keys
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
			c.rested.keys = t.familiars.keys(&c.flow)
		}
		c.msgs = t.lent.get()
		c.msgs.wake(c.rested)
	}
	return c.msgs
}

// restMessages takes the HTTP half of c back if it can rest.
func (t *Tracker) restMessages(c *conn) {
	if m := c.msgs; m != nil && m.n == 0 && m.resp == nil && m.cur == nil {
		if k, ok := m.rest(); ok {
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
type lending struct{ free []*messages }

func (l *lending) get() *messages {
	if len(l.free) == 0 {
		b := new([messagesBlock]messages)
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
