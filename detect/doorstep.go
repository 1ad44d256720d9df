package detect

import (
	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// A monitor is started, as a rule, when a node is already in trouble, and then
// there may be nobody at work to be seen: SYNs go unanswered, or are refused,
// and nothing else comes. On a port that the operator watches a server is a
// node then if enough clients knock in vain: one alone may scan for machines
// that are not there, or be kept out by a firewall.

// doorstep is a server that was never seen at work, and who knocks there.
type doorstep struct {
	server  capture.Endpoint
	clients knockers
	last    capture.Time
}

// maxDoorsteps bounds them: whoever invents servers puts those in place of
// others, and hides one that is turned down by thousands only as long as he
// is faster than they are.
const maxDoorsteps = 64

// knockedInVain returns the node of a server whose SYN was not answered, or by
// RST, and which makes it one once enough clients met that; v.others: it is
// none.
func (v *view) knockedInVain(ev *httpreassembly.Event) *node {
	n := v.find(ev.Flow.Server)
	if n != v.others || len(v.o.Ports) == 0 {
		return n
	}
	key := v.nodeKey(ev.Flow.Server)
	at, oldest := -1, 0
	for i := range v.doorsteps {
		if v.doorsteps[i].server == key {
			at = i
		} else if v.doorsteps[i].last < v.doorsteps[oldest].last {
			oldest = i
		}
	}
	switch {
	case at >= 0:
	case len(v.doorsteps) < maxDoorsteps:
		at = len(v.doorsteps)
		v.doorsteps = append(v.doorsteps, doorstep{server: key})
	default:
		at = oldest
		v.doorsteps[at] = doorstep{server: key, clients: v.doorsteps[at].clients[:0]}
	}
	d := &v.doorsteps[at]
	d.last = ev.At
	d.clients.away(ev.Flow.Client.Addr(), ev.At)
	if clients, _, _, _ := d.clients.since(ev.At.Add(-v.o.AcceptQueue.Within)); clients < doorstepClients {
		return n
	}
	if n = v.findOrAdd(ev.Flow.Server, ev.At); n != v.others {
		n.doorstep = true
		v.doorsteps[at] = v.doorsteps[len(v.doorsteps)-1]
		v.doorsteps[len(v.doorsteps)-1] = doorstep{}
		v.doorsteps = v.doorsteps[:len(v.doorsteps)-1]
	}
	return n
}

// doorstepClients is how many have to knock.
const doorstepClients = 3
