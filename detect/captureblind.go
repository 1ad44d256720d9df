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
	encrypted int // TLS where HTTP is expected

	begun   capture.Time // of the counts
	arrived int64        // host.arrived when anything was last seen of the node
	blind   bool         // as of the last evaluation
}

// sightSpan is how long the counts go back: at most twice as long.
const sightSpan = 60 * second

// side is the end of a connection of which no packet was captured when it
// opened. What is missing of it was not lost: nobody looked.
type side uint8

const (
	noSide side = iota
	serversSide
	clientsSide
)

// sends reports whether what goes in dir comes from the side.
func (s side) sends(dir capture.Dir) bool {
	return s == serversSide && dir == capture.ToClient || s == clientsSide && dir == capture.ToServer
}

// opened counts a connection and returns which side of it is not seen.
func (s *sight) opened(ev *httpreassembly.Event) side {
	if ev.At.Sub(s.begun) > sightSpan {
		s.begun = ev.At
		s.whole, s.noServer, s.noClient, s.encrypted = s.whole/2, s.noServer/2, s.noClient/2, s.encrypted/2
	}
	switch first := capture.Time(ev.Conn); {
	case ev.MidStream && ev.At > first: // the SYN was seen
		s.noServer++
		return serversSide
	case ev.MidStream:
	case ev.At == first:
		s.noClient++
		return clientsSide
	default:
		s.whole++
	}
	return noSide
}

// captureBlind fires when the monitor looks at the wrong thing: one direction
// only, or what it cannot read, or an interface that the traffic does not use.
// Nothing else that the wire says of the node is worth much then, and what the
// kernel says is all the more.
//
// Whoever wants to be unseen may try to make the monitor believe that it is
// blind: by a flood of TLS hellos to a node that speaks HTTP, or by SYNs in a
// form that the kernel takes and the decoder does not. So where answers, or
// requests, are read lately, nobody is blind for them, whatever else comes.
type captureBlind struct{}

func (captureBlind) name() string { return "CaptureBlind" }

func (d captureBlind) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	value, cause, cure := d.look(v, n, at)
	if n.sight.blind = value > 0; !n.sight.blind {
		return
	}
	o := &v.o.CaptureBlind
	a := v.raise(l, n, n.incident(d), Warning, measured{float64(value), float64(o.Connections), "connections"}, at)
	if a == nil {
		return
	}
	a.Confidence = 1 // it is about the capture itself
	a.Summary = fmt.Sprintf("stallwatch is blind for %s: %s; %s", n.name(), cause, cure)
	s := &n.sight
	a.Why = fmt.Sprintf("of its connections %d were seen from both ends, %d without the node, %d without the client, %d were unreadable, and %d or more in its kernel's table never seen (fires at %d and nine of ten)",
		s.whole, s.noServer, s.noClient, s.encrypted, d.unseen(v, n, at), o.Connections)
	l.remember(n.incident(d), a)
}

// look returns how many connections of a node could not be understood lately,
// why, and what the operator can do; 0: it sees well.
func (d captureBlind) look(v *view, n *node, at capture.Time) (value int, cause, cure string) {
	o, s := &v.o.CaptureBlind, &n.sight
	mostly := func(part, rest int) bool { return part >= o.Connections && part >= 9*rest }
	read := n.lastAnswer != 0 && at.Sub(n.lastAnswer) <= sightSpan
	asked := within(&n.requests, at, synWindow*second) > 0
	switch {
	case mostly(s.noServer, s.whole) && !read:
		return s.noServer, "only what clients send is captured, and nothing that it answers",
			"capture both directions: the answers leave by another interface (-i any has all of them), or a filter or mirror port drops them"
	case mostly(s.noClient, s.whole) && !asked:
		return s.noClient, "only what it sends is captured, and nothing that clients ask",
			"capture both directions: the requests come by another interface (-i any has all of them), or a filter or mirror port drops them"
	case mostly(s.encrypted, s.whole+s.noServer+s.noClient-s.encrypted) && !read:
		return s.encrypted, "its clients speak TLS, which cannot be read",
			"capture where it is plain: the leg between the proxy that ends TLS and the node (-i lo if they share a machine, and the node's own port)"
	}
	if value = d.unseen(v, n, at); value < o.Connections {
		return 0, "", ""
	}
	return value, "its kernel has new connections of which no packet was captured",
		"capture on the interface that they come by (-i any has all of them) and on the port that the node listens on"
}

// unseen counts connections that the kernel has got since anything was seen
// of the node: at least so many, since those that came and went between two
// samples are in none.
func (captureBlind) unseen(v *view, n *node, at capture.Time) int {
	if !v.host.of(n, at) || at.Sub(n.lastEvent) < v.o.CaptureBlind.Silent && n.lastEvent != 0 {
		n.sight.arrived = v.host.arrived
		return 0
	}
	return int(v.host.arrived - n.sight.arrived)
}
