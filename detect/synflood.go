package detect

import (
	"fmt"

	"stallwatch/capture"
)

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
	a := v.raise(l, n, n.incident(d), Warning, measured{float64(half), float64(o.HalfOpen), "handshakes"}, at)
	if a == nil {
		return
	}
	v.clientsIn(a, n, opening, at.Add(-o.Age))
	a.Summary = fmt.Sprintf("%s with %s wait for clients that do not complete them", plural(half, "handshake"), n.name())
	a.Why = fmt.Sprintf("%d answered and not completed for %s or longer (fires at %d); their addresses may be forged", half, inSeconds(o.Age), o.HalfOpen)
	l.remember(n.incident(d), a)
}
