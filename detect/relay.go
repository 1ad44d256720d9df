package detect

import (
	"hash/maphash"
	"net/netip"
	"time"

	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// relay is a node that may be a proxy in front of another; see legs for what
// proves it.
type relay struct {
	front, back *node
	proxy       netip.Addr // the proxy's own address towards the node
	proofs      int
	against     int
	contents    [proofsNeeded]uint64 // that proved it, of pairs without a header
	different   int                  // of contents
	queued      int                  // calls over their warn budget that the proxy has not passed on, as of the last evaluation
	canary      bool                 // among them are cheap ones
}

// What proves a relay. Two monitors whose clocks drift meet within hop of each
// other again and again, each time with the same command.
const (
	proofsNeeded = 3
	againstShare = 4 // one in so many refutes it
	proofsKept   = 256
	hop          = 250 * time.Millisecond // a proxy on a busy machine takes no longer
	reordered    = 20 * time.Millisecond  // by which the workers of a proxy may mix up what came in order
)

// holds reports whether it is proven.
func (r *relay) holds() bool {
	return r != nil && r.proofs >= proofsNeeded && r.against*againstShare <= r.proofs && !r.front.gone && !r.back.gone
}

func (r *relay) proves() {
	r.proofs++
	r.age()
}

func (r *relay) refutes() {
	r.against++
	r.age()
}

// age lets the latest pairs count more than those of long ago. What held goes
// on to hold.
func (r *relay) age() {
	if r.proofs+r.against >= proofsKept {
		r.proofs, r.against = r.proofs/2, r.against/2
	}
}

// judge looks at a front leg that was answered after its node leg.
func (r *relay) judge(f *leg) {
	p := &f.passed
	if p.sole {
		f.node.legs.learn(p.whole.Sub(f.whole))
	}
	switch {
	case p.said: // it counted when it was passed on
	case !p.sole, p.status != f.status, f.answered.Sub(p.answered) > hop, p.whole.Sub(f.whole) > hop:
	case f.from.Addr() == p.from, f.from.Addr() == f.node.server.Addr(): // a client on the proxy's machine may well ask both
	case r.different < len(r.contents):
		for i := range r.different {
			if r.contents[i] == f.what {
				return
			}
		}
		r.contents[r.different] = f.what
		r.different++
		r.proves()
	default:
		r.proves()
	}
}

// learn takes notice of what a proxy took to pass a call on.
func (l *nodeLegs) learn(d time.Duration) {
	if d < hop {
		l.delay += (d - l.delay) / 8
	}
}

// near is within which time a proxy passes on what it does not queue.
func (l *nodeLegs) near() time.Duration { return 2*l.delay + reordered }

// relayOf finds or makes the relay of two nodes; nil: there is no room.
func (v *view) relayOf(front, back *node) *relay {
	g := &v.legs
	for _, r := range g.relays {
		if r.front == front && r.back == back {
			return r
		}
	}
	if len(g.relays) >= maxRelays && !g.forgetRelay() {
		return nil
	}
	r := &relay{front: front, back: back}
	g.relays = append(g.relays, r)
	return r
}

// forgetRelay makes room: the first that does not hold goes. Calls that were
// passed on through it keep it, unproven.
func (g *legs) forgetRelay() bool {
	for i, r := range g.relays {
		if !r.holds() {
			r.proofs, r.against = 0, 0
			g.relays = append(g.relays[:i], g.relays[i+1:]...)
			return true
		}
	}
	return false
}

// isFront reports whether a node is a proxy in front of another.
func (g *legs) isFront(n *node) bool {
	for _, r := range g.relays {
		if r.front == n && r.holds() {
			return true
		}
	}
	return false
}

// linked reports whether one of two nodes is a proxy in front of the other.
func (g *legs) linked(a, b *node) bool {
	for _, r := range g.relays {
		if (r.front == a && r.back == b || r.front == b && r.back == a) && r.holds() {
			return true
		}
	}
	return false
}

// moved puts one node in the place of another that it became one with.
func (g *legs) moved(into, from *node) {
	into.legs.front = into.legs.front || from.legs.front
	for i := range g.records.made {
		if r := g.records.at(i); r.node == from {
			r.node = into
		}
	}
	for _, r := range g.relays {
		if r.front == from {
			r.front = into
		}
		if r.back == from {
			r.back = into
		}
		if r.front == r.back {
			r.proofs = 0
		}
	}
}

// says is what the headers of a call on a node leg say about a front leg.
type says uint8

const (
	saysNothing says = iota
	saysHim          // it is the client's
	saysAnother
)

// names compares whom the headers of r name with the client of f. What the
// proxy passed through as it came is the client's own claim, and says nothing.
func (r *leg) names(f *leg) says {
	switch {
	case !r.named.IsValid(), r.named == f.named:
		return saysNothing
	case r.named.Addr() == f.from.Addr() && (r.named.Port() == 0 || r.named.Port() == f.from.Port()), r.named.Addr() == f.client && r.named.Port() == 0:
		return saysHim
	}
	return saysAnother
}

// namedBy returns whom a request's headers name last: whoever its sender says
// it comes from, the sender's own address passed over.
func namedBy(x *httpreassembly.Exchange) netip.AddrPort {
	if x.Peer == nil && len(x.ForwardedFor) == 0 && len(x.Forwarded) == 0 {
		return netip.AddrPort{}
	}
	a := x.Flow.Client.Addr()
	sender := [1]netip.Prefix{netip.PrefixFrom(a, a.BitLen())}
	return httpreassembly.RealClient(x, sender[:])
}

// contentOf is the fingerprint by which a request is paired.
func (g *legs) contentOf(x *httpreassembly.Exchange, verdict *rules.Verdict) uint64 {
	c := content{command: verdict.Command.Name, raw: verdict.Raw, shape: verdict.Shape, body: x.RequestBody, calls: verdict.Calls}
	if c.body == 0 {
		c.path = lastPart(x.Target)
	}
	return maphash.Comparable(g.seed, c)
}

// asks is a content asked of a node.
func (n *node) asks(what uint64) uint64 { return what ^ uint64(n.id)<<32 }

// lastPart is a fingerprint (FNV-1a) of what follows a target's last slash: a
// proxy that serves the node below a path of its own changes what is before.
func lastPart(target []byte) uint64 {
	h := uint64(14695981039346656037)
	for i := len(target) - 1; i >= 0 && target[i] != '/'; i-- {
		h = (h ^ uint64(target[i])) * 1099511628211
	}
	return h
}

// callConn is the connection of a record; none: it is not followed.
func (v *view) callConn(r *leg) int32 {
	return v.look(&httpreassembly.Event{Slot: r.slot, Conn: r.id.conn})
}

// clientBehind is the client of a call on a node leg as the front leg knows
// him: known is false if it is not paired, or nothing proves the proxy.
func clientBehind(r *leg) (client netip.Addr, known bool) {
	if r == nil || !r.via.holds() {
		return netip.Addr{}, false
	}
	return r.asker, true
}

// countsHere reports whether the end of an exchange is to be judged: not on
// the node leg of one whose client is still to be answered.
func (g *legs) countsHere(x *httpreassembly.Exchange) bool {
	r := g.find(x)
	return r == nil || r.front == none || !r.via.holds()
}
