package detect

import (
	"fmt"
	"strconv"
	"strings"
)

// words adds to a Why what the legs say about calls that hang.
func (l *Leg) words(inFlight int) string {
	switch l.Side {
	case FrontLeg:
		if l.Paired == 0 {
			return fmt.Sprintf("; %s is a proxy in front of %s, and none of its calls in flight waits there: it is the proxy that hangs", l.Proxy, l.Node)
		}
		return fmt.Sprintf("; %s is a proxy in front of %s, where %s in flight wait", l.Proxy, l.Node, plural(l.Paired, "more call"))
	case NodeLeg:
		if l.Paired == 0 {
			return fmt.Sprintf("; the proxy %s stands in front of it, but none of its calls in flight came that way: they pass the proxy by", l.Proxy)
		}
		var s strings.Builder
		fmt.Fprintf(&s, "; behind the proxy %s, which passed on %s in flight", l.Proxy, partOf(l.Paired, inFlight, "call"))
		if l.Queued > 0 {
			fmt.Fprintf(&s, "; %d that it has not passed on are over their budget too", l.Queued)
		}
		if l.Left > 0 {
			fmt.Fprintf(&s, "; the clients of %d have left the proxy, and the node goes on computing", l.Left)
		}
		if l.GaveUp > 0 {
			fmt.Fprintf(&s, "; the proxy answered %d by itself (%s after %s), and the node goes on computing: the proxy's time-out is shorter than the node's work",
				l.GaveUp, strconv.Itoa(l.Status), inSeconds(l.Patience))
		}
		return s.String()
	}
	return ""
}

// partOf counts some of a node's things.
func partOf(some, all int, thing string) string {
	if some == all {
		return "all of its " + plural(all, thing)
	}
	return fmt.Sprintf("%d of its %s", some, plural(all, thing))
}

// prefix names the leg that a summary is about.
func (l *Leg) prefix() string {
	switch {
	case l.Side == FrontLeg:
		return "front leg, the proxy: "
	case l.Side == NodeLeg && l.Paired > 0:
		return "node leg: "
	}
	return ""
}

// holdsCloseWait says which leg leaks: who holds sockets half closed towards
// whom. waiting is how many of them are held by a call in flight.
func (l *Leg) holdsCloseWait(name string, sockets, toProxy, waiting int) string {
	count := plural(sockets, "socket")
	switch {
	case l.Side == FrontLeg:
		s := fmt.Sprintf("front leg: the proxy %s holds %s in CLOSE_WAIT to its clients", name, count)
		if waiting == 0 {
			s += ", none of them for a call that hangs behind it: the proxy itself does not close"
		}
		return s
	case l.Side == NodeLeg && 2*toProxy > sockets:
		return fmt.Sprintf("node leg: the node %s holds %s in CLOSE_WAIT to the proxy %s", name, count, l.Proxy)
	}
	return fmt.Sprintf("%s half closed by their clients wait on %s for the node to close them", count, name)
}

// toProxy counts the half-closed connections of a node whose other end is a
// proxy in front of it.
func (v *view) toProxy(n *node) int {
	count := 0
	for ci := n.cw.head; ci != none; ci = v.closeWaitOf(ci).links.next {
		for _, r := range v.legs.relays {
			if r.back == n && r.holds() && r.proxy == v.conns.at(ci).client.Addr() {
				count++
				break
			}
		}
	}
	return count
}

// waitBehind counts the half-closed connections of a proxy whose calls wait
// for a node behind it.
func (v *view) waitBehind(n *node) int {
	count := 0
	for ci := n.cw.head; ci != none; ci = v.closeWaitOf(ci).links.next {
		if k := v.conns.at(ci).calls.head; k != none && v.echoOf(v.calls.at(k)) != nil {
			count++
		}
	}
	return count
}
