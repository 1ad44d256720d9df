package detect

import (
	"fmt"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// synFlood fires when handshakes pile up that nobody completes: many of them,
// or few while SYNs come fast and from everywhere. Under SYN cookies the node
// keeps nothing of them; what suffers then are the honest clients' options,
// and the machine's processors. Without cookies a few hundred fill the
// kernel's table (sysctl net.ipv4.tcp_max_syn_backlog, or the backlog if it is
// less), and every other SYN is dropped.
//
// A rush of honest clients, who all come back at once after a restart, has as
// many SYNs from as many addresses, but each of them completes its handshake
// within a round trip.
type synFlood struct{}

func (synFlood) name() string { return "SynFlood" }

func (d synFlood) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.SynFlood
	knocks := within(&n.knocks, at, o.Within)
	from := n.sources.distinct(at, o.Within)
	if from == 0 {
		n.sources = nil
	}
	half, limit, age := n.aged[opening], o.HalfOpen, o.Age
	if half < limit {
		if knocks <= o.PerSecond*int(o.Within/second) || from <= o.Sources || n.phases[opening] < o.Few {
			return
		}
		limit, age = o.Few, o.Brief
		if half = v.waitingIn(n, opening, at.Add(-age)); half < limit {
			return
		}
	}
	a := v.raise(l, n, n.incident(d), Warning, measured{float64(half), float64(limit), "handshakes"}, at)
	if a == nil {
		return
	}
	v.clientsIn(a, n, opening, at.Add(-age))
	a.Summary = fmt.Sprintf("%s with %s wait for clients that do not complete them", plural(half, "handshake"), n.name())
	a.Why = fmt.Sprintf("%d answered and not completed for %s or longer (fires at %d, or at %d when more than %d SYNs a second come from more than %d addresses)",
		half, inSeconds(age), o.HalfOpen, o.Few, o.PerSecond, o.Sources)
	if knocks > 0 {
		a.Why += fmt.Sprintf("; %.0f SYNs a second over %s, from %d addresses or more", float64(knocks)/o.Within.Seconds(), inSeconds(o.Within), max(from, 1))
	}
	a.Why += "; the addresses may be forged"
	l.remember(n.incident(d), a)
}

// knocked folds a SYN, answered or not. Its address is kept only while others
// stand half open, so that ordinary traffic pays nothing for it.
func (v *view) knocked(n *node, ev *httpreassembly.Event) {
	if ev.MidStream {
		return
	}
	count(&n.knocks, ev.At)
	if n.phases[opening] < v.o.SynFlood.Few {
		return
	}
	if n.sources == nil {
		n.sources = &sourceSet{last: make(map[[16]byte]capture.Time)}
	}
	n.sources.note(keyOf(n, ev.Flow.Client.Addr()).addr, ev.At)
}

// sourceSet remembers which addresses sent SYNs lately, maxSources of them: an
// attacker forges as many as he likes. It is exact up to there; beyond, a new
// one is not noted, since more than the detector can ask for are known.
type sourceSet struct {
	last map[[16]byte]capture.Time // by visitorKey.addr: IPv6 by /64
}

const maxSources = 1024

func (s *sourceSet) note(addr [16]byte, at capture.Time) {
	if _, ok := s.last[addr]; ok || len(s.last) < maxSources {
		s.last[addr] = at
	}
}

// distinct counts the addresses of the last d and forgets the others.
func (s *sourceSet) distinct(at capture.Time, d time.Duration) int {
	if s == nil {
		return 0
	}
	for addr, last := range s.last {
		if at.Sub(last) > d {
			delete(s.last, addr)
		}
	}
	return len(s.last)
}
