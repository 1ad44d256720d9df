package detect

import (
	"fmt"

	"stallwatch/capture"
	"stallwatch/rules"
)

// nodeUnresponsive fires when calls wait and the node says nothing at all to
// anybody: the workers are all taken, the process is stopped, the machine is
// gone. Only calls that came after its last answer count: one that hangs while
// others were served is its command's matter.
type nodeUnresponsive struct{}

func (nodeUnresponsive) name() string { return "NodeUnresponsive" }

func (d nodeUnresponsive) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.Unresponsive
	if n.waiting() < o.Calls || n.lastAnswer != 0 && at.Sub(n.lastAnswer) < o.Silent || !n.server.IsValid() {
		return
	}
	waiting, canary, heavy := 0, 0, 0
	before := at.Add(-o.Silent)
	front := v.legs.isFront(n)
	for i := range n.cells {
		c := &n.cells[i]
		if c.list.n == 0 || slowByNature(c.command) {
			continue // proof of work takes its time on a node that is well
		}
		for k := c.list.head; k != none && v.calls.at(k).since <= before; k = v.calls.at(k).links[byCell].next {
			call := v.calls.at(k)
			if call.since <= n.lastAnswer || front && v.echoOf(call) != nil {
				continue // others were answered while it waited, or it waits for a node behind
			}
			if !v.counts(call) || call.behind {
				continue // long polls, and nobody else asks; or it waits for its own connection
			}
			waiting++
			if c.command.Class == rules.ClassHeavy && call.over&overCritical == 0 {
				heavy++
			}
			if c.command.Canary {
				canary++
			}
		}
	}
	if waiting < o.Calls || waiting == heavy && n.waiting() < v.o.Workers {
		return // heavy calls within their time, and nobody else asks
	}
	silent := at.Sub(v.calls.at(v.oldest(n)).since)
	if n.lastAnswer != 0 {
		silent = at.Sub(n.lastAnswer)
	}
	a := v.raise(l, n, n.incident(d), Critical, measured{silent.Seconds(), o.Silent.Seconds(), "seconds"}, at)
	if a == nil {
		return
	}
	calls := v.appendCalls(nil, n, everyCell)
	v.sortByAge(calls)
	v.addCalls(a, calls, none, at)
	a.Summary = fmt.Sprintf("%s has answered nobody for %s while %s wait", n.name(), inSeconds(silent), plural(waiting, "call"))
	a.Why = fmt.Sprintf("%d calls wait for %s or longer (fires at %d), %d of them of cheap commands, and no answer began or ended since they came",
		waiting, inSeconds(o.Silent), o.Calls, canary)
	a.Why += n.canaryWords(at) + a.Evidence.Leg.words(n.inFlight)
	l.remember(n.incident(d), a)
}

// canaryWords says when a cheap command was last answered well.
func (n *node) canaryWords(at capture.Time) string {
	var last *cell
	for i := range n.cells {
		if c := &n.cells[i]; c.command != nil && c.command.Canary && c.succeeded != 0 && (last == nil || c.succeeded > last.succeeded) {
			last = c
		}
	}
	if last == nil {
		return ""
	}
	return fmt.Sprintf("; %s was last answered %s ago", last.command.Name, inSeconds(at.Sub(last.succeeded)))
}
