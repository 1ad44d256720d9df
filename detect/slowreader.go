package detect

import (
	"fmt"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// slowReader fires when clients do not take their answers.
type slowReader struct{}

func (slowReader) name() string { return "SlowReader" }

func (d slowReader) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.SlowReader
	if n.readers < o.Readers {
		return
	}
	slow := 0
	clients := make(tally)
	var calls []CallRef
	var oldest time.Duration
	for r := v.readings.head; r != nil; r = r.next {
		c := v.conns.at(r.conn)
		if c.node != n || !r.slow(c, at, o) {
			continue
		}
		slow++
		clients.add(c.client.Addr())
		oldest = max(oldest, at.Sub(r.since))
		if len(calls) < MaxEvidence {
			calls = append(calls, CallRef{Conn: c.id, Client: c.client.AddrPort(), From: c.client.AddrPort(), Since: r.since, Age: at.Sub(r.since), Verdict: CauseClientRead})
		}
	}
	if slow < o.Readers {
		return
	}
	a := v.raise(l, n, n.incident(d), Warning, measured{float64(slow), float64(o.Readers), "answers"}, at)
	if a == nil {
		return
	}
	a.Evidence.Calls = calls
	clients.blame(a)
	a.Summary = fmt.Sprintf("%s of %s are not taken by their clients, the oldest for %s", plural(slow, "answer"), n.name(), inSeconds(oldest))
	a.Why = fmt.Sprintf("%d whose client's window was closed and that were taken at less than %d bytes a second for %s or longer (fires at %d)",
		slow, o.BytesPerSecond, inSeconds(o.Age), o.Readers)
	l.remember(n.incident(d), a)
}

// reading is an answer whose client's window was closed at least once.
type reading struct {
	since  capture.Time // of the first closure, or since when it is slow
	bytes  int64        // taken then
	latest int64        // taken at the last change
	prev   *reading
	next   *reading
	conn   int32
}

// readings are all of them, in order of since.
type readings struct{ head, tail *reading }

// window folds a change of a client's window.
func (v *view) window(ci int32, ev *httpreassembly.Event) {
	c := v.conns.at(ci)
	if ev.Dir != capture.ToClient || !c.answering {
		return
	}
	r := c.reading
	if r == nil {
		if ev.Kind == httpreassembly.WindowOpened || c.node.readers >= v.o.MaxConns {
			return
		}
		r = &reading{since: ev.At, bytes: ev.Bytes, conn: ci, prev: v.readings.tail}
		if r.prev == nil {
			v.readings.head = r
		} else {
			r.prev.next = r
		}
		v.readings.tail = r
		c.reading = r
		c.node.readers++
	}
	r.latest = ev.Bytes
}

// stopReading forgets the reading of a connection.
func (v *view) stopReading(c *conn) {
	r := c.reading
	if r == nil {
		return
	}
	c.reading = nil
	c.node.readers--
	if r.prev == nil {
		v.readings.head = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		v.readings.tail = r.prev
	} else {
		r.next.prev = r.prev
	}
}

// slow reports whether the answer is taken slower than o allows. An answer
// that is taken well is measured anew from there on.
func (r *reading) slow(c *conn, at capture.Time, o *SlowReaderOptions) bool {
	d := at.Sub(r.since)
	if d < o.Age {
		return false
	}
	if float64(r.latest-r.bytes) >= float64(o.BytesPerSecond)*d.Seconds() || !c.wire.closed[capture.ToClient] && r.latest == r.bytes {
		r.since, r.bytes = at, r.latest
		return false
	}
	return true
}
