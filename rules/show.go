package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// AppendYAML appends the effective classes, APIs and free rules as a rule
// file: every command with its own budgets, whatever class or file they came
// from. Read again over nothing, it makes a Set that says the same.
func (s *Set) AppendYAML(dst []byte) []byte {
	var b strings.Builder
	b.WriteString("classes:\n")
	for c, name := range classNames {
		d := s.all.classes[c]
		fmt.Fprintf(&b, "  %s: {warn: %s, critical: %s}\n", name, budgetText(d.warn), budgetText(d.critical))
	}
	b.WriteString("\napis:\n")
	for _, a := range s.all.apis {
		s.all.showAPI(&b, a)
	}
	if len(s.Alerts()) > 0 {
		b.WriteString("\nalerts:\n")
	}
	for _, a := range s.Alerts() {
		a.show(&b)
	}
	return append(dst, b.String()...)
}

func (s *Set) showAPI(b *strings.Builder, a *api) {
	fmt.Fprintf(b, "  - name: %s\n    named_by: %s\n", quoted(a.name), namings[a.by])
	if a.by != byRoute {
		fmt.Fprintf(b, "    key: %s\n", quoted(a.key))
	}
	if a.folded != nil {
		b.WriteString("    ignore_case: true\n")
	}
	s.showParams(b, a)
	b.WriteString("    commands:\n")
	for _, c := range s.commands {
		if c.API == a.name && !c.retired {
			c.show(b)
		}
	}
}

// showParams writes the parameters that an API was the first to name: one
// name means one thing in the whole Set.
func (s *Set) showParams(b *strings.Builder, a *api) {
	head := "    parameters:\n"
	for k, keep := range keepNames {
		var names []string
		for i := range s.params {
			if s.params[i].keep == Keep(k) && s.params[i].api == a.name {
				names = append(names, quoted(s.params[i].name))
			}
		}
		if len(names) > 0 {
			fmt.Fprintf(b, "%s      %s: [%s]\n", head, keep, strings.Join(names, ", "))
			head = ""
		}
	}
}

func (c *Command) show(b *strings.Builder) {
	fmt.Fprintf(b, "      - {name: %s, class: %s, warn: %s, critical: %s", quoted(c.Name), c.Class, budgetText(c.Warn), budgetText(c.Critical))
	if c.Lock != "" {
		fmt.Fprintf(b, ", lock: %s", quoted(c.Lock))
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"canary", c.Canary}, {"admin", c.Admin}, {"slow", c.Slow}, {"pow", c.Pow}, {"probe", c.Probe}} {
		if f.set {
			fmt.Fprintf(b, ", %s: true", f.name)
		}
	}
	c.Expect.appendYAML(b)
	b.WriteString("}\n")
}

func (a *AlertRule) show(b *strings.Builder) {
	fmt.Fprintf(b, "  - alert: %s\n    on: %s\n    when: %s\n    by: %s\n", a.Name, a.On, quoted(a.When), a.By)
	switch {
	case a.Within > 0:
		fmt.Fprintf(b, "    more_than: %d per %s\n", a.MoreThan, a.Within)
	case a.On == OnPending:
		fmt.Fprintf(b, "    more_than: %d\n", a.MoreThan)
	}
	if a.For > 0 {
		fmt.Fprintf(b, "    for: %s\n", a.For)
	}
	fmt.Fprintf(b, "    severity: %s\n", a.Severity)
	if a.Summary != "" {
		fmt.Fprintf(b, "    summary: %s\n", quoted(a.Summary))
	}
}

func budgetText(d time.Duration) string {
	if d == 0 {
		return never
	}
	return d.String()
}

// quoted is a text as YAML's double quotes have it, printable ASCII alone.
func quoted(s string) string {
	plain := s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == "" &&
		(s[0] < '0' || s[0] > '9') && s[0] != '-' && s[0] != '.'
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		plain = false
	}
	if plain {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		case r < 0x10000:
			b.WriteString(`\u` + hexRune(r, 4))
		default:
			b.WriteString(`\U` + hexRune(r, 8))
		}
	}
	b.WriteByte('"')
	return b.String()
}

func hexRune(r rune, digits int) string {
	s := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", max(0, digits-len(s))) + s
}
