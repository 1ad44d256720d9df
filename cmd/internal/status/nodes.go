package status

import (
	"slices"
	"strings"
	"time"

	"stallwatch/capture"
	"stallwatch/detect"
)

// idleAfter is how long nobody may call before a node is idle: longer than
// what checks and wallets leave between two calls.
const idleAfter = 5 * time.Minute

func (s *Status) nodes(d *Document, c *copied, ahead time.Duration) {
	for i := range c.nodes {
		d.Nodes = append(d.Nodes, node(d, c, &c.nodes[i], ahead))
	}
	slices.SortStableFunc(d.Nodes, func(a, b *Node) int { return b.rank - a.rank })
	d.MoreNodes = max(0, len(d.Nodes)-maxNodes)
	d.Nodes = d.Nodes[:min(len(d.Nodes), maxNodes)]
}

func node(d *Document, c *copied, n *detect.Node, ahead time.Duration) *Node {
	k := &Node{Name: serverName(n.Server), Connections: n.Connections, InFlight: n.InFlight, Doubted: n.Doubted, CloseWait: n.CloseWait}
	if n.InFlight > n.Doubted {
		age := (n.Oldest + ahead).Seconds()
		k.Oldest = &age
	}
	if n.Host {
		k.CloseWaitHost, k.Unaccepted, k.FDs, k.FDLimit = known(n.CloseWaitKernel), known(n.Unaccepted), known(n.FDs), known(n.FDLimit)
	}
	if n.HasETA {
		left := func(eta time.Duration) *float64 {
			s := max(eta-ahead, 0).Seconds()
			return &s
		}
		k.ETA, k.ETALow = left(n.ETA), left(n.ETALow)
		if n.ETAHigh > 0 {
			k.ETAHigh = left(n.ETAHigh)
		}
	}
	curve, drawn := c.curves[n.Server]
	if drawn {
		if r, ok := curve.pace.perSecond(); ok {
			k.CallsPerSecond = &r
		}
		k.History = curve.history.document()
	}
	k.State, k.Sentence = calm(n, k, curve.pace.since, capture.Time(d.Time))
	k.alarm(d, c, n)
	k.rank = rank(k.State)
	return k
}

func known(n int) *int {
	if n < 0 {
		return nil
	}
	return &n
}

// calm is the state of a node of which no alert fires.
func calm(n *detect.Node, k *Node, since, now capture.Time) (state, words string) {
	waits := ""
	if k.Oldest != nil {
		waits = plural(n.InFlight-n.Doubted, "call") + " in flight, the oldest for " + seconds(*k.Oldest)
	}
	switch quiet := now.Sub(since); {
	case n.Calls == 0:
		return Idle, "No call seen yet; " + plural(n.Connections, "connection") + " open."
	case waits != "" && k.CallsPerSecond != nil && *k.CallsPerSecond > 0:
		return Fine, digits(*k.CallsPerSecond) + " calls/s; " + waits + "."
	case waits != "":
		return Fine, sentence(waits)
	case since != 0 && quiet >= idleAfter:
		return Idle, "No call for " + span(quiet) + "; none in flight."
	case k.CallsPerSecond != nil && *k.CallsPerSecond > 0:
		return Fine, digits(*k.CallsPerSecond) + " calls/s; none in flight."
	}
	return Fine, "No call in flight."
}

// alarm makes the state that of the worst incident that fires on the node.
func (k *Node) alarm(d *Document, c *copied, n *detect.Node) {
	var first *detect.Alert
	for _, a := range c.firing {
		own := a.Server == n.Server && (n.Server.IsValid() || strings.HasPrefix(a.Subject, otherServers))
		if own && a.Severity >= detect.Warning && (first == nil || worst(a, first) < 0) {
			first = a
		}
	}
	switch h := &c.host; {
	case first != nil:
		since, told := Instant(first.Since), Instant(first.At)
		k.State, k.Alert, k.Sentence, k.Since, k.Told = Warning, first.Name, first.Summary, &since, &told
		k.AlertID = d.ids[first]
		if first.Severity == detect.Critical {
			k.State = Critical
		}
	case h.seen && h.problem != "" && n.Server == c.hostNode:
		since := instant(h.since)
		k.State, k.Sentence, k.Since = Warning, sentence("its process went out of sight: "+h.problem), &since
	}
}
