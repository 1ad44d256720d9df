package detect

import (
	"fmt"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// sight is how much of a node's traffic can be understood.
type sight struct {
	whole     int // connections whose handshake was seen from both ends
	noServer  int // the client went on although no answer to its SYN was captured
	noClient  int // the server answered a SYN that was not captured
	encrypted int // TLS or HTTP/2 where HTTP/1 is expected

	begun       capture.Time // of the counts
	established int          // in the kernel's table, at the first sample since anything was seen
	sampled     bool         // established is valid
}

// sightSpan is how long the counts go back: at most twice as long.
const sightSpan = 60 * second

func (s *sight) opened(ev *httpreassembly.Event) {
	if ev.At.Sub(s.begun) > sightSpan {
		*s = sight{begun: ev.At, whole: s.whole / 2, noServer: s.noServer / 2, noClient: s.noClient / 2, encrypted: s.encrypted / 2}
	}
	s.sampled = false
	switch first := capture.Time(ev.Conn); {
	case ev.MidStream && ev.At > first: // the SYN was seen
		s.noServer++
	case ev.MidStream:
	case ev.At == first:
		s.noClient++
	default:
		s.whole++
	}
}

// captureBlind fires when the monitor looks at the wrong thing: one direction
// only, or what it cannot read, or an interface that the traffic does not use.
// Nothing else that is said of the node is worth much then.
type captureBlind struct{}

func (captureBlind) name() string { return "CaptureBlind" }

func (d captureBlind) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.CaptureBlind
	s := &n.sight
	value, what := 0, ""
	mostly := func(part, rest int) bool { return part >= o.Connections && part >= 9*rest }
	switch {
	case mostly(s.noServer, s.whole):
		value, what = s.noServer, "only the clients' side of its connections is captured: answers are not seen"
	case mostly(s.noClient, s.whole):
		value, what = s.noClient, "only the node's side of its connections is captured: requests are not seen"
	case mostly(s.encrypted, s.whole+s.noServer+s.noClient-s.encrypted):
		value, what = s.encrypted, "its clients speak TLS or HTTP/2, which cannot be read here: watch the leg behind the proxy"
	default:
		if value = d.unseen(v, n, at); value < o.Connections {
			return
		}
		what = "its kernel has new connections of which no packet was captured: is it the right interface?"
	}
	a := v.raise(l, n, n.incident(d), Warning, measured{float64(value), float64(o.Connections), "connections"}, at)
	if a == nil {
		return
	}
	a.Confidence = 1 // it is about the capture itself
	a.Summary = fmt.Sprintf("stallwatch is blind for %s: %s", n.name(), what)
	a.Why = fmt.Sprintf("of its connections %d were seen from both ends, %d without the node, %d without the client, %d were unreadable (fires at %d and nine of ten)",
		s.whole, s.noServer, s.noClient, s.encrypted, o.Connections)
	l.remember(n.incident(d), a)
}

// unseen counts connections that the kernel has got since anything was seen
// of the node.
func (d captureBlind) unseen(v *view, n *node, at capture.Time) int {
	if !v.host.of(n, at) || at.Sub(n.lastEvent) < v.o.CaptureBlind.Silent && n.lastEvent != 0 {
		n.sight.sampled = false
		return 0
	}
	now := v.host.sample.Sockets[capture.Established] + v.host.sample.Sockets[capture.CloseWait]
	if !n.sight.sampled {
		n.sight.sampled, n.sight.established = true, now
	}
	return now - n.sight.established
}
