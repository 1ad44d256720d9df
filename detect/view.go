package detect

import (
	"net/netip"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

const second = time.Second

// view is what the detectors look at: every observation folded once, however
// many of them there are. The engine owns it.
type view struct {
	o     *Options
	stats Stats

	calls      slab[call]
	conns      slab[conn]
	closeWaits slab[closeWait] // of those that are half closed
	slots      []int32         // by Event.Slot: who had it last, in conns; none: nobody
	queues     queues

	visitors visitors
	readings readings
	ladders  []ladder
	nextDue  capture.Time // no budget falls due before

	nodes        []*node // in order of appearance, without others
	others       *node
	byServer     map[capture.Endpoint]*node
	local        map[netip.Addr]struct{}
	recent       [4]recentNode // the finds before
	found        int           // how many of them were looked up
	nodeIDs      int32
	nextEviction capture.Time

	host  host
	seeds map[capture.Flow]seed
	legs  legs
	loss  lossWindow

	doorsteps []doorstep // at most maxDoorsteps
	said      said
	buried    []Finding // calls that ended unseen, not told yet; at most those in flight
}

func newView(o *Options) *view {
	return &view{
		o:          o,
		calls:      slab[call]{max: o.MaxCalls},
		conns:      slab[conn]{max: o.MaxConns},
		closeWaits: slab[closeWait]{max: o.MaxConns},
		queues:     newQueues(),
		visitors:   visitors{slab: slab[visitor]{max: o.MaxVisitors}, by: make(map[visitorKey]int32), lru: emptyList},
		nextDue:    never,
		others:     &node{cw: emptyList},
		byServer:   make(map[capture.Endpoint]*node),
		local:      make(map[netip.Addr]struct{}),
		seeds:      make(map[capture.Flow]seed),
		legs:       newLegs(o),
	}
}

// each visits every node, the one for the others last.
func (v *view) each(f func(*node)) {
	for _, n := range v.nodes {
		f(n)
	}
	f(v.others)
}

// observe folds an event.
func (v *view) observe(ev *httpreassembly.Event, verdict *rules.Verdict) {
	switch ev.Kind {
	case httpreassembly.Opened:
		v.opened(ev)
	case httpreassembly.Established:
		v.established(ev)
	case httpreassembly.RequestStarted:
		v.requestStarted(ev)
	case httpreassembly.HeadSeen, httpreassembly.Retransmitting, httpreassembly.Acknowledged,
		httpreassembly.WindowClosed, httpreassembly.WindowOpened, httpreassembly.RequestProgress, httpreassembly.ResponseProgress:
		v.wire(ev)
	case httpreassembly.Odd:
		v.odd(ev)
	case httpreassembly.Knocked, httpreassembly.PortRefused:
		v.perimeter(ev)
	case httpreassembly.Refused:
		v.refused(ev)
	case httpreassembly.RequestSeen:
		v.requestSeen(ev, verdict)
	case httpreassembly.ResponseSeen:
		v.responseSeen(ev, verdict)
	case httpreassembly.ExchangeDone:
		v.exchangeDone(ev, verdict)
	case httpreassembly.HalfClosed:
		v.halfClosed(ev)
	case httpreassembly.Closed:
		v.closed(ev)
	case httpreassembly.Gap:
		v.gap(ev)
	case httpreassembly.SynUnanswered:
		// A SYN to a host that is not there opens nothing, and must not make a
		// node.
		if n := v.knockedInVain(ev); n != v.others {
			count(&n.syns, ev.At)
			n.unheard.away(ev.Flow.Client.Addr(), ev.At)
			v.knocked(n, ev)
		}
	}
}

func (v *view) opened(ev *httpreassembly.Event) {
	n := v.findOrAdd(ev.Flow.Server, ev.At)
	n.live++
	n.opened++
	n.lastEvent, n.lastOpened = ev.At, ev.At
	n.comesIn(ev.Flow.Client.Addr(), ev.At)
	v.comesBack(n, ev.At)
	if n.doorstep { // it is at work: what was not answered before makes it no worse
		n.doorstep, n.syns = false, [synWindow]secondCount{}
	}
	unseen := n.sight.opened(ev)
	v.loss.saw(ev.At, 3, 0)
	v.unseed(ev)
	v.knocked(n, ev)
	ci := v.connAt(ev, n)
	if ci == none {
		return
	}
	v.conns.at(ci).unseen = unseen
	if ev.MidStream {
		v.conns.at(ci).asked = 2 // most likely: it stood before the capture
		v.enter(ci, idle, ev.At)
		v.entered(ci, ev.At)
	} else {
		v.enter(ci, opening, ev.At)
	}
}

func (v *view) established(ev *httpreassembly.Event) {
	ci := v.connAt(ev, v.find(ev.Flow.Server))
	if ci == none {
		return
	}
	if p := v.conns.at(ci).phase; p == opening || p == active && v.conns.at(ci).calls.head == none {
		v.enter(ci, silent, ev.At)
	}
	v.entered(ci, ev.At)
}

func (v *view) requestStarted(ev *httpreassembly.Event) {
	ci := v.look(ev)
	if ci == none {
		return
	}
	if c := v.conns.at(ci); c.phase != active {
		v.enter(ci, sending, ev.At)
		c.body = false
	}
}

// wire folds what the kernels do about a connection's bytes.
func (v *view) wire(ev *httpreassembly.Event) {
	ci := v.look(ev)
	if ci == none {
		return
	}
	c := v.conns.at(ci)
	switch ev.Kind {
	case httpreassembly.HeadSeen:
		c.body = true
	case httpreassembly.Retransmitting:
		c.wire.resent[ev.Dir&1] = true
		v.resends(c, ev)
	case httpreassembly.Acknowledged:
		c.wire.resent[ev.Dir&1] = false
		v.resends(c, ev)
	case httpreassembly.WindowClosed, httpreassembly.WindowOpened:
		c.wire.closed[ev.Dir&1] = ev.Kind == httpreassembly.WindowClosed
		v.window(ci, ev)
		v.takes(ci, ev)
	case httpreassembly.RequestProgress:
		v.uploads(ci, ev)
	case httpreassembly.ResponseProgress:
		c.node.answered(ev.At)
	}
}

func (v *view) requestSeen(ev *httpreassembly.Event, verdict *rules.Verdict) {
	n := v.findOrAdd(ev.Flow.Server, ev.At)
	n.lastEvent = ev.At
	n.asked++
	v.loss.saw(ev.At, 2+uint64(ev.Exchange.RequestBytes)/segmentBytes, uint64(ev.Exchange.RequestBytes))
	if verdict == nil || verdict.Command == nil || verdict.Command.Class == rules.ClassStream || verdict.Stream {
		return
	}
	client := v.clientOf(ev.Exchange)
	behind, relayed := clientBehind(v.follow(n, ev, verdict, client))
	if relayed && client == ev.Flow.Client.Addr() {
		client = behind
	}
	if !relayed { // else it counted on the front leg
		v.asked(n, ev, verdict, client)
	}
	ci := v.connAt(ev, n)
	if ci == none {
		v.stats.CallsNotFollowed++
		return
	}
	c := v.conns.at(ci)
	if c.phase != active {
		v.enter(ci, active, ev.At)
	}
	c.asked = min(c.asked, 1) + 1
	if !relayed {
		v.countRequest(c, client, ev)
	}
	if int(c.early) == ev.Exchange.Depth {
		return // answered before it was whole: nothing is owed
	}
	v.addCall(n, ci, ev, verdict, client)
}

// countRequest counts a request for whoever made it.
func (v *view) countRequest(c *conn, client netip.Addr, ev *httpreassembly.Event) {
	r := c.visitor
	if client != c.client.Addr() || v.visitors.at(r) == nil {
		r = v.visit(c.node, client)
		if client == c.client.Addr() {
			c.visitor = r
			v.visitors.at(r).conns++
		}
	}
	x := v.turn(c.node, r.index, ev.At)
	x.requests++
	x.forwards = len(ev.Exchange.ForwardedFor) > 0 && client == c.client.Addr()
	count(&c.node.requests, ev.At)
}

func (v *view) responseSeen(ev *httpreassembly.Event, verdict *rules.Verdict) {
	n := v.find(ev.Flow.Server)
	v.legAnswered(ev)
	n.answered(ev.At)
	n.served = max(n.served, ev.Conn)
	ci := v.look(ev)
	if ci != none {
		if i := v.findCall(ci, ev.Exchange.Depth); i != none {
			c := v.calls.at(i)
			cell := c.cell()
			cell.endings.turn(ev.At)
			cell.endings.answered[0]++
			cell.learn(ev.At, ev.At.Sub(c.since))
			if cell.command.Pow && ev.At.Sub(c.since) < leastPow {
				n.undone(powAsked, c.x.RequestEnd, c.client())
			}
			if ev.Exchange.Status/100 == 2 {
				cell.succeeded = ev.At
			}
			v.endCall(i)
		}
	}
	if verdict == nil { // the request is not whole yet
		if ci = v.connAt(ev, n); ci != none {
			v.conns.at(ci).early = int32(ev.Exchange.Depth)
		}
	}
	if ci != none {
		v.conns.at(ci).answering = true
		v.reacted(ci, ev.At)
	}
}

func (v *view) exchangeDone(ev *httpreassembly.Event, verdict *rules.Verdict) {
	x := ev.Exchange
	n := v.find(ev.Flow.Server)
	n.lastEvent = ev.At
	if x.ResponseBytes > 0 {
		n.answered(ev.At)
		v.loss.saw(ev.At, 2+uint64(x.ResponseBytes)/segmentBytes, uint64(x.ResponseBytes))
	}
	if v.legs.countsHere(x) {
		v.ended(n, ev, verdict)
	}
	ci := v.look(ev)
	if ci == none {
		return
	}
	if i := v.findCall(ci, x.Depth); i != none {
		v.died(i, ev)
		v.endCall(i)
	}
	c := v.conns.at(ci)
	c.answering = false
	v.stopReading(c)
	if int(c.early) == x.Depth {
		c.early = 0
	}
	if x.Outcome == httpreassembly.Answered {
		v.reacted(ci, ev.At)
	}
	v.nextTurn(ci, ev.At)
	if c.closed {
		v.dropIfPlain(ci)
	} else if c.plain() && c.phase != opening {
		v.enter(ci, idle, ev.At)
	}
}

func (n *node) answered(at capture.Time) {
	n.lastEvent, n.lastAnswer = at, at
}

func (v *view) gap(ev *httpreassembly.Event) {
	bytes := uint64(segmentBytes) // unknown: at least one segment, most likely
	if ev.Bytes >= 0 {
		bytes = uint64(ev.Bytes)
	}
	if ci := v.look(ev); ci != none {
		c := v.conns.at(ci)
		c.gap = true
		if c.unseen.sends(ev.Dir) {
			return // CaptureBlind tells of it
		}
	}
	v.loss.gap(ev.At, bytes)
}

// synWindow is how many seconds a node's counters per second reach back.
const synWindow = 30

// secondCount counts what happened in one second.
type secondCount struct {
	sec int64
	n   int
}

func count(w *[synWindow]secondCount, at capture.Time) {
	sec := int64(at) / int64(second)
	c := &w[uint64(sec)%synWindow]
	if c.sec != sec {
		*c = secondCount{sec: sec}
	}
	c.n++
}

// uncount takes back what was counted at at.
func uncount(w *[synWindow]secondCount, at capture.Time) {
	sec := int64(at) / int64(second)
	if c := &w[uint64(sec)%synWindow]; c.sec == sec && c.n > 0 {
		c.n--
	}
}

// within sums the seconds of (at-d, at].
func within(w *[synWindow]secondCount, at capture.Time, d time.Duration) int {
	from, to := int64(at.Add(-d))/int64(second), int64(at)/int64(second)
	sum := 0
	for _, c := range w {
		if c.n > 0 && c.sec >= from && c.sec <= to {
			sum += c.n
		}
	}
	return sum
}
