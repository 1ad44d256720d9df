package detect

import (
	"fmt"
	"strings"

	"stallwatch/capture"
	"stallwatch/rules"
)

// holders names the commands whose calls hold the half-closed sockets of a
// node, most first, and puts the oldest calls and the clients in evidence.
func (v *view) holders(a *Alert, n *node, at capture.Time) string {
	clients := make(tally)
	held := make([]holding, len(n.cells))
	without := 0
	for ci := n.cw.head; ci != none; ci = v.closeWaitOf(ci).links.next {
		c := v.conns.at(ci)
		if c.calls.head == none {
			clients.add(c.client.Addr())
			without++
			continue
		}
		clients.add(v.calls.at(c.calls.head).client()) // who asked, not a proxy
		by := v.calls.at(c.calls.head).command()
		for by.Index >= len(held) {
			held = append(held, holding{})
		}
		held[by.Index].command = by
		held[by.Index].n++
		if len(a.Evidence.Calls) < MaxEvidence {
			a.Evidence.Calls = append(a.Evidence.Calls, v.callRef(c.calls.head, at))
		}
	}
	if n == v.host.node {
		for f := range v.seeds {
			clients.add(f.Client.Addr())
		}
	}
	clients.blame(a)
	return heldBy(held, without)
}

// holding is how many half-closed sockets the calls of a command hold.
type holding struct {
	command *rules.Command // valid iff n > 0
	n       int
}

// heldBy prints the three commands that hold most, and how many sockets no
// call holds. It empties held, which is by Command.Index.
func heldBy(held []holding, without int) string {
	var words []string
	for range 3 {
		most := -1
		for i, h := range held {
			if h.n > 0 && (most < 0 || h.n > held[most].n) {
				most = i
			}
		}
		if most < 0 {
			break
		}
		if len(words) == 0 {
			words = append(words, plural(held[most].n, "call")+" of "+held[most].command.Name)
		} else {
			words = append(words, fmt.Sprintf("%d of %s", held[most].n, held[most].command.Name))
		}
		held[most].n = 0
	}
	if without > 0 {
		words = append(words, fmt.Sprintf("%d without a call in flight", without))
	}
	return strings.Join(words, ", ")
}

// hoarders puts in evidence whose connections are stuck without a call: kept
// after one request, without any, or with a part of one.
func (v *view) hoarders(a *Alert, n *node, at capture.Time) {
	clients := make(tally)
	v.eachIn(n, idle, at.Add(-v.age(idle)), func(_ int32, c *conn) {
		if c.once() {
			clients.add(c.client.Addr())
		}
	})
	for p, since := range [numPhases]capture.Time{silent: at.Add(-silentAfter), sending: at.Add(-v.o.Descriptors.StuckAfter)} {
		if since == 0 {
			continue
		}
		v.eachIn(n, phase(p), since, func(_ int32, c *conn) { clients.add(c.client.Addr()) })
	}
	clients.blame(a)
}
