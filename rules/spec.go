package rules

import (
	"time"

	"github.com/goccy/go-yaml/ast"
)

// The specs are what rule files say, before and after they are laid over each
// other. A nil pointer is what a file did not say.
type (
	fileSpec struct {
		classes  [len(classNames)]budgetSpec
		apis     []*apiSpec
		settings []Setting
		alerts   []*alertSpec
	}
	budgetSpec struct {
		at             place
		warn, critical *time.Duration
	}
	apiSpec struct {
		at       place
		name     string
		by       *naming
		key      *string
		fold     *bool
		params   []paramSpec
		commands []*commandSpec
	}
	paramSpec struct {
		at place
		param
	}
	commandSpec struct {
		budgetSpec
		name                            string
		class                           *Class
		lock                            *string
		canary, admin, slow, pow, probe *bool
		expect                          expectSpec
	}
)

var classNames = [...]string{
	ClassUnknown: "unknown", ClassInstant: "instant", ClassFast: "fast", ClassWork: "work",
	ClassHeavy: "heavy", ClassJob: "job", ClassStream: "stream",
}

// String returns the name that rule files use.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

var keepNames = [...]string{
	KeepLength: "length", KeepNumber: "number", KeepFingerprint: "fingerprint", KeepNothing: "nothing",
}

// readFile reads one rule file.
func (r *reader) readFile(data []byte) *fileSpec {
	f := &fileSpec{}
	r.data = data
	root := r.parse(data)
	if root == nil {
		return f
	}
	r.mapping(root, "a rule file",
		field{"classes", func(n ast.Node) { r.classes(n, f) }},
		field{"apis", func(n ast.Node) {
			r.list(n, "apis", func(n ast.Node) { f.apis = append(f.apis, r.api(n)) })
		}},
		field{"detectors", func(n ast.Node) { r.detectors(n, f) }},
		field{"alerts", func(n ast.Node) {
			r.list(n, "alerts", func(n ast.Node) { f.alerts = append(f.alerts, r.alert(n)) })
		}},
	)
	return f
}

func (r *reader) classes(n ast.Node, f *fileSpec) {
	fields := make([]field, len(classNames))
	for c, name := range classNames {
		fields[c] = field{name, func(n ast.Node) {
			b := &f.classes[c]
			b.at = r.at(n)
			r.mapping(n, "class "+name, r.budgets(b)...)
		}}
	}
	r.mapping(n, "classes", fields...)
}

func (r *reader) budgets(b *budgetSpec) []field {
	return []field{
		{"warn", func(n ast.Node) { b.warn = r.budget(n, "warn") }},
		{"critical", func(n ast.Node) { b.critical = r.budget(n, "critical") }},
	}
}

func (r *reader) api(n ast.Node) *apiSpec {
	a, before := &apiSpec{at: r.at(n)}, len(r.errs)
	r.mapping(n, "an API",
		field{"name", func(n ast.Node) { a.at, a.name = r.at(n), r.word(n, "name") }},
		field{"named_by", func(n ast.Node) {
			if i, ok := r.oneOf(n, "named_by", namings[:]); ok {
				by := naming(i)
				a.by = &by
			}
		}},
		field{"key", func(n ast.Node) { key := r.word(n, "key"); a.key = &key }},
		field{"ignore_case", func(n ast.Node) { a.fold = r.flag(n, "ignore_case") }},
		field{"parameters", func(n ast.Node) { r.parameters(n, a) }},
		field{"commands", func(n ast.Node) {
			r.list(n, "commands", func(n ast.Node) { a.commands = append(a.commands, r.command(n)) })
		}},
	)
	if a.name == "" && len(r.errs) == before {
		r.errs = append(r.errs, a.at.errorf("add name: …", "an API has no name"))
	}
	return a
}

// parameters reads the names by what may be kept of them.
func (r *reader) parameters(n ast.Node, a *apiSpec) {
	fields := make([]field, len(keepNames))
	for k, name := range keepNames {
		fields[k] = field{name, func(n ast.Node) {
			r.list(n, name, func(n ast.Node) {
				a.params = append(a.params, paramSpec{r.at(n), param{name: r.word(n, "a parameter"), keep: Keep(k)}})
			})
		}}
	}
	r.mapping(n, "parameters", fields...)
}

func (r *reader) command(n ast.Node) *commandSpec {
	c, before := &commandSpec{}, len(r.errs)
	c.at = r.at(n)
	fields := append(r.budgets(&c.budgetSpec),
		field{"name", func(n ast.Node) { c.at, c.name = r.at(n), r.text(n, "name") }},
		field{"class", func(n ast.Node) {
			if i, ok := r.oneOf(n, "class", classNames[:]); ok {
				class := Class(i)
				c.class = &class
			}
		}},
		field{"lock", func(n ast.Node) { lock := r.text(n, "lock"); c.lock = &lock }},
		field{"canary", func(n ast.Node) { c.canary = r.flag(n, "canary") }},
		field{"admin", func(n ast.Node) { c.admin = r.flag(n, "admin") }},
		field{"slow", func(n ast.Node) { c.slow = r.flag(n, "slow") }},
		field{"pow", func(n ast.Node) { c.pow = r.flag(n, "pow") }},
		field{"probe", func(n ast.Node) { c.probe = r.flag(n, "probe") }},
	)
	fields = append(fields, c.expect.fields(r)...)
	r.mapping(n, "a command", fields...)
	if c.name == "" && len(r.errs) == before {
		r.errs = append(r.errs, c.at.errorf("add name: …", "a command has no name"))
	}
	return c
}

// word reads a name of printable ASCII without spaces: it becomes a label and
// is printed as it stands.
func (r *reader) word(n ast.Node, what string) string {
	s := r.text(n, what)
	if s != "" && !printable(s, '!') {
		r.fail(n, "use up to 64 letters, digits and signs", `%s "%s" is no plain word`, what, brief(s))
		return ""
	}
	return s
}

// printable reports whether s is ASCII from low to '~', short enough to be a
// name.
func printable(s string, low byte) bool {
	for i := range len(s) {
		if s[i] < low || s[i] > '~' {
			return false
		}
	}
	return len(s) <= maxName
}
