package detect

import (
	"fmt"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// nodeDown fires when a node is away.
type nodeDown struct{}

func (nodeDown) name() string { return "NodeDown" }

func (d nodeDown) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.NodeDown
	life := &n.life
	if life.down == 0 {
		if !d.isSilent(v, n, at) {
			return
		}
		v.fall(n, at, true)
	}
	if !life.silent {
		v.buryIfGone(n, at)
		l.out = v.lastWords(l.out)
		life.settleWill()
		gone := n == v.host.node && !v.host.fresh(at) // its machine says nothing of it any more
		if n.lastAnswer > life.down || life.lastWill.n == 0 && !gone && n.keptOut(n.shut, life.down, at) {
			life.down, life.refused = 0, 0 // it serves those it has, or all but one
			return
		}
		if at.Sub(life.down) < o.After {
			return // an operator restarts it
		}
	}
	if life.silent && !d.isSilent(v, n, at) && n.lastAnswer > life.down {
		life.down = 0
		return
	}
	life.told = true
	since := at.Sub(life.down)
	sev := Critical
	if n.opened == 0 {
		sev = Warning // it was never seen up: a firewall may be all there is
	}
	a := v.raise(l, n, n.incident(d), sev, measured{since.Seconds(), o.After.Seconds(), "seconds"}, at)
	if a == nil {
		return
	}
	life.lastWill.show(a)
	if life.silent {
		a.Summary = fmt.Sprintf("%s is silent: SYNs stay unanswered and nothing is acknowledged", n.name())
		a.Why = fmt.Sprintf("%d SYNs without answer within %s (fires at %d), and no sign of the node meanwhile",
			n.turnedAway(at, o.Within), inSeconds(o.Within), o.Syns)
	} else {
		a.Summary = fmt.Sprintf("%s refuses connections since %s: the process is gone", n.name(), inSeconds(since))
		a.Why = fmt.Sprintf("%s answered by RST and none accepted for %s (fires after %s)", plural(life.refused, "SYN"), inSeconds(since), inSeconds(o.After))
	}
	if n.opened == 0 {
		a.Summary = fmt.Sprintf("%s refuses connections since %s: nobody listens", n.name(), inSeconds(since))
		a.Why += "; it was not seen up since the capture began, so a firewall may be what refuses"
		a.Confidence *= 0.7
	}
	if life.lastWill.n > 0 {
		a.Summary += fmt.Sprintf("; %s in flight when it went", plural(life.lastWill.n, "call"))
	}
	l.remember(n.incident(d), a)
}

// isSilent reports whether a node's machine seems to be away: a full accept
// queue leaves SYNs unanswered as well, but its kernel goes on to acknowledge
// what comes on connections that stand.
func (nodeDown) isSilent(v *view, n *node, at capture.Time) bool {
	o := &v.o.NodeDown
	if n.opened == 0 || n.turnedAway(at, o.Within) < o.Syns {
		return false
	}
	if at.Sub(max(n.lastAnswer, n.lastOpened)) < o.Within {
		return false
	}
	return !v.host.of(n, at) && within(&n.resent, at, o.Within) > 0
}

// resends counts the connections whose client sends again without being heard.
func (v *view) resends(c *conn, ev *httpreassembly.Event) {
	if ev.Dir == capture.ToServer && ev.Kind == httpreassembly.Retransmitting {
		count(&c.node.resent, ev.At)
	}
}
