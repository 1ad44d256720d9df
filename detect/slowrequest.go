package detect

import (
	"fmt"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// slowRequest fires when clients begin requests and do not end them. A node
// that reads bodies inside its workers is dead when as many trickle as it has
// workers, so that many are news long before their age is.
//
// What is honest and takes its time is a large body over a bad line, and it
// moves: so a body is slow from the instant on that it fell behind
// BytesPerSecond, as servers have it (Apache's mod_reqtimeout, MinRate=500). A
// head is a few hundred bytes on any line, and slow by its age alone.
type slowRequest struct{}

func (slowRequest) name() string { return "SlowRequest" }

func (d slowRequest) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.SlowRequest
	if n.phases[sending] < o.Requests {
		return
	}
	slow, age, least := n.aged[sending], o.Age, o.Requests
	if slow < least {
		age, least = o.PoolAge, v.o.Workers
		slow = v.waitingIn(n, sending, at.Add(-age))
	}
	if slow < least {
		return
	}
	a := v.raise(l, n, n.incident(d), Warning, measured{float64(slow), float64(least), "requests"}, at)
	if a == nil {
		return
	}
	before := at.Add(-age)
	v.clientsIn(a, n, sending, before)
	bodies := 0
	v.eachIn(n, sending, before, func(_ int32, c *conn) {
		if c.body {
			bodies++
		}
		if len(a.Evidence.Calls) < MaxEvidence {
			a.Evidence.Calls = append(a.Evidence.Calls, CallRef{Conn: c.id, Client: c.client.AddrPort(), Since: c.since, Age: at.Sub(c.since), Verdict: CauseClientUpload})
		}
	})
	a.Summary = fmt.Sprintf("%s to %s began and do not end: %d trickle in their head, %d in their body", plural(slow, "request"), n.name(), slow-bodies, bodies)
	a.Why = fmt.Sprintf("%d incomplete, and slower than %d bytes a second, for %s or longer (fires at %d; at %d, which are all workers, after %s)",
		slow, o.BytesPerSecond, inSeconds(age), o.Requests, v.o.Workers, inSeconds(o.PoolAge))
	l.remember(n.incident(d), a)
}

// uploads folds that the content of a request goes on: where it is as far as
// it should be, it is slow since now at the earliest. Nothing is gained by
// sending ahead and then nothing, since now is the most that bytes buy; nor by
// content without end, since bytes beyond what a node serves buy nothing.
func (v *view) uploads(ci int32, ev *httpreassembly.Event) {
	c := v.conns.at(ci)
	if c.phase != sending {
		return
	}
	bytes := min(ev.Bytes, int64(v.o.OversizedRequest.Body))
	bought := time.Duration(bytes) * second / time.Duration(v.o.SlowRequest.BytesPerSecond)
	if ev.At.Sub(ev.Exchange.RequestStart) <= bought {
		v.enter(ci, sending, ev.At)
	}
}

// takes folds that the node has no room for more of a request, or has again:
// meanwhile it is not the client who is slow.
func (v *view) takes(ci int32, ev *httpreassembly.Event) {
	c := v.conns.at(ci)
	switch {
	case ev.Dir != capture.ToServer:
	case ev.Kind == httpreassembly.WindowClosed && c.phase == sending:
		v.enter(ci, active, ev.At)
	case ev.Kind == httpreassembly.WindowOpened && c.phase == active && c.plain() && !c.closed:
		v.enter(ci, sending, ev.At)
	}
}
