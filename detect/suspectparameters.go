package detect

import (
	"fmt"
	"net/netip"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// suspectParameters fires at arguments that no wallet sends, and that are
// known to make a node compute for long.
type suspectParameters struct{}

func (suspectParameters) name() string { return "SuspectParameters" }

// reference2018 is the fingerprint (rules.Shape.RefPrint) of the reference
// that the attack of January 2018 sent; operators blocked it by the hash for
// years (nuriel77/iri-playbook, haproxy_bad_command). A test computes it.
const reference2018 = 0xdb67f3d54ed6ec8e

// parameters looks at the arguments of a call.
func (v *view) parameters(n *node, ev *httpreassembly.Event, verdict *rules.Verdict, client netip.Addr) {
	x, s := ev.Exchange, &verdict.Shape
	if print, ok := s.RefPrint(); ok {
		switch {
		case print == reference2018:
			n.did(knownAttack, ev.At, client).call(x, verdict, ev.At, client)
		case v.seenElsewhere(n, print, client, ev.At):
			n.did(sameReference, ev.At, client).call(x, verdict, ev.At, client)
		}
	}
	if odd := verdict.Unexpected(); (odd != "" || verdict.DuplicateKey) && !v.trusted(client) {
		d := n.did(oddParameters, ev.At, client)
		d.odd = odd
		d.call(x, verdict, ev.At, client)
	}
}

// referenceSet remembers who sent a reference first, by its fingerprint. It
// holds maxReferences; one that nobody sent for forgetReference makes room,
// and when all are younger a new one is not remembered, which is counted.
type referenceSet struct {
	by    map[uint64]*firstSender
	swept capture.Time
}

type firstSender struct {
	client Client
	last   capture.Time
}

const (
	maxReferences   = 1024
	forgetReference = 10 * time.Minute
)

// seenElsewhere notes a reference and reports whether another client sent it.
func (v *view) seenElsewhere(n *node, print uint64, client netip.Addr, at capture.Time) bool {
	if n.references == nil {
		n.references = &referenceSet{by: make(map[uint64]*firstSender)}
	}
	s := n.references
	f := s.by[print]
	if f == nil || at.Sub(f.last) > forgetReference {
		if f == nil && len(s.by) >= maxReferences && !s.sweep(at) {
			v.stats.NamesDropped++
			return false
		}
		s.by[print] = &firstSender{ClientOf(client), at}
		return false
	}
	f.last = at
	return !f.client.owns(client)
}

// sweep makes room, at most once a second.
func (s *referenceSet) sweep(at capture.Time) bool {
	if at.Sub(s.swept) < second {
		return false
	}
	s.swept = at
	for print, f := range s.by {
		if at.Sub(f.last) > forgetReference {
			delete(s.by, print)
		}
	}
	return len(s.by) < maxReferences
}

func (d suspectParameters) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.SuspectParameters
	for _, c := range []struct {
		k     deed
		sev   Severity
		least int
		what  string
	}{
		{knownAttack, Warning, 1, "with the reference of the attack of January 2018"},
		{sameReference, Warning, o.SameReference, "with a reference that another client sent before"},
		{oddParameters, Info, o.Calls, "with a number, list or element that no wallet sends"},
	} {
		a, count := v.often(l, n, d, c.k, Rate{c.least, o.Within}, c.sev, at)
		if count < c.least {
			continue
		}
		if a != nil {
			a.Summary = fmt.Sprintf("%s to %s %s", plural(count, "call"), n.name(), c.what)
			a.Why = fmt.Sprintf("%d within %s (fires at %d)", count, inSeconds(o.Within), c.least)
			if odd := n.deeds[c.k].odd; odd != "" {
				a.Why += ", the last for its " + odd
			}
			l.remember(n.incident(d), a)
		}
		return
	}
}
