package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxCommands bounds the commands of a Set: each is a metric label.
const maxCommands = 2000

// versionKey is what makes an object with an unknown `method` a JSON-RPC call.
const versionKey = "jsonrpc"

// optionsName is the command of requests with that method, whatever the path:
// mostly CORS preflights, which nodes answer without work.
const optionsName = "OPTIONS"

// compiler makes a Set of the effective specs.
type compiler struct {
	classes [len(classNames)]struct{ warn, critical time.Duration }
	set     *Set
	specs   []*commandSpec // of set.commands
	kept    map[string]keeps
	steps   int // of the regular expressions of all rules
	errs    []error
}

func compile(f *fileSpec) (*Set, []error) {
	c := &compiler{set: &Set{}, kept: map[string]keeps{}}
	for i := range f.classes {
		b := &f.classes[i]
		c.classes[i].warn, c.classes[i].critical = c.budgets(b, "class "+classNames[i], 0, 0)
	}
	c.set.classes = c.classes
	for _, a := range f.apis {
		c.api(a)
	}
	c.keys()
	for i, spec := range c.specs { // when the parameters of every API are known
		c.set.commands[i].Expect = c.expect(&spec.expect)
	}
	if len(f.settings) > maxSettings {
		c.fail(f.settings[maxSettings].at, "", "more than %d settings", maxSettings)
	}
	c.set.settings = f.settings
	for _, a := range f.alerts {
		c.alert(a)
	}
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	if len(c.set.apis) == 0 {
		return nil, []error{fmt.Errorf("rules: no API is defined")}
	}
	s := c.set
	s.all = s
	s.fallback = s.apis[0]
	for _, a := range s.apis {
		if a.by == byRoute {
			s.fallback = a
			break
		}
	}
	s.digest = digest(s)
	return s, nil
}

func (c *compiler) fail(at place, hint, format string, args ...any) {
	c.errs = append(c.errs, at.errorf(hint, format, args...))
}

// budgets returns what b says over the given defaults.
func (c *compiler) budgets(b *budgetSpec, what string, warn, critical time.Duration) (time.Duration, time.Duration) {
	if b.warn != nil {
		warn = *b.warn
	}
	if b.critical != nil {
		critical = *b.critical
	}
	if critical != 0 && warn > critical {
		c.fail(b.at, "set both", "%s warns at %s, after it is critical at %s", what, warn, critical)
	}
	return warn, critical
}

func (c *compiler) api(spec *apiSpec) {
	a := &api{name: spec.name}
	if spec.by == nil {
		c.fail(spec.at, "add named_by: json-key, json-rpc or route", "API %s does not say what names its commands", a.name)
		return
	}
	a.by = *spec.by
	if !c.key(a, spec) {
		return
	}
	if spec.fold != nil && *spec.fold {
		a.folded = map[string]*Command{}
	}
	for _, p := range spec.params {
		c.param(a.name, p)
	}
	for _, cmd := range spec.commands {
		c.command(a, cmd)
	}
	if a.other == nil {
		c.add(a, &commandSpec{budgetSpec: budgetSpec{at: spec.at}, name: Other})
	}
	c.set.apis = append(c.set.apis, a)
}

func (c *compiler) key(a *api, spec *apiSpec) bool {
	given := spec.key != nil && *spec.key != ""
	switch {
	case a.by == byRoute && given:
		c.fail(spec.at, "drop key, or set named_by: json-key", "API %s is named by routes and has a key", a.name)
		return false
	case a.by == byRoute:
		return true
	case given:
		a.key = *spec.key
	case a.by == byJSONRPC:
		a.key = "method"
	default:
		c.fail(spec.at, "add key: …", "API %s has no key", a.name)
		return false
	}
	a.whyKey = "key " + a.key
	return true
}

// param adds a parameter name to those that the whole Set knows. One name
// means one thing, whatever the API: the last file that lists it decides.
func (c *compiler) param(api string, p paramSpec) {
	c.kept[p.name] |= 1 << p.keep
	if id, ok := c.set.byName.get([]byte(p.name)); ok {
		c.set.params[id].keep = p.keep
		return
	}
	if len(c.set.params) == maxParams {
		c.fail(p.at, "", "more than %d parameter names", maxParams)
		return
	}
	c.set.byName.set(p.name, uint8(len(c.set.params)))
	p.api = api
	c.set.params = append(c.set.params, p.param)
}

// keys numbers the keys that name commands. They shadow parameters.
func (c *compiler) keys() {
	s := c.set
	id := func(name string) int {
		for i, k := range s.keys {
			if k == name {
				return i
			}
		}
		s.keys = append(s.keys, name)
		return len(s.keys) - 1
	}
	for _, a := range s.apis {
		if a.by != byRoute {
			a.keyID = id(a.key)
		}
		if a.by == byJSONRPC {
			s.versionKey = id(versionKey)
		}
	}
	if len(s.keys) > maxKeys {
		c.errs = append(c.errs, fmt.Errorf("rules: more than %d keys name commands: %s", maxKeys, strings.Join(s.keys, ", ")))
		return
	}
	for i, k := range s.keys {
		s.byName.set(k, uint8(255-i))
	}
}

func (c *compiler) command(a *api, spec *commandSpec) {
	if !printable(spec.name, ' ') {
		c.fail(spec.at, "use up to 64 letters, digits and signs", `command name "%s" is not plain`, brief(spec.name))
		return
	}
	if spec.lock != nil && !printable(*spec.lock, '!') {
		c.fail(spec.at, "use letters, digits, dots", `lock group "%s" is no plain word`, brief(*spec.lock))
		return
	}
	cmd := c.add(a, spec)
	method, template, isRoute := strings.Cut(spec.name, " ")
	switch {
	case spec.name == Other:
	case spec.name == optionsName:
		a.options = cmd
	case isRoute:
		if err := a.routes.insert(method, template, cmd); err != nil {
			c.fail(spec.at, "routes are like GET /api/v1/messages/{id}", "route %q: %v", spec.name, err)
		}
	case a.by == byRoute:
		c.fail(spec.at, "routes are like GET /api/v1/messages/{id}", "command %q of %s has no path", spec.name, a.name)
	case strings.Contains(spec.name, "*"):
		a.globs = append(a.globs, newGlob(cmd))
	default:
		c.plain(a, spec.at, cmd)
	}
}

func (c *compiler) plain(a *api, at place, cmd *Command) {
	a.exact.set(cmd.Name, cmd)
	if a.folded == nil {
		return
	}
	low := strings.ToLower(cmd.Name)
	if old := a.folded[low]; old != nil {
		c.fail(at, "", "commands %s and %s differ in case alone, which %s ignores", old.Name, cmd.Name, a.name)
		return
	}
	a.folded[low] = cmd
}

func newGlob(cmd *Command) glob {
	g := glob{command: cmd}
	for _, part := range strings.Split(cmd.Name, "*") {
		g.parts = append(g.parts, []byte(part))
	}
	return g
}

// add makes the command and gives it its index.
func (c *compiler) add(a *api, spec *commandSpec) *Command {
	class := ClassUnknown
	if spec.class != nil {
		class = *spec.class
	}
	is := func(b *bool) bool { return b != nil && *b }
	cmd := &Command{
		Index: len(c.set.commands), API: a.name, Name: spec.name, Class: class,
		Canary: is(spec.canary), Admin: is(spec.admin), Slow: is(spec.slow), Pow: is(spec.pow), Probe: is(spec.probe),
	}
	if spec.lock != nil {
		cmd.Lock = *spec.lock
	}
	d := c.classes[class]
	cmd.Warn, cmd.Critical = c.budgets(&spec.budgetSpec, "command "+spec.name, d.warn, d.critical)
	if spec.name == Other {
		a.other = cmd
	}
	if len(c.set.commands) == maxCommands {
		c.fail(spec.at, "", "more than %d commands", maxCommands)
	}
	c.set.commands = append(c.set.commands, cmd)
	c.specs = append(c.specs, spec)
	return cmd
}

// digest hashes what decides: the names of everything, and what each means.
// Settings are left to those who know their defaults.
func digest(s *Set) string {
	h := sha256.New()
	for _, a := range s.apis {
		fmt.Fprintf(h, "api %q %s %q %t\n", a.name, namings[a.by], a.key, a.folded != nil)
	}
	params := slices.Clone(s.params)
	slices.SortFunc(params, func(a, b param) int { return strings.Compare(a.name, b.name) })
	for _, p := range params {
		fmt.Fprintf(h, "parameter %q %s\n", p.name, keepNames[p.keep])
	}
	for _, c := range s.commands {
		fmt.Fprintf(h, "command %q %q %s %s %s %q %t %t %t %t %t",
			c.API, c.Name, c.Class, c.Warn, c.Critical, c.Lock, c.Canary, c.Admin, c.Slow, c.Pow, c.Probe)
		if e := c.Expect; e != nil {
			fmt.Fprintf(h, " %d %v %v", e.Longest, e.Numbers, e.Elements)
		}
		fmt.Fprintln(h)
	}
	for _, a := range s.alerts {
		fmt.Fprintf(h, "alert %q %s %s %q %d %s %s %s %q\n", a.Name, a.On, a.By, a.When, a.MoreThan, a.Within, a.For, a.Severity, a.Summary)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
