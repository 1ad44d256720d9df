package detect

import (
	"fmt"

	"stallwatch/capture"
)

// requestFlood fires when one client, or all together, ask more than a node
// is for.
type requestFlood struct{}

func (requestFlood) name() string { return "RequestFlood" }

func (d requestFlood) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.RequestFlood
	for _, r := range n.hot {
		x := v.visitors.at(r)
		if x == nil || int(x.busy) < o.Seconds || v.trusted(x.addr) {
			continue
		}
		key := incidentKey{detector: d.name(), node: n.id, clients: clientsOf(x.addr)}
		a := v.raise(l, n, key, Warning, measured{float64(max(x.requests, int32(o.PerClient))), float64(o.PerClient), "requests a second"}, at)
		if a == nil {
			continue
		}
		a.Client, a.Evidence.Clients = x.client(), []ClientCount{{x.client(), int(x.requests)}}
		a.Summary = fmt.Sprintf("one client asks %s %d times a second or more", n.name(), o.PerClient)
		a.Why = fmt.Sprintf("%d requests or more in each of %d seconds on end, on %d connections", o.PerClient, o.Seconds, x.conns)
		if x.forwards {
			a.Why += "; it says that it asks for others (X-Forwarded-For): if it is a proxy of yours, trust it (--trusted-proxy), and its clients are counted one by one"
		}
		l.remember(key, a)
	}
	d.judgeAll(v, n, at, l)
}

// judgeAll looks at all clients together: a flood of one request a client.
func (d requestFlood) judgeAll(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.RequestFlood
	sum := within(&n.requests, at, o.Within)
	if rate := float64(sum) / o.Within.Seconds(); sum < o.All*int(o.Within/second) {
		return
	} else if a := v.raise(l, n, n.incident(d), Warning, measured{rate, float64(o.All), "requests a second"}, at); a != nil {
		a.Summary = fmt.Sprintf("%s is asked %.0f times a second by all clients together", n.name(), rate)
		a.Why = fmt.Sprintf("%d requests within %s (fires at %d a second)", sum, inSeconds(o.Within), o.All)
		l.remember(n.incident(d), a)
	}
}
