package detect

import (
	"fmt"

	"stallwatch/capture"
)

// nodeRestarted tells that a node is back, and what it had in flight when it
// went. An operator's restart, quick and with nothing cut off, is no news.
type nodeRestarted struct{}

func (nodeRestarted) name() string { return "NodeRestarted" }

func (d nodeRestarted) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	life := &n.life
	if !life.notable || life.back == 0 || at.Sub(life.back) > v.o.KeepFiring {
		return
	}
	away := life.back.Sub(life.away)
	a := v.raise(l, n, n.incident(d), Info, measured{away.Seconds(), float64(v.o.NodeRestarted.Calls), "seconds"}, at)
	if a == nil {
		return
	}
	life.lastWill.show(a)
	a.Summary = fmt.Sprintf("%s answers again after %s; %s were in flight when it went", n.name(), inSeconds(away), plural(life.lastWill.n, "call"))
	a.Why = fmt.Sprintf("connections were refused and are accepted again (told after NodeDown, or from %d calls cut off on)", v.o.NodeRestarted.Calls)
	l.remember(n.incident(d), a)
}
