package detect

import (
	"fmt"
	"time"

	"stallwatch/capture"
	"stallwatch/rules"
)

// callStalled fires while calls are in flight beyond their budgets.
//
// Commands of one lock group wait for each other inside the node, so only the
// oldest call of a group can be the one that works; it is the culprit, and the
// others are victims. When the workers are all taken, or the canary itself
// hangs, every command waits for every other: then the whole node is one
// group. So an incident is a node and the culprit's command, and a node that
// stalls has one, not one for each command that its clients happen to ask.
type callStalled struct{}

func (callStalled) name() string { return "CallStalled" }

// stall sums up a group of calls that wait for each other.
type stall struct {
	lock                     string
	culprit                  int32
	inFlight, warn, critical int
	jobs                     int // of warn: calls whose slowness alone says little
	canary                   bool
	pooled                   bool // the group is the whole node
	front                    bool // the node is a proxy: what it waits for itself is not counted
}

func (s *stall) add(v *view, c *cell, w waits) {
	s.inFlight += w.calls
	s.warn += w.warn
	s.critical += w.critical
	if slowByNature(c.command) {
		s.jobs += w.warn
	}
	s.canary = s.canary || c.command.Canary && w.warn > 0
	if s.culprit == none || v.calls.at(w.oldest).since < v.calls.at(s.culprit).since {
		s.culprit = w.oldest
	}
}

func (d callStalled) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	if n.waiting() == 0 {
		return
	}
	var buf [8]stall
	groups := v.stalls(n, buf[:0])
	for i := range groups {
		d.judgeStall(v, n, &groups[i], at, l)
	}
}

// stalls groups the cells of a node.
func (v *view) stalls(n *node, groups []stall) []stall {
	canary, over := false, false
	for i := range n.cells {
		c := &n.cells[i]
		over = over || c.overWarn > 0
		canary = canary || c.overWarn > 0 && c.command.Canary
	}
	if !over {
		return groups
	}
	front := v.legs.isFront(n)
	pooled := (canary || n.waiting() >= v.o.Workers) && !front // a proxy has no workers
	for i := range n.cells {
		c := &n.cells[i]
		if c.list.n == 0 || c.command.Class == rules.ClassStream || pooled && c.overWarn == 0 {
			continue
		}
		if w := v.waitsOf(c, front); w.calls > 0 {
			groups = v.group(groups, c, w, pooled)
		}
	}
	for i := range groups {
		groups[i].front = front
	}
	v.addQueued(n, groups)
	return groups
}

func (v *view) group(groups []stall, c *cell, w waits, pooled bool) []stall {
	if pooled || c.command.Lock != "" {
		for i := range groups {
			if pooled || groups[i].lock == c.command.Lock {
				groups[i].add(v, c, w)
				return groups
			}
		}
	}
	s := stall{lock: c.command.Lock, culprit: none, pooled: pooled}
	s.add(v, c, w)
	return append(groups, s)
}

func (d callStalled) judgeStall(v *view, n *node, s *stall, at capture.Time, l *lifecycle) {
	culprit := v.calls.at(s.culprit)
	age := at.Sub(culprit.since)
	sev := d.severity(v, s, culprit, at)
	if sev == 0 {
		return
	}
	command := culprit.command()
	key := incidentKey{detector: d.name(), node: n.id, command: command}
	a := v.raise(l, n, key, sev, measured{age.Seconds(), budget(command, age).Seconds(), "seconds"}, at)
	if a == nil {
		return
	}
	a.Command = command.Name
	if v.conns.at(culprit.conn).gap {
		a.Confidence /= 2
	}
	lock := command.Lock
	calls := v.appendCalls(nil, n, func(c *cell) bool {
		return c.command == command || s.pooled && c.overWarn > 0 || !s.pooled && lock != "" && c.command.Lock == lock
	})
	if s.front {
		calls = v.withoutEchoes(calls)
	}
	if s.pooled {
		calls = v.appendTakers(calls, n)
	}
	v.sortByAge(calls)
	v.addCalls(a, calls, s.culprit, at)
	d.describe(a, v, n, s, command, age)
	l.remember(key, a)
}

// severity weighs a stall; 0: it is none.
func (d callStalled) severity(v *view, s *stall, culprit *call, at capture.Time) Severity {
	o := &v.o.CallStalled
	if s.critical == 0 && s.warn < o.MinCalls {
		return 0
	}
	if cell := culprit.cell(); s.critical == 0 && s.inFlight < v.o.Workers && cell.slowHere(at, s.warn, v.o) {
		return 0 // that is how long it takes here, and it ends
	}
	if s.critical > 0 && s.critical < o.MinCalls && s.warn < o.CriticalCalls && s.inFlight < v.o.Workers &&
		culprit.cell().longHere(at, s.warn, v.o) && at.Sub(culprit.since) < 2*max(culprit.command().Critical, o.CriticalFloor) {
		return Info // so do many here, and they end
	}
	if s.jobs == s.warn && s.critical < o.MinCalls {
		return Info // a few jobs take their time: it may be news, it is no alarm
	}
	if s.warn < o.MinCalls && v.loss.ratio() > v.o.CaptureLoss.Info {
		return Info // the answers may have come in what was lost
	}
	if v.unheard(culprit.cell(), s.warn) {
		return Info // no call that the node has: a firewall or the way to it keeps them out
	}
	c := culprit.command()
	old := c.Critical > 0 && !slowByNature(c) && at.Sub(culprit.since) >= time.Duration(o.CriticalAge)*max(c.Critical, o.CriticalFloor)
	if s.warn >= o.CriticalCalls || s.canary || old {
		return Critical
	}
	return Warning
}

// maxUnheard bounds how many calls are looked at for being unheard: a stall
// of more than so many is judged as one that was heard.
const maxUnheard = 64

// unheard reports whether all calls of a stall are of one cell, and none was
// ever acknowledged although the node answered others after it.
func (v *view) unheard(c *cell, hanging int) bool {
	if hanging != c.overWarn || hanging > maxUnheard {
		return false
	}
	for k := c.list.head; k != none && hanging > 0; k = v.calls.at(k).links[byCell].next {
		call := v.calls.at(k)
		if call.over&overWarn == 0 {
			continue
		}
		if call.node.lastAnswer <= call.since || v.cause(call) != CauseHost {
			return false
		}
		hanging--
	}
	return true
}

// slowByNature reports whether a command takes its time when all is well, as
// proof of work does.
func slowByNature(c *rules.Command) bool { return c.Class == rules.ClassJob || c.Slow }

// budget is the budget of a command that an age has passed.
func budget(c *rules.Command, age time.Duration) time.Duration {
	if c.Critical > 0 && age >= c.Critical {
		return c.Critical
	}
	return c.Warn
}

func (d callStalled) describe(a *Alert, v *view, n *node, s *stall, c *rules.Command, age time.Duration) {
	same := int(n.cell(c).list.n)
	victims := s.inFlight - same
	a.Summary = a.Evidence.Leg.prefix() + fmt.Sprintf("%s of %s in flight on %s, the oldest unanswered for %s", plural(same, "call"), c.Name, n.name(), inSeconds(age))
	if victims > 0 {
		a.Summary += fmt.Sprintf("; %s of other commands wait behind", plural(victims, "call"))
	}
	o := &v.o.CallStalled
	a.Why = fmt.Sprintf("%d over the warn budget (fires at %d, critical at %d), %d over the critical budget (fires at 1); %s has %s and %s",
		s.warn, o.MinCalls, o.CriticalCalls, s.critical, c.Name, inSeconds(c.Warn), inSeconds(c.Critical))
	switch {
	case s.pooled && s.canary:
		a.Why += "; cheap calls hang as well, so the node counts as one group"
	case s.pooled:
		a.Why += fmt.Sprintf("; %d calls in flight fill %d workers, so the node counts as one group", n.waiting(), v.o.Workers)
	case c.Lock != "":
		a.Why += "; the oldest of its lock group is the culprit"
	}
	if s.pooled {
		a.Why += v.takerWords(n, c)
	}
	a.Why += a.Evidence.Leg.words(n.inFlight)
	if well := v.answering(n, a.At); well > 0 {
		a.Why += fmt.Sprintf("; meanwhile %s did answer, so it is this one that falls behind", plural(well, "other node"))
	}
	if r := v.loss.ratio(); r > v.o.CaptureLoss.Info {
		a.Why += fmt.Sprintf("; %s of the last minute was lost", percent(r))
	}
}

// answering counts the nodes beside n that answered lately and where nothing
// hangs.
func (v *view) answering(n *node, at capture.Time) int {
	well := 0
	for _, o := range v.nodes {
		hangs := false
		for i := range o.cells {
			hangs = hangs || o.cells[i].overWarn > 0
		}
		if o != n && !hangs && !v.legs.linked(o, n) && o.lastAnswer != 0 && at.Sub(o.lastAnswer) <= 10*second {
			well++
		}
	}
	return well
}
