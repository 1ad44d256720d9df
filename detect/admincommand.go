package detect

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"stallwatch/capture"
)

// adminCommand fires when a stranger asks for what is the operator's: critical
// when the node did it, news when it refused. Pollers on the node's own machine
// and in trusted networks are normal, and so is a probe without the arguments
// that the command needs: that is how checks see whether a command is closed.
type adminCommand struct{}

func (adminCommand) name() string { return "AdminCommand" }

// settleAdmin is how long a refused command waits to be judged: a check asks
// for all of them in a row, and shows by that what it is.
const settleAdmin = 500 * time.Millisecond

func (d adminCommand) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := Rate{Within: v.o.AdminCommand.Within}
	k, sev := adminDone, Critical
	count := n.lately(k, at, &o)
	if count == 0 {
		k, sev = adminRefused, Info
		if count = n.lately(k, at, &o); count == 0 || at.Sub(n.deeds[k].last) < settleAdmin || n.deeds[k].checks(n, at) {
			return
		}
	}
	a := v.raise(l, n, n.incident(d), sev, measured{float64(count), 0, "calls"}, at)
	if a == nil {
		return
	}
	deeds := n.deeds[k]
	if k == adminRefused {
		deeds.doers = slices.DeleteFunc(deeds.doers, func(w doer) bool { return n.probed(w.client.addr) })
		deeds.calls = slices.DeleteFunc(deeds.calls, func(c CallRef) bool { return n.probed(c.Client.Addr()) })
	}
	deeds.blame(a, at)
	a.Command = deeds.command.Name
	what := "were refused"
	if k == adminDone {
		what = "were carried out"
	}
	a.Summary = fmt.Sprintf("%s of strangers for the operator's commands on %s %s, the last for %s", plural(count, "call"), n.name(), what, a.Command)
	a.Why = fmt.Sprintf("%d within %s (fires at 1) from outside the trusted networks, arguments and all", count, inSeconds(o.Within))
	l.remember(n.incident(d), a)
}

// maxProbers bounds the checks that a node remembers.
const maxProbers = 16

// probe notes a client that asks as a check does.
func (n *node) probe(client netip.Addr) {
	if n.probed(client) {
		return
	}
	if len(n.probers) == maxProbers {
		n.probers = append(n.probers[:0], n.probers[1:]...)
	}
	n.probers = append(n.probers, ClientOf(client))
}

func (n *node) probed(client netip.Addr) bool {
	return slices.ContainsFunc(n.probers, func(p Client) bool { return p.owns(client) })
}

// checks reports whether all who were refused probe as checks do.
func (d *deeds) checks(n *node, at capture.Time) bool {
	for _, w := range d.doers {
		if at.Sub(w.last) < synWindow*second && !n.probed(w.client.addr) {
			return false
		}
	}
	return true
}

// isRPCError reports whether an answer whose content ends like that is an
// error of JSON-RPC 2.0, which comes with status 200 (its section 5.1): so do
// nodes refuse what they do not offer. Only the end of an answer is kept, and
// the client chooses its id, which stands there too: a string, in which a
// quote is escaped. Hence what counts is a member's name, or the end of the
// message where geth has one that fills all that is kept.
func isRPCError(tail []byte) bool {
	tail = bytes.TrimRight(tail, " \t\r\n")
	for _, code := range [...]string{`"code":-3`, `"code": -3`} {
		if bytes.Contains(tail, []byte(code)) {
			return true
		}
	}
	return bytes.HasSuffix(tail, []byte(` does not exist/is not available"}}`))
}
