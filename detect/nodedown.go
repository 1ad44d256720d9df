package detect

import (
	"fmt"
	"net/netip"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// nodeLife is whether a node is there.
//
//	      SYN answered by RST, or SYNs and nothing else
//	up ──────────────────────────────────────────────────> down
//	 ^                                                      │
//	 └──────────────── a SYN is answered ───────────────────┘
type nodeLife struct {
	down     capture.Time // since; zero: it is up
	silent   bool         // valid iff down: nothing comes back at all
	refused  int          // SYNs answered by RST since
	told     bool         // NodeDown fired
	back     capture.Time // since it came back; zero: it never did
	away     capture.Time // since when it had been down
	notable  bool         // its return is news
	cut      casualties   // calls that the node's end cut off, lately
	lastWill casualties   // those of its last death
}

// casualties are the calls in flight when a node's sockets went.
type casualties struct {
	last    capture.Time
	n       int
	calls   []CallRef // the first MaxEvidence
	clients []doer    // at most maxDoers
}

// cutSpan joins calls that were cut off to one death.
const cutSpan = 2 * second

func (k *casualties) add(ref CallRef, client netip.Addr, at capture.Time) {
	if at.Sub(k.last) > cutSpan {
		*k = casualties{}
	}
	k.last = at
	k.n++
	if len(k.calls) < MaxEvidence {
		k.calls = append(k.calls, ref)
	}
	for i := range k.clients {
		if k.clients[i].client == client {
			k.clients[i].n++
			return
		}
	}
	if len(k.clients) < maxDoers {
		k.clients = append(k.clients, doer{client: client, n: 1})
	}
}

// died notes a call that ends without an answer because the server's end of
// its connection went.
func (v *view) died(i int32, ev *httpreassembly.Event) {
	switch ev.Exchange.Outcome {
	case httpreassembly.ServerClosed, httpreassembly.ServerReset, httpreassembly.ClientGone:
		c := &v.calls.items[i]
		c.node.life.cut.add(v.callRef(i, ev.At), c.client, ev.At)
	}
}

// refused folds a SYN that was answered by RST: the process is gone. What it
// had in flight is over, the calls of reset connections with it.
func (v *view) refused(ev *httpreassembly.Event) {
	n := v.find(ev.Flow.Server)
	if n == v.others || n.opened == 0 {
		return // never seen at work: a scan of a machine without a node
	}
	if n.life.refused++; n.life.down == 0 {
		v.fall(n, ev.At, false)
	}
	n.life.silent = false
}

// fall notes that a node is gone.
func (v *view) fall(n *node, at capture.Time, silent bool) {
	life := &n.life
	life.down, life.silent, life.told = at, silent, false
	if !silent {
		life.refused = 1
		v.bury(n, at)
	}
	if at.Sub(life.cut.last) <= 2*cutSpan {
		life.lastWill = life.cut
	} else {
		life.lastWill = casualties{}
	}
	life.cut = casualties{}
}

// bury ends every call of a node whose process is gone, and tells each for the
// last time: no packet will, since a reset client's socket is gone already.
func (v *view) bury(n *node, at capture.Time) {
	for i := range n.cells {
		c := &n.cells[i]
		for _, k := range v.appendList(v.appendList(nil, &c.list), &c.doubted) {
			ci := v.calls.items[k].conn
			n.life.cut.add(v.callRef(k, at), v.calls.items[k].client, at)
			v.buried = append(v.buried, v.pending(k, at, true))
			v.endCall(k)
			v.dropIfPlain(ci)
		}
	}
}

// comesBack notes that a node answers a SYN.
func (v *view) comesBack(n *node, at capture.Time) {
	life := &n.life
	if life.down == 0 {
		return
	}
	life.away, life.back = life.down, at
	life.notable = life.told || life.lastWill.n >= v.o.NodeRestarted.Calls
	life.down, life.refused = 0, 0
}

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
	if !life.silent && at.Sub(life.down) < o.After {
		return // an operator restarts it
	}
	if life.silent && !d.isSilent(v, n, at) && n.lastAnswer > life.down {
		life.down = 0
		return
	}
	life.told = true
	since := at.Sub(life.down)
	a := l.raise(at, incidentKey{detector: d.name(), node: n.id}, n, Critical, since.Seconds())
	if a == nil {
		return
	}
	a.Unit, a.Limit, a.Confidence = "seconds", o.After.Seconds(), v.loss.confidence()
	a.Evidence = v.evidence(n, at)
	life.lastWill.show(a)
	if life.silent {
		a.Summary = fmt.Sprintf("%s is silent: SYNs stay unanswered and nothing is acknowledged", n.name())
		a.Why = fmt.Sprintf("%d SYNs without answer within %s (fires at %d), and no sign of the node meanwhile",
			within(&n.syns, at, o.Within), inSeconds(o.Within), o.Syns)
	} else {
		a.Summary = fmt.Sprintf("%s refuses connections since %s: the process is gone", n.name(), inSeconds(since))
		a.Why = fmt.Sprintf("%s answered by RST and none accepted for %s (fires after %s)", plural(life.refused, "SYN"), inSeconds(since), inSeconds(o.After))
	}
	if life.lastWill.n > 0 {
		a.Summary += fmt.Sprintf("; %s in flight when it went", plural(life.lastWill.n, "call"))
	}
	l.remembered(d.name(), n, a)
}

// isSilent reports whether a node's machine seems to be away: a full accept
// queue leaves SYNs unanswered as well, but its kernel goes on to acknowledge
// what comes on connections that stand.
func (nodeDown) isSilent(v *view, n *node, at capture.Time) bool {
	o := &v.o.NodeDown
	if n.opened == 0 || within(&n.syns, at, o.Within) < o.Syns {
		return false
	}
	if at.Sub(max(n.lastAnswer, n.lastOpened)) < o.Within {
		return false
	}
	return !v.host.of(n, at) && within(&n.resent, at, o.Within) > 0
}

// show puts casualties in evidence.
func (k *casualties) show(a *Alert) {
	a.Evidence.Calls = append(a.Evidence.Calls, k.calls...)
	clients := make(tally)
	for _, w := range k.clients {
		clients[w.client] += w.n
	}
	a.Evidence.Clients = clients.list()
	a.Evidence.InFlight = max(a.Evidence.InFlight, k.n)
}

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
	a := l.raise(at, incidentKey{detector: d.name(), node: n.id}, n, Info, away.Seconds())
	if a == nil {
		return
	}
	a.Unit, a.Limit, a.Confidence = "seconds", float64(v.o.NodeRestarted.Calls), v.loss.confidence()
	a.Evidence = v.evidence(n, at)
	life.lastWill.show(a)
	a.Summary = fmt.Sprintf("%s answers again after %s; %s were in flight when it went", n.name(), inSeconds(away), plural(life.lastWill.n, "call"))
	a.Why = fmt.Sprintf("connections were refused and are accepted again (told after NodeDown, or from %d calls cut off on)", v.o.NodeRestarted.Calls)
	l.remembered(d.name(), n, a)
}
