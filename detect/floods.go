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
		if x == nil || int(x.opening) < o.Seconds || v.trusted(x.client) {
			continue
		}
		key := incidentKey{detector: d.name(), node: n.id, clients: clientsOf(x.client)}
		a := l.raise(at, key, n, Warning, float64(x.opened))
		if a == nil {
			continue
		}
		a.Unit, a.Limit, a.Confidence = "connections", float64(o.PerClient), v.loss.confidence()
		a.Evidence = v.evidence(n, at)
		a.Evidence.Clients = []ClientCount{{x.client, int(x.conns)}}
		a.Summary = fmt.Sprintf("one client opens connections to %s without end; it holds %d", n.name(), x.conns)
		a.Why = fmt.Sprintf("%d connections or more in each of %d seconds on end", o.PerClient, o.Seconds)
		l.remember(key, a)
	}
}

func (d connectionFlood) raiseSilent(v *view, n *node, quiet int, at capture.Time, l *lifecycle) {
	o := &v.o.ConnectionFlood
	a := l.raise(at, incidentKey{detector: d.name(), node: n.id}, n, Warning, float64(quiet))
	if a == nil {
		return
	}
	a.Unit, a.Limit, a.Confidence = "connections", float64(o.Silent), v.loss.confidence()
	a.Evidence = v.evidence(n, at)
	v.clientsIn(a, n, silent, at.Add(-o.Age))
	a.Summary = fmt.Sprintf("%s of %s have not sent a byte for %s", plural(quiet, "connection"), n.name(), inSeconds(o.Age))
	a.Why = fmt.Sprintf("%d silent for %s or longer (fires at %d and %s of those established, which are %d)",
		quiet, inSeconds(o.Age), o.Silent, percent(o.Share), n.live-n.phases[opening])
	l.remembered(d.name(), n, a)
}

// requestFlood fires when one client, or all together, ask more than a node
// is for.
type requestFlood struct{}

func (requestFlood) name() string { return "RequestFlood" }

func (d requestFlood) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.RequestFlood
	for _, r := range n.hot {
		x := v.visitors.at(r)
		if x == nil || int(x.busy) < o.Seconds || v.trusted(x.client) {
			continue
		}
		key := incidentKey{detector: d.name(), node: n.id, clients: clientsOf(x.client)}
		a := l.raise(at, key, n, Warning, float64(max(x.requests, int32(o.PerClient))))
		if a == nil {
			continue
		}
		a.Unit, a.Limit, a.Confidence = "requests a second", float64(o.PerClient), v.loss.confidence()
		a.Evidence = v.evidence(n, at)
		a.Evidence.Clients = []ClientCount{{x.client, int(x.requests)}}
		a.Summary = fmt.Sprintf("one client asks %s %d times a second or more", n.name(), o.PerClient)
		a.Why = fmt.Sprintf("%d requests or more in each of %d seconds on end, on %d connections", o.PerClient, o.Seconds, x.conns)
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
	} else if a := l.raise(at, incidentKey{detector: d.name(), node: n.id}, n, Warning, rate); a != nil {
		a.Unit, a.Limit, a.Confidence = "requests a second", float64(o.All), v.loss.confidence()
		a.Evidence = v.evidence(n, at)
		a.Summary = fmt.Sprintf("%s is asked %.0f times a second by all clients together", n.name(), rate)
		a.Why = fmt.Sprintf("%d requests within %s (fires at %d a second)", sum, inSeconds(o.Within), o.All)
		l.remembered(d.name(), n, a)
	}
}

// synFlood fires when handshakes pile up that nobody completes. Under SYN
// cookies the node keeps nothing of them; what suffers then are the honest
// clients' options, and the machine's processors.
type synFlood struct{}

func (synFlood) name() string { return "SynFlood" }

func (d synFlood) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.SynFlood
	half := n.aged[opening]
	if half < o.HalfOpen {
		return
	}
	a := l.raise(at, incidentKey{detector: d.name(), node: n.id}, n, Warning, float64(half))
	if a == nil {
		return
	}
	a.Unit, a.Limit, a.Confidence = "handshakes", float64(o.HalfOpen), v.loss.confidence()
	a.Evidence = v.evidence(n, at)
	v.clientsIn(a, n, opening, at.Add(-o.Age))
	a.Summary = fmt.Sprintf("%s with %s wait for clients that do not complete them", plural(half, "handshake"), n.name())
	a.Why = fmt.Sprintf("%d answered and not completed for %s or longer (fires at %d); their addresses may be forged", half, inSeconds(o.Age), o.HalfOpen)
	l.remembered(d.name(), n, a)
}
