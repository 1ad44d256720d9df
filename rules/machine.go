package rules

import (
	"net/netip"

	"github.com/expr-lang/expr/vm"
)

// Machine evaluates the free rules of a Set. It is the memory that they share
// while they run: one goroutine at a time may use it.
type Machine struct {
	vm    vm.VM
	env   map[string]any
	facts *Facts
	rules [numOn][]*AlertRule
	used  [numOn][]*Field // what any rule of the kind asks for
	nets  map[string]netip.Prefix
	names []any // of commands, boxed once; by Command.Index
}

// NewMachine returns a Machine for the Set's free rules.
func (s *Set) NewMachine() *Machine {
	m := &Machine{env: map[string]any{}, nets: map[string]netip.Prefix{}}
	m.vm.MemoryBudget = maxMemory
	for _, a := range s.Alerts() {
		m.rules[a.On] = append(m.rules[a.On], a)
		m.use(a)
	}
	for _, c := range s.all.commands {
		m.names = append(m.names, c.Name)
	}
	m.bind()
	return m
}

// use notes the facts that a rule asks for, by the names among its constants:
// those of facts that it only has as texts cost a little and harm nothing.
func (m *Machine) use(a *AlertRule) {
	for _, c := range a.program.Constants {
		name, ok := c.(string)
		if !ok {
			continue
		}
		if f := findField(name); f != nil && f.has(a.On) && !m.uses(a.On, f) {
			m.used[a.On] = append(m.used[a.On], f)
		}
		if p, err := netip.ParsePrefix(name); err == nil {
			m.nets[name] = p
		}
	}
}

func (m *Machine) uses(o On, f *Field) bool {
	for _, u := range m.used[o] {
		if u == f {
			return true
		}
	}
	return false
}

// bind gives the functions their meaning.
func (m *Machine) bind() {
	m.env["len"] = func(name string) int { return m.facts.Verdict.Shape.Len(name) }
	m.env["minLen"] = func(name string) int { return m.facts.Verdict.Shape.MinLen(name) }
	m.env["maxLen"] = func(name string) int { return m.facts.Verdict.Shape.MaxLen(name) }
	m.env["has"] = func(name string) bool { return m.facts.Verdict.Shape.Has(name) }
	m.env["int"] = func(name string) int {
		x, _ := m.facts.Verdict.Shape.Int(name)
		return int(x)
	}
	m.env["from"] = func(network string) bool {
		p, ok := m.nets[network]
		return ok && p.Contains(m.facts.Client.Addr().Unmap())
	}
}

// Rules returns the free rules on o.
func (m *Machine) Rules(o On) []*AlertRule { return m.rules[o] }

// Begin tells the Machine the facts that the next calls of Holds are about.
// They are not copied.
func (m *Machine) Begin(o On, f *Facts) {
	m.facts = f
	for _, field := range m.used[o] {
		m.env[field.Name] = m.get(field, f)
	}
}

// get is field.get, but for the fact that nearly every rule asks for.
func (m *Machine) get(field *Field, f *Facts) any {
	if field.Name == "command" && f.Verdict != nil {
		if c := f.Verdict.Command; c.Index < len(m.names) && m.names[c.Index] == c.Name {
			return m.names[c.Index]
		}
	}
	return field.get(f)
}

// Holds reports whether the rule's expression is true of the facts of the
// last Begin. An error is the expression's own, in words of the library.
func (m *Machine) Holds(a *AlertRule) (bool, error) {
	out, err := m.vm.Run(a.program, m.env)
	if err != nil {
		return false, err
	}
	holds, _ := out.(bool)
	return holds, nil
}
