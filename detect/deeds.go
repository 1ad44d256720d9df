package detect

import (
	"net/netip"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// deed is a kind of request, or of behaviour, that a detector judges by how
// often it happened lately and who did it, however fast it was answered.
type deed uint8

const (
	adminDone     deed = iota // an admin command of a stranger, carried out
	adminRefused              // the same, refused
	oversized                 // a list or a body beyond the bounds
	knownAttack               // the reference of January 2018
	sameReference             // a reference that another client sent before
	oddParameters             // a depth, numWalks, magnitude or list beyond what a wallet sends
	malformed                 // no HTTP, or no JSON
	unknownName               // a command that no pack knows
	powAsked                  // proof of work
	login                     // a connection to the SSH port
	scanned                   // a port that nobody serves
	numDeeds
)

// deeds are what happened of a kind on one node. Bounded: counts by second for
// synWindow seconds, the clients of maxDoers, the last MaxEvidence calls.
type deeds struct {
	seconds [synWindow]secondCount
	doers   []doer // by first deed
	calls   []CallRef
	last    capture.Time
	command *rules.Command // of the last one; nil: it had none
	most    float64        // of what is measured, since the last quiet window
	odd     string         // oddParameters: the last one, a name of the rules; "" for a command named twice
}

// doer is a client and how often it did something.
type doer struct {
	client Client
	n      int
	last   capture.Time
}

// maxDoers bounds the clients that are counted one by one; the one that was
// quiet longest makes room.
const maxDoers = 64

// did notes a deed of a client.
func (n *node) did(k deed, at capture.Time, client netip.Addr) *deeds {
	d := n.deeds[k]
	if d == nil {
		d = &deeds{}
		n.deeds[k] = d
	}
	if at.Sub(d.last) > synWindow*second { // a new story
		d.doers, d.calls, d.most = d.doers[:0], d.calls[:0], 0
	}
	d.last = at
	count(&d.seconds, at)
	oldest := 0
	for i := range d.doers {
		if w := &d.doers[i]; w.client.owns(client) {
			w.client = w.client.with(ClientOf(client))
			w.n++
			w.last = at
			return d
		} else if w.last < d.doers[oldest].last {
			oldest = i
		}
	}
	fresh := doer{ClientOf(client), 1, at}
	if len(d.doers) < maxDoers {
		d.doers = append(d.doers, fresh)
	} else {
		d.doers[oldest] = fresh
	}
	return d
}

// undone takes back a deed that turned out to be none.
func (n *node) undone(k deed, at capture.Time, client netip.Addr) {
	d := n.deeds[k]
	if d == nil {
		return
	}
	for i := range d.doers {
		if w := &d.doers[i]; w.client.owns(client) && w.n > 0 {
			w.n--
			uncount(&d.seconds, at)
			return
		}
	}
}

// call keeps a call in evidence, the newest last.
func (d *deeds) call(x *httpreassembly.Exchange, verdict *rules.Verdict, at capture.Time, client netip.Addr) {
	if len(d.calls) == MaxEvidence {
		copy(d.calls, d.calls[1:])
		d.calls = d.calls[:MaxEvidence-1]
	}
	from := x.Flow.Client.AddrPort()
	if client != from.Addr() {
		from = netip.AddrPortFrom(client, 0)
	}
	ref := CallRef{Conn: x.Conn, Depth: x.Depth, Client: from, From: x.Flow.Client.AddrPort(), Since: at}
	if verdict != nil && verdict.Command != nil {
		d.command = verdict.Command
		ref.Command, ref.Raw, ref.Shape = verdict.Command.Name, verdict.Raw, shapeWords(verdict)
	}
	d.calls = append(d.calls, ref)
}

// lately counts the deeds of the last w; 0 if there were none.
func (n *node) lately(k deed, at capture.Time, o *Rate) int {
	d := n.deeds[k]
	if d == nil || at.Sub(d.last) > o.Within+second {
		return 0
	}
	return within(&d.seconds, at, o.Within)
}

func (d *deeds) tally() tally {
	clients := make(tally)
	for _, w := range d.doers {
		clients.count(w.client, w.n)
	}
	return clients
}

// blame puts who did it in evidence.
func (d *deeds) blame(a *Alert, at capture.Time) {
	d.tally().blame(a)
	for i := len(d.calls) - 1; i >= 0; i-- {
		c := d.calls[i]
		c.Age, c.Verdict = at.Sub(c.Since), CauseUnknown
		a.Evidence.Calls = append(a.Evidence.Calls, c)
	}
}

// asked looks at what a request asks for.
func (v *view) asked(n *node, ev *httpreassembly.Event, verdict *rules.Verdict, client netip.Addr) {
	x := ev.Exchange
	if x.RequestBody > int64(v.o.OversizedRequest.Body) || verdict.Shape.Params() > 0 && v.longList(x, verdict) {
		if !v.trusted(client) {
			d := n.did(oversized, ev.At, client)
			d.most = max(d.most, float64(x.RequestBody))
			d.call(x, verdict, ev.At, client)
		}
	}
	if verdict.DuplicateKey || verdict.Shape.Params() > 0 {
		v.parameters(n, ev, verdict, client)
	}
	if verdict.Command.Pow && !verdict.Bare() && !v.trusted(client) {
		n.did(powAsked, ev.At, client).call(x, verdict, ev.At, client)
	}
	if verdict.Malformed && x.RequestBody > 0 {
		n.did(malformed, ev.At, client).call(x, verdict, ev.At, client)
	}
	if verdict.Raw != "" && verdict.Command.Name == rules.Other && !v.trusted(client) && v.strangeName(n, verdict.Raw, ev.At) {
		n.did(unknownName, ev.At, client).call(x, verdict, ev.At, client)
	}
}

// ended looks at how a request was answered.
func (v *view) ended(n *node, ev *httpreassembly.Event, verdict *rules.Verdict) {
	if verdict == nil || verdict.Command == nil || !verdict.Command.Admin || ev.Exchange.Status == 0 {
		return
	}
	client := v.clientOf(ev.Exchange)
	if v.trusted(client) {
		return
	}
	x := ev.Exchange
	refused := x.Status/100 == 4 || x.Status == 200 && isRPCError(x.ResponseTail)
	switch {
	case refused && verdict.Bare():
		n.probe(client)
	case refused:
		n.did(adminRefused, ev.At, client).call(x, verdict, ev.At, client)
	case x.Status/100 == 2 || x.Status == 101:
		n.did(adminDone, ev.At, client).call(x, verdict, ev.At, client)
	}
}

// clientOf is who made a request.
func (v *view) clientOf(x *httpreassembly.Exchange) netip.Addr {
	if a := httpreassembly.RealClient(x, v.o.Trusted); a.IsValid() {
		return a.Addr()
	}
	return x.Flow.Client.Addr()
}

// odd folds what a parser must not swallow.
func (v *view) odd(ev *httpreassembly.Event) {
	n := v.find(ev.Flow.Server)
	if ev.Odd == httpreassembly.TLSInstead {
		n.sight.encrypted++
	}
	if ev.Dir == capture.ToServer && int(ev.Odd) < len(malformedOddities) && malformedOddities[ev.Odd] {
		n.did(malformed, ev.At, ev.Flow.Client.Addr())
	}
}

// often raises d's incident if there were r.N deeds of a kind or more lately,
// and fills in all but the words; nil: there is nothing to say.
func (v *view) often(l *lifecycle, n *node, d detector, k deed, r Rate, sev Severity, at capture.Time) (a *Alert, count int) {
	if count = n.lately(k, at, &r); count < r.N {
		return nil, count
	}
	return v.raiseDeeds(l, n, d, k, sev, measured{float64(count), float64(r.N), "calls"}, at), count
}

// raiseDeeds raises d's incident about deeds of a kind.
func (v *view) raiseDeeds(l *lifecycle, n *node, d detector, k deed, sev Severity, m measured, at capture.Time) *Alert {
	a := v.raise(l, n, n.incident(d), sev, m, at)
	if a == nil {
		return nil
	}
	done := n.deeds[k]
	done.blame(a, at)
	if done.command != nil {
		a.Command = done.command.Name
	}
	return a
}
