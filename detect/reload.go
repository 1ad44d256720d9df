package detect

import (
	"fmt"

	"stallwatch/rules"
)

// Reload puts other Options in force between two observations. Their Rules
// must continue the present ones (rules.Set.Reload), so that a command keeps
// its index. Calls in flight keep the deadlines that they started with;
// incidents, histories and the counts of free rules that did not change go
// on. With an error everything stays as it was.
func (e *Engine) Reload(o Options) error {
	if err := o.Validate(); err != nil {
		return fmt.Errorf("detect options: %w", err)
	}
	if o.Rules == nil || e.o.Rules == nil || !o.Rules.Continues(e.o.Rules) {
		return fmt.Errorf("detect options: the rules do not continue the present ones")
	}
	o.setDefaults()
	before := e.o
	renamed := make(map[*rules.Command]*rules.Command)
	now := o.Rules.Commands()
	for i, c := range before.Rules.Commands() {
		renamed[c] = now[i]
	}
	old := e.free
	if old != nil {
		old.o = &before
	}
	e.o = o // the view and the lifecycle look at it
	e.view.rename(renamed, &before)
	e.life.rename(renamed)
	e.free = newFreeRules(&e.o, &e.view.stats)
	e.free.adopt(old, renamed)
	return nil
}

// rename puts new commands in the place of old ones, which have the same names.
func (v *view) rename(to map[*rules.Command]*rules.Command, before *Options) {
	v.each(func(n *node) {
		for i := range n.cells {
			if c, ok := to[n.cells[i].command]; ok {
				n.cells[i].command = c
			}
		}
	})
	v.calls.max, v.conns.max = v.o.MaxCalls, v.o.MaxConns
	v.legs.records.max, v.legs.chains.max = v.o.MaxLegs, v.o.MaxLegs
	if before.CallStalled != v.o.CallStalled {
		for i := range v.ladders {
			v.ladders[i].retired = true // its steps are of the old floors
		}
	}
}

// rename keeps the identity of incidents about a command.
func (l *lifecycle) rename(to map[*rules.Command]*rules.Command) {
	clear(l.by)
	for _, in := range l.order {
		if c, ok := to[in.key.command]; ok {
			in.key.command = c
		}
		l.by[in.key] = in
	}
}
