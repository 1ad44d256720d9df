package detect

import (
	"fmt"
	"net/netip"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// freeRules is the detector of the rules that an operator wrote. Each rule
// counts by a key: the node, and the clients or the command. Without free
// rules it is nil, and costs nothing.
//
//	RequestSeen, ExchangeDone ─> when ─> count of the key, in tenths of the window
//	calls in flight, node     ─> when ─> count of the key, anew each second
//	                                       └─> more_than ─> for ─> lifecycle
//
// There are at most Options.MaxRuleKeys keys. When there is a new one, the
// key that matched longest ago is forgotten: an attacker of many addresses
// must not be able to keep the memory of those who come back.
type freeRules struct {
	o       *Options
	stats   *Stats
	machine *rules.Machine
	word    rules.Verdict // of the call in facts
	facts   rules.Facts
	keys    map[ruleKey]*ruleState
	// The keys by their last match, in a ring through this state.
	ring ruleState
}

// ruleKey is what a rule counts over.
type ruleKey struct {
	rule    *rules.AlertRule
	node    *node
	clients netip.Prefix   // valid iff the rule counts by client
	command *rules.Command // nil unless it counts by command
}

// windowSlots is how many parts a window has: its count is exact to a tenth.
const windowSlots = 10

// ruleState is the count of one key.
type ruleState struct {
	key        ruleKey
	prev, next *ruleState
	slots      [windowSlots]uint32
	slot       int64        // number of the newest slot since the epoch
	total      int          // over all slots; for pending and node, of this second
	peak       int          // the most since the last evaluation
	since      capture.Time // the count was passed since; zero: it is not
	matched    matched
}

// matched is what a summary may say of the last match. It holds no memory of
// the wire.
type matched struct {
	verdict rules.Verdict
	facts   rules.Facts
}

// newFreeRules returns nil if there are none.
func newFreeRules(o *Options, stats *Stats) *freeRules {
	if o.Rules == nil || len(o.Rules.Alerts()) == 0 {
		return nil
	}
	f := &freeRules{o: o, stats: stats, machine: o.Rules.NewMachine(), keys: make(map[ruleKey]*ruleState)}
	f.ring.prev, f.ring.next = &f.ring, &f.ring
	return f
}

// observe asks the rules on requests and exchanges.
func (f *freeRules) observe(v *view, ev *httpreassembly.Event, verdict *rules.Verdict) {
	var on rules.On
	switch ev.Kind {
	case httpreassembly.RequestSeen:
		on = rules.OnRequest
	case httpreassembly.ExchangeDone:
		on = rules.OnExchange
	default:
		return
	}
	list := f.machine.Rules(on)
	if len(list) == 0 || verdict == nil || verdict.Command == nil {
		return
	}
	x := ev.Exchange
	client := netip.AddrPortFrom(v.clientOf(x), ev.Flow.Client.Port())
	if behind, ok := clientBehind(v.legs.find(x)); ok && client.Addr() == ev.Flow.Client.Addr() {
		client = netip.AddrPortFrom(behind, client.Port())
	}
	f.facts = rules.Facts{Verdict: verdict, Client: client, Server: ev.Flow.Server.AddrPort(),
		Method: x.Method, Target: x.Target, UserAgent: x.UserAgent, BodyBytes: x.RequestBody}
	if on == rules.OnExchange {
		f.facts.Status, f.facts.ResponseBytes, f.facts.Wait = x.Status, x.ResponseBody, x.Wait()
		if x.ResponseStart == 0 {
			f.facts.Wait = ev.At.Sub(x.RequestEnd)
		}
	}
	f.ask(list, on, v.find(ev.Flow.Server), ev.At)
}

// ask evaluates rules about f.facts and counts those that hold.
func (f *freeRules) ask(list []*rules.AlertRule, on rules.On, n *node, at capture.Time) {
	f.machine.Begin(on, &f.facts)
	for _, r := range list {
		holds, err := f.machine.Holds(r)
		if err != nil {
			f.stats.RuleErrors++
		}
		if holds {
			f.match(r, n, at)
		}
	}
}

// match counts a match of a rule.
func (f *freeRules) match(r *rules.AlertRule, n *node, at capture.Time) {
	key := ruleKey{rule: r, node: n}
	switch r.By {
	case rules.ByClient:
		key.clients = clientsOf(f.facts.Client.Addr())
	case rules.ByCommand:
		key.command = f.facts.Verdict.Command
	}
	s := f.state(key)
	if r.Within > 0 {
		s.turn(at)
		s.slots[s.slot%windowSlots]++
	}
	s.total++
	s.peak = max(s.peak, s.total)
	s.matched.facts = f.facts
	s.matched.facts.Method, s.matched.facts.Target, s.matched.facts.UserAgent = nil, nil, nil
	if f.facts.Verdict != nil {
		s.matched.verdict = *f.facts.Verdict
		s.matched.facts.Verdict = &s.matched.verdict
	}
}

// state finds or makes the state of a key and makes it the newest.
func (f *freeRules) state(key ruleKey) *ruleState {
	s := f.keys[key]
	if s == nil {
		if len(f.keys) >= f.o.MaxRuleKeys {
			f.stats.RuleKeysEvicted++
			f.drop(f.ring.next)
		}
		s = &ruleState{key: key}
		f.keys[key] = s
	} else {
		s.unlink()
	}
	s.prev, s.next = f.ring.prev, &f.ring
	s.prev.next, f.ring.prev = s, s
	return s
}

func (s *ruleState) unlink() { s.prev.next, s.next.prev = s.next, s.prev }

func (f *freeRules) drop(s *ruleState) {
	s.unlink()
	delete(f.keys, s.key)
}

// turn brings the window up to at.
func (s *ruleState) turn(at capture.Time) {
	slot := int64(at) / int64(s.key.rule.Within/windowSlots)
	for n := 0; s.slot < slot; n++ {
		if n == windowSlots {
			s.slot = slot // all are empty by now
			break
		}
		s.slot++
		i := (s.slot%windowSlots + windowSlots) % windowSlots
		s.total -= int(s.slots[i])
		s.slots[i] = 0
	}
}

// judge asks the rules on calls in flight and nodes, and raises what holds.
func (f *freeRules) judge(v *view, at capture.Time, l *lifecycle) {
	f.forgetSecond()
	if list := f.machine.Rules(rules.OnPending); len(list) > 0 {
		f.pending(v, list, at)
	}
	if list := f.machine.Rules(rules.OnNode); len(list) > 0 {
		v.each(func(n *node) {
			if n != v.others || n.opened > 0 {
				f.facts = nodeFacts(v.state(n, at))
				f.ask(list, rules.OnNode, n, at)
			}
		})
	}
	for s := f.ring.next; s != &f.ring; {
		next := s.next
		f.judgeKey(v, s, at, l)
		s = next
	}
}

// forgetSecond begins the counts of this second anew.
func (f *freeRules) forgetSecond() {
	for s := f.ring.next; s != &f.ring; s = s.next {
		if s.key.rule.Within == 0 {
			s.total, s.peak = 0, 0
		}
	}
}

// maxAsked bounds the calls in flight that are asked about in one second. The
// oldest of each command come first, and those are what such rules are for.
const maxAsked = 4096

func (f *freeRules) pending(v *view, list []*rules.AlertRule, at capture.Time) {
	asked := 0
	v.each(func(n *node) {
		for i := range n.cells {
			for k := n.cells[i].list.head; k != none; k = v.calls.at(k).links[byCell].next {
				if asked++; asked > maxAsked {
					f.stats.RuleCallsSkipped += uint64(n.cells[i].list.n)
					break
				}
				c := v.calls.at(k)
				client := netip.AddrPortFrom(c.client(), c.x.Flow.Client.Port())
				f.word = c.judged()
				f.facts = rules.Facts{Verdict: &f.word, Client: client, Server: c.x.Flow.Server.AddrPort(),
					Method: c.x.Method, Target: c.x.Target, BodyBytes: c.x.RequestBody, Age: at.Sub(c.since)}
				f.ask(list, rules.OnPending, n, at)
			}
		}
	})
}

// nodeFacts is a node as rules see it.
func nodeFacts(s Node) rules.Facts {
	n := rules.NodeFacts{Connections: s.Connections, InFlight: s.InFlight, Oldest: s.Oldest, CloseWait: s.CloseWait,
		CloseWaitKernel: -1, Unaccepted: -1, FDs: -1, FDLimit: -1, ETA: s.ETA, HasETA: s.HasETA}
	if s.Host {
		n.CloseWaitKernel, n.Unaccepted, n.FDs, n.FDLimit = s.CloseWaitKernel, s.Unaccepted, s.FDs, s.FDLimit
	}
	return rules.Facts{Server: s.Server, Node: n}
}

func (f *freeRules) judgeKey(v *view, s *ruleState, at capture.Time, l *lifecycle) {
	r := s.key.rule
	if r.Within > 0 {
		s.turn(at)
	}
	count := max(s.peak, s.total) // a burst between two evaluations counts as well
	s.peak = s.total
	if s.key.node.gone || count == 0 {
		f.drop(s)
		return
	}
	if count <= r.MoreThan {
		s.since = 0
		return
	}
	if s.since == 0 {
		s.since = at
	}
	if at.Sub(s.since) >= r.For {
		f.raise(v, s, count, at, l)
	}
}

func (f *freeRules) raise(v *view, s *ruleState, count int, at capture.Time, l *lifecycle) {
	r, n := s.key.rule, s.key.node
	key := incidentKey{detector: r.Name, node: n.id, command: s.key.command, clients: s.key.clients}
	a := l.raise(at, key, n, severityOf(r.Severity), float64(count))
	if a == nil {
		return
	}
	a.Limit, a.Unit, a.Confidence = float64(r.MoreThan), "calls", v.loss.confidence()
	if r.On == rules.OnNode {
		a.Unit = "matches"
	}
	a.Evidence = v.evidence(n, at)
	if s.key.clients.IsValid() {
		a.Evidence.Clients = []ClientCount{{Client: a.Client, N: count}}
	}
	a.Summary = r.Render(&s.matched.facts, count)
	a.Why = freeWhy(r, count)
	l.remember(key, a)
}

// freeWhy says which rule fired and with what numbers.
func freeWhy(r *rules.AlertRule, count int) string {
	why := fmt.Sprintf("rule %s on %s: %s", r.Name, r.On, rules.Escape([]byte(r.When), maxWhenShown))
	switch {
	case r.Within > 0:
		why += fmt.Sprintf("; %d in %s (fires at more than %d)", count, inSeconds(r.Within), r.MoreThan)
	case r.On == rules.OnPending:
		why += fmt.Sprintf("; %d in flight (fires at more than %d)", count, r.MoreThan)
	}
	if r.For > 0 {
		why += fmt.Sprintf("; for %s", inSeconds(r.For))
	}
	return why
}

// maxWhenShown bounds the part of an expression that an alert quotes, in bytes.
const maxWhenShown = 200

func severityOf(s rules.Severity) Severity {
	switch s {
	case rules.Info:
		return Info
	case rules.Critical:
		return Critical
	}
	return Warning
}

// adopt takes over the counts of old rules that stand in the new files word
// for word.
func (f *freeRules) adopt(old *freeRules, renamed map[*rules.Command]*rules.Command) {
	if f == nil || old == nil {
		return
	}
	same := make(map[*rules.AlertRule]*rules.AlertRule)
	for _, was := range old.o.Rules.Alerts() {
		for _, is := range f.o.Rules.Alerts() {
			if was.Same(is) {
				same[was] = is
			}
		}
	}
	for s := old.ring.next; s != &old.ring; s = s.next {
		key := s.key
		key.rule = same[key.rule]
		if now, ok := renamed[key.command]; ok {
			key.command = now
		}
		if key.rule != nil {
			*f.state(key) = s.moved(f.state(key), key)
		}
	}
}

// moved is the state with the key and the links of its new place.
func (s *ruleState) moved(to *ruleState, key ruleKey) ruleState {
	m := *s
	m.key, m.prev, m.next = key, to.prev, to.next
	if m.matched.facts.Verdict != nil {
		m.matched.facts.Verdict = &to.matched.verdict
	}
	return m
}
