package detect

import (
	"fmt"

	"stallwatch/capture"
)

// loginProbe fires when connections to the SSH port come one after the other:
// people log in and stay.
type loginProbe struct{}

func (loginProbe) name() string { return "LoginProbe" }

func (d loginProbe) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.LoginProbe
	a, count := v.often(l, n, d, login, Rate{o.Connections, o.Within}, Warning, at)
	if a == nil {
		return
	}
	a.Unit = "connections"
	a.Summary = fmt.Sprintf("%s to the SSH port of %s in %s", plural(count, "connection"), n.server.Addr(), inSeconds(o.Within))
	a.Why = fmt.Sprintf("%d within %s (fires at %d)", count, inSeconds(o.Within), o.Connections)
	l.remember(n.incident(d), a)
}
