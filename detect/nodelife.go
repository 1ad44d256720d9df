package detect

import (
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
	back     capture.Time // when it came back; zero: it never did
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
		if w := &k.clients[i]; w.client.owns(client) {
			w.client = w.client.with(ClientOf(client))
			w.n++
			return
		}
	}
	if len(k.clients) < maxDoers {
		k.clients = append(k.clients, doer{client: ClientOf(client), n: 1})
	}
}

// died notes a call that ends without an answer because the server's end of
// its connection went.
func (v *view) died(i int32, ev *httpreassembly.Event) {
	switch ev.Exchange.Outcome {
	case httpreassembly.ServerClosed, httpreassembly.ServerReset, httpreassembly.ClientGone:
		c := v.calls.at(i)
		c.node.life.cut.add(v.callRef(i, ev.At), c.client(), ev.At)
	}
}

// refused folds a SYN that was answered by RST: the process is gone. What it
// had in flight is over, the calls of reset connections with it.
func (v *view) refused(ev *httpreassembly.Event) {
	n := v.knockedInVain(ev)
	if n == v.others || n.opened == 0 && !n.doorstep {
		return // never seen at work: a scan of a machine without a node
	}
	n.shut.away(ev.Flow.Client.Addr(), ev.At)
	if n.life.refused++; n.life.down == 0 {
		v.fall(n, ev.At, false)
	}
	n.life.silent = false
	v.buryIfGone(n, ev.At)
}

// buryIfGone buries a node that refuses connections, once its process is gone
// for certain: its kernel has closed the server's end of every connection. A
// firewall refuses with RST as well, and so does a node that drains before it
// ends; both go on with the calls that they have.
func (v *view) buryIfGone(n *node, at capture.Time) {
	if n.live-n.serverClosed-n.phases[opening] <= 0 {
		v.bury(n, at)
	}
}

// fall notes that a node is gone.
func (v *view) fall(n *node, at capture.Time, silent bool) {
	life := &n.life
	life.down, life.silent, life.told = at, silent, false
	if !silent {
		life.refused = 1
	}
	life.settleWill()
}

// settleWill takes what was cut off shortly before the node went, or since,
// for what it had in flight: its listening socket may close before the others.
func (l *nodeLife) settleWill() {
	l.lastWill = casualties{}
	if l.cut.last != 0 && l.down.Sub(l.cut.last) <= 2*cutSpan {
		l.lastWill = l.cut
	}
}

// bury ends every call of a node whose process is gone, and tells each for the
// last time: no packet will, since a reset client's socket is gone already.
func (v *view) bury(n *node, at capture.Time) {
	for i := range n.cells {
		c := &n.cells[i]
		for _, k := range v.appendList(v.appendList(nil, &c.list), &c.doubted) {
			ci := v.calls.at(k).conn
			n.life.cut.add(v.callRef(k, at), v.calls.at(k).client(), at)
			v.overUnseen(k, at)
			v.dropIfPlain(ci)
		}
	}
}

// overUnseen ends a call whose end no packet shows, and tells it for the last
// time.
func (v *view) overUnseen(i int32, at capture.Time) {
	f := v.pending(new(Pending), i, at, true)
	f.Pending.Over = true
	v.buried = append(v.buried, f)
	v.endCall(i)
}

// lastWords appends what overUnseen has to tell.
func (v *view) lastWords(dst []Finding) []Finding {
	if len(v.buried) > 0 { // rare
		dst = append(dst, v.buried...)
		v.buried = nil
	}
	return dst
}

// comesBack notes that a node answers a SYN.
func (v *view) comesBack(n *node, at capture.Time) {
	life := &n.life
	if life.down == 0 {
		return
	}
	if life.told && !life.silent {
		v.bury(n, at) // whatever hung was the former process's
	}
	life.settleWill()
	life.cut = casualties{}
	life.away, life.back = life.down, at
	life.notable = life.told || life.lastWill.n >= v.o.NodeRestarted.Calls
	life.down, life.refused = 0, 0
}

// show puts casualties in evidence.
func (k *casualties) show(a *Alert) {
	a.Evidence.Calls = append(a.Evidence.Calls, k.calls...)
	clients := make(tally)
	for _, w := range k.clients {
		clients.count(w.client, w.n)
	}
	a.Evidence.Clients = clients.list()
	a.Evidence.InFlight = max(a.Evidence.InFlight, k.n)
}
