package advise

import "stallwatch/detect"

// Leg is what a capture of both sides of a reverse proxy shows.
type Leg uint8

// What there is to know. A node goes on computing what its proxy gave up.
const (
	LegUnknown Leg    = iota
	NodeHangs         // the node leg: calls hang there, and the proxy waits for them
	NodeGoesOn        // the node leg: the proxy gave up calls that the node still computes
	ProxyWaits        // the front leg: what hangs waits for the node behind
	ProxyLeaks        // the front leg: nothing hangs behind, the proxy itself holds sockets or calls
	numLegs    = iota // of them
)

// LegOf reads the evidence of an alert.
func LegOf(l *detect.Leg) Leg {
	switch {
	case l.Side == detect.NodeLeg && l.GaveUp > 0:
		return NodeGoesOn
	case l.Side == detect.NodeLeg:
		return NodeHangs
	case l.Side == detect.FrontLeg && l.Paired > 0:
		return ProxyWaits
	case l.Side == detect.FrontLeg:
		return ProxyLeaks
	}
	return LegUnknown
}

// about are the alerts whose cure depends on the leg.
var about = map[string]bool{"CallStalled": true, "NodeUnresponsive": true, "CloseWaitBuildup": true, "DescriptorExhaustion": true}

var legCures = [numLegs]string{
	NodeHangs: "The node's leg: bound how many calls the proxy passes on at once (HAProxy: maxconn on the server line; nginx: max_conns in the upstream), so that what hangs queues in the proxy and not in the node.",
	NodeGoesOn: "The node's leg: the proxy's time-out is shorter than the node's work, so it answers by itself while the node computes on, and every repetition adds a call. " +
		"Refuse the command at the proxy; let the proxy wait longer than the node works (HAProxy: timeout server; nginx: proxy_read_timeout), and bound what it passes on (HAProxy: maxconn; nginx: max_conns): it does not count what it gave up.",
	ProxyWaits: "The front leg: the proxy keeps sockets of clients that left because it waits for the node behind. HAProxy: option abortonclose and a short timeout client-fin; then cure the node.",
	ProxyLeaks: "The front leg: nothing hangs behind the proxy, it is the proxy that does not close. Reload or restart it, and look at its own time-outs for clients (HAProxy: timeout client, timeout client-fin; nginx: keepalive_timeout, send_timeout).",
}

// LegCure is what to do about an alert, by the leg it stands on; "" if that
// says nothing.
func LegCure(alert string, l Leg) string {
	if !about[alert] || l >= numLegs {
		return ""
	}
	return legCures[l]
}

// legSection is the cure as advice.
func legSection(p *plan) []Section {
	s := LegCure(p.in.Alert, p.in.Leg)
	if s == "" {
		return nil
	}
	return []Section{{ID: "leg", Title: "The leg that leaks, as both sides of the proxy show it", Parts: []Part{{Note, s + "\n"}},
		Cost: "Costs waiting clients at the proxy instead of descriptors at the node."}}
}
