package detect

import (
	"time"

	"stallwatch/capture"
)

// phase is what a connection waits for. A connection enters a phase at the
// end of its list, so every list is in order of time, and those that have
// been in it for long are its first. They are moved to a list of their own at
// the next evaluation, once each: counting them costs nothing, however many
// an attacker opens.
//
//	opening ──> silent ──> sending ──> active ──> idle ──> sending …
type phase uint8

const (
	active  phase = iota // a call in flight, an answer on its way, half closed or over: in no list
	opening              // the server answered the SYN, the client has not completed the handshake
	silent               // established, and not a byte of a request
	sending              // a request began and is not whole
	idle                 // nothing owed: a kept connection
	numPhases
)

// age is from when on a connection's phase counts as long.
func (v *view) age(p phase) time.Duration {
	switch p {
	case opening:
		return v.o.SynFlood.Age
	case silent:
		return v.o.ConnectionFlood.Age
	case sending:
		return v.o.SlowRequest.Age
	}
	return v.o.Descriptors.OnceAfter
}

// queues are the lists of the phases: young and aged connections.
type queues [numPhases][2]list

func newQueues() (q queues) {
	for p := range q {
		q[p] = [2]list{emptyList, emptyList}
	}
	return q
}

func (v *view) queueOf(c *conn) *list {
	if c.aged {
		return &v.queues[c.phase][1]
	}
	return &v.queues[c.phase][0]
}

// enter moves a connection to a phase.
func (v *view) enter(ci int32, p phase, at capture.Time) {
	c := v.conns.at(ci)
	c.node.phases[c.phase]--
	c.node.phases[p]++
	if c.phase != active {
		v.unlink(v.queueOf(c), ci)
		if c.aged {
			c.node.aged[c.phase]--
			if c.once() {
				c.node.once--
			}
			c.aged = false
		}
	}
	c.phase, c.since = p, at
	if p != active {
		v.link(v.queueOf(c), ci)
	}
}

func (v *view) link(l *list, ci int32) {
	v.conns.at(ci).queue = link{prev: l.tail, next: none}
	if l.tail == none {
		l.head = ci
	} else {
		v.conns.at(l.tail).queue.next = ci
	}
	l.tail = ci
	l.n++
}

func (v *view) unlink(l *list, ci int32) {
	k := v.conns.at(ci).queue
	if k.prev == none {
		l.head = k.next
	} else {
		v.conns.at(k.prev).queue.next = k.next
	}
	if k.next == none {
		l.tail = k.prev
	} else {
		v.conns.at(k.next).queue.prev = k.prev
	}
	l.n--
}

// ripen moves those that have been in their phase for long.
func (v *view) ripen(at capture.Time) {
	for p := opening; p < numPhases; p++ {
		before := at.Add(-v.age(p))
		young := &v.queues[p][0]
		for ci := young.head; ci != none && v.conns.at(ci).since <= before; ci = young.head {
			c := v.conns.at(ci)
			v.unlink(young, ci)
			c.aged = true
			c.node.aged[p]++
			if c.once() {
				c.node.once++
			}
			v.link(&v.queues[p][1], ci)
		}
	}
}

// evictConn makes room by forgetting the connection that tells least: the
// oldest handshake, then the one that is idle longest, then the silent, then
// the slow. Those with a call in flight or half closed are never forgotten.
func (v *view) evictConn() bool {
	for _, p := range [...]phase{opening, idle, silent, sending} {
		for _, l := range [...]*list{&v.queues[p][1], &v.queues[p][0]} {
			if l.head != none && v.conns.at(l.head).plain() {
				v.stats.ConnsEvicted++
				v.forget(l.head)
				return true
			}
		}
	}
	return false
}

// since counts the connections of a node that have been in a phase since
// before; it looks at the young ones too, so it is for ages below the phase's.
func (v *view) waitingIn(n *node, p phase, before capture.Time) int {
	count := n.aged[p]
	for ci := v.queues[p][0].head; ci != none; ci = v.conns.at(ci).queue.next {
		c := v.conns.at(ci)
		if c.since > before {
			break
		}
		if c.node == n {
			count++
		}
	}
	return count
}

// eachIn visits the connections of a node in a phase that are in it since
// before, longest first.
func (v *view) eachIn(n *node, p phase, before capture.Time, f func(ci int32, c *conn)) {
	for _, l := range v.queues[p] {
		for ci := l.head; ci != none; ci = v.conns.at(ci).queue.next {
			c := v.conns.at(ci)
			if c.since > before {
				break
			}
			if c.node == n {
				f(ci, c)
			}
		}
	}
}

// clientsIn counts the clients of the connections of a node in a phase.
func (v *view) clientsIn(a *Alert, n *node, p phase, before capture.Time) {
	clients := make(tally)
	v.eachIn(n, p, before, func(_ int32, c *conn) { clients.add(c.client.Addr()) })
	clients.blame(a)
}
