package httpreassembly

import "stallwatch/capture"

// conn is a connection: 256 bytes, and without buffers an idle one takes
// nothing besides. A million of them are within what the tool promises. What
// every packet touches comes first, in as few cache lines as can be.
type conn struct {
	ident
	half      [2]half      // by the direction of their bytes
	last      capture.Time // of the latest packet
	bytes     [2]int64
	msgs      *messages // nil: rested holds, and owed
	owed      *call     // the lone call that waits for its answer, while msgs is nil
	exchanges uint32
	timer     int32  // index in the timers' heap; -1: none
	odd       uint16 // oddities reported, as bits: each is told once a connection
	flags     connFlags
	state     ConnState
	class     class
	history   history
	keys      [2]uint8 // of the familiar heads, by direction; valid iff spoken
	isn       seq      // the client's SYN; valid iff hasISN

	rested     rested
	mark       capture.Time // SYN, then SYN-ACK, then the client's FIN (clientFIN), then the reset that made it a zombie
	prev, next uint32       // in the list of its class, or next in the free list: places in the slab
}

type connFlags uint16

const (
	used        connFlags = 1 << iota // the slot holds a connection
	hasISN                            // isn is valid
	opened                            // the event Opened was sent, so Closed must be
	confirmed                         // the server acknowledged payload or sent some
	synReported                       // SynUnanswered was sent
	touched                           // seen since eviction last looked
	distrusted                        // the client acknowledged bytes that the server never sent
	detached                          // not in the flow table any more
	summed                            // the client's SYN had a whole checksum: its host leaves none to a network card
	clientFIN                         // the client half-closed it, at mark
	spoken                            // payload came, or is known to be missing
	sack                              // both ends offered selective acknowledgement
	unstamped                         // timestamps were not agreed upon: the kernel does not look at them
	contested                         // a SYN on these ports waits for the server's reaction: Tracker.reuses has it
	heardClient                       // a packet of the client was captured
	heardServer                       // a packet of the server was captured
)

// heardOf is the flag that says that a packet of dir was captured.
func heardOf(dir capture.Dir) connFlags { return heardClient << dir }

func (c *conn) has(f connFlags) bool { return c.flags&f != 0 }

// pinned reports whether c is what the tool is for: a call unanswered, or a
// FIN of the client that the server's kernel acknowledged and its process
// did not react to. Such a connection has no idle timer and is not evicted.
// Without the acknowledgement it could be a SYN cookie's client, which has no
// socket at all.
func (c *conn) pinned() bool {
	if c.state == StateZombie || c.owed != nil || c.msgs != nil && c.msgs.owed() > 0 {
		return true
	}
	h := &c.half[capture.ToServer]
	return c.state == StateHalfClosed && !h.acked.before(h.next)
}

// setState moves c, and the gauges with it.
func (t *Tracker) setState(c *conn, s ConnState) {
	t.gauge(c, -1)
	c.state = s
	t.gauge(c, 1)
}

func (t *Tracker) gauge(c *conn, by int) {
	t.stats.Conns[c.state] += by
	if !c.has(confirmed) && (c.state == StateOpen || c.state == StateHalfClosed) {
		t.stats.Unconfirmed += by
	}
}

// confirm notes a sign of life of the server's process side: with SYN cookies
// or a deferred accept, a client alone may believe that it is connected.
func (t *Tracker) confirm(c *conn) {
	t.gauge(c, -1)
	c.flags |= confirmed
	t.gauge(c, 1)
}

// oddity counts o and reports it, once a connection: an attacker who repeats
// himself must not flood the consumers.
func (t *Tracker) oddity(c *conn, at capture.Time, dir capture.Dir, o Oddity, detail string) {
	if c.odd&(1<<o) != 0 {
		t.stats.Oddities[o]++
		return
	}
	c.odd |= 1 << o
	t.odd(&c.ident, at, dir, o, detail)
}

// open reports c to the consumers.
func (t *Tracker) open(c *conn, at capture.Time, s ConnState, midStream bool) {
	t.setState(c, s)
	c.flags |= opened
	t.stats.Opened++
	e := t.event(&c.ident, at, Opened)
	e.MidStream = midStream
}

// established moves c from the half-open ones to those that may be idle.
func (t *Tracker) established(c *conn) {
	if c.state == StateHandshake {
		t.event(&c.ident, c.last, Established)
	}
	t.setState(c, StateOpen)
	t.classify(c, live)
	t.arm(c)
}

// deliver hands b, the next bytes of dir, to the HTTP half.
func (t *Tracker) deliver(c *conn, dir capture.Dir, at capture.Time, b []byte) {
	if len(b) == 0 {
		return
	}
	c.bytes[dir] += int64(len(b))
	if dir == capture.ToServer {
		p := &c.half[capture.ToClient]
		t.heard, t.missed = p.acked, p.acked.after(p.next)
	}
	n := len(t.out)
	t.messages(c).bytes(&t.shared, &c.ident, dir, at, b)
	t.told(c, n)
	t.restMessages(c)
}

// lose tells that the next n bytes of dir were not captured.
func (t *Tracker) lose(c *conn, dir capture.Dir, at capture.Time, n int64) {
	t.stats.Gaps++
	t.stats.GapBytes += uint64(n)
	c.history.note(dir, 'g')
	e := t.event(&c.ident, at, Gap)
	e.Dir, e.Bytes = dir, n
	t.edge = c.half[capture.ToClient].next
	k := len(t.out)
	t.messages(c).hole(&t.shared, &c.ident, dir, at, n)
	t.told(c, k)
}

// told counts the requests among the events since n.
func (t *Tracker) told(c *conn, n int) {
	for i := n; i < len(t.out); i++ {
		if t.out[i].Kind == RequestSeen {
			c.exchanges++
		}
	}
}
