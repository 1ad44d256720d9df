package detect

import (
	"fmt"

	"stallwatch/capture"
)

// slowRequest fires when clients begin requests and do not end them. A node
// that reads bodies inside its workers is dead when as many trickle as it has
// workers, so that many are news long before their age is.
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
	a.Why = fmt.Sprintf("%d incomplete for %s or longer (fires at %d; at %d, which are all workers, after %s)",
		slow, inSeconds(age), o.Requests, v.o.Workers, inSeconds(o.PoolAge))
	l.remember(n.incident(d), a)
}
