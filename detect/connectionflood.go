package detect

import (
	"fmt"

	"stallwatch/capture"
)

// connectionFlood fires when connections are opened that send nothing, or when
// one client opens them without end. Each costs the node a descriptor, and the
// attacker a packet.
type connectionFlood struct{}

func (connectionFlood) name() string { return "ConnectionFlood" }

func (d connectionFlood) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.ConnectionFlood
	quiet := n.aged[silent]
	established := n.live - n.phases[opening]
	if quiet >= o.Silent && float64(quiet) >= o.Share*float64(established) {
		d.raiseSilent(v, n, quiet, at, l)
	}
	for _, r := range n.hot {
		x := v.visitors.at(r)
		if x == nil || int(x.opening) < o.Seconds || v.trusted(x.addr) {
			continue
		}
		key := incidentKey{detector: d.name(), node: n.id, clients: clientsOf(x.addr)}
		a := v.raise(l, n, key, Warning, measured{float64(x.opened), float64(o.PerClient), "connections"}, at)
		if a == nil {
			continue
		}
		a.Client, a.Evidence.Clients = x.client(), []ClientCount{{x.client(), int(x.conns)}}
		a.Summary = fmt.Sprintf("one client opens connections to %s without end; it holds %d", n.name(), x.conns)
		a.Why = fmt.Sprintf("%d connections or more in each of %d seconds on end", o.PerClient, o.Seconds)
		l.remember(key, a)
	}
}

func (d connectionFlood) raiseSilent(v *view, n *node, quiet int, at capture.Time, l *lifecycle) {
	o := &v.o.ConnectionFlood
	a := v.raise(l, n, n.incident(d), Warning, measured{float64(quiet), float64(o.Silent), "connections"}, at)
	if a == nil {
		return
	}
	v.clientsIn(a, n, silent, at.Add(-o.Age))
	a.Summary = fmt.Sprintf("%s of %s have not sent a byte for %s", plural(quiet, "connection"), n.name(), inSeconds(o.Age))
	a.Why = fmt.Sprintf("%d silent for %s or longer (fires at %d and %s of those established, which are %d)",
		quiet, inSeconds(o.Age), o.Silent, percent(o.Share), n.live-n.phases[opening])
	l.remember(n.incident(d), a)
}
