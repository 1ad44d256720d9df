package detect

import (
	"net/netip"
	"time"

	"stallwatch/capture"
)

// knockers are the clients whose SYNs a node lately left unanswered, or
// answered by RST. Who they are tells two things apart that look alike in a
// count: a node that turns everybody away, and a firewall that keeps out those
// whom the operator does not want. A capture sees what comes before the
// firewall, and whoever is kept out knocks on for hours.
//
// Bounded: maxDoers clients, IPv6 by /64; the one that was quiet longest makes
// room.
type knockers []knocker

type knocker struct {
	client      netip.Prefix
	first, last capture.Time // turned away; first of those that come without a pause of knockPause
	let         capture.Time // it was let in; zero: never since first
}

const (
	knockPause = synWindow * second
	// letInLately is for how long somebody else's connection says that the node
	// takes new ones: one client alone may be all that comes in a quiet hour.
	letInLately = 10 * time.Minute
)

// away notes a client that was turned away.
func (k *knockers) away(a netip.Addr, at capture.Time) {
	client, oldest := clientsOf(a), 0
	for i := range *k {
		w := &(*k)[i]
		if w.client == client {
			if at.Sub(w.last) > knockPause {
				w.first, w.let = at, 0
			}
			w.last = at
			return
		}
		if w.last < (*k)[oldest].last {
			oldest = i
		}
	}
	w := knocker{client: client, first: at, last: at}
	if len(*k) < maxDoers {
		*k = append(*k, w)
	} else {
		(*k)[oldest] = w
	}
}

// letIn notes a client whose SYN was answered.
func (k knockers) letIn(a netip.Addr, at capture.Time) {
	for i := range k {
		if k[i].client.Contains(a) {
			k[i].let = at
		}
	}
}

// since sums up those turned away since before: how many, the only one, when
// it began, and whether one of them was let in as well.
func (k knockers) since(before capture.Time) (n int, only netip.Prefix, first capture.Time, let bool) {
	for i := range k {
		w := &k[i]
		if w.last < before {
			continue
		}
		if n++; n == 1 || w.first < first {
			first = w.first
		}
		only = w.client
		let = let || w.let > w.first
	}
	return n, only, first, let
}

// openers are the last two clients that were let in, the later one first.
type openers [2]struct {
	client netip.Addr
	at     capture.Time
}

func (o *openers) note(a netip.Addr, at capture.Time) {
	if o[0].client != a {
		o[1] = o[0]
		o[0].client = a
	}
	o[0].at = at
}

// besides returns when somebody else was let in; zero: never.
func (o *openers) besides(p netip.Prefix) capture.Time {
	for i := range o {
		if o[i].at != 0 && !p.Contains(o[i].client) {
			return o[i].at
		}
	}
	return 0
}

// comesIn notes a client whose SYN a node answered.
func (n *node) comesIn(a netip.Addr, at capture.Time) {
	n.openers.note(a, at)
	n.unheard.letIn(a, at)
	n.shut.letIn(a, at)
}

// keptOut reports whether those whom a node turned away since before are one
// client alone, while others were let in not long ago.
func (n *node) keptOut(k knockers, before, at capture.Time) bool {
	clients, only, _, let := k.since(before)
	if clients != 1 || let {
		return false
	}
	other := n.openers.besides(only)
	return other != 0 && at.Sub(other) <= letInLately
}

// turnedAway counts the SYNs of the last d that a node left unanswered, less
// those that a firewall seems to have taken: of a client that is alone in
// being kept out none, and while others come in one for each client. A client
// that is turned away and let in by turns meets a queue, and all count.
func (n *node) turnedAway(at capture.Time, d time.Duration) int {
	total := within(&n.syns, at, d)
	if total == 0 {
		return 0
	}
	before := at.Add(-d - second)
	clients, _, first, let := n.unheard.since(before)
	switch {
	case n.keptOut(n.unheard, before, at):
		return 0
	case clients > 0 && !let && n.lastOpened > first:
		return min(total, clients)
	}
	return total
}
