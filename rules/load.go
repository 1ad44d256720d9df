package rules

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

//go:embed packs/*.yaml
var packs embed.FS

// packNames are the embedded packs in the order they are read. The order of
// commands, and so their Index, follows from it; so does which API is asked
// first when none is selected.
var packNames = []string{
	"classes.yaml", "iri.yaml", "jsonrpc.yaml", "ethereum.yaml", "erigon.yaml", "iota-rebased.yaml", "bitcoin-core.yaml",
	"rest.yaml", "hornet-v1.yaml", "hornet-v2.yaml", "goshimmer.yaml",
}

// Source is a rule file in memory. Name is for errors.
type Source struct {
	Name string
	Data []byte
}

// Load reads the embedded packs and then files, each laid over what came
// before: a class, API or command that is known already is changed where the
// file says something, a new one is added. All or nothing: with an error there
// is no Set.
func Load(files ...string) (*Set, error) {
	if len(files) == 0 {
		return Default(), nil
	}
	return LoadOver(nil, files...)
}

// LoadOver is Load with sources laid over the files.
func LoadOver(over []Source, files ...string) (*Set, error) {
	sources := embedded()
	ours := len(sources)
	for _, name := range files {
		data, err := readLimited(name)
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		sources = append(sources, Source{name, data})
	}
	return compileSources(ours, append(sources, over...))
}

func readLimited(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

func embedded() []Source {
	var sources []Source
	for _, name := range packNames {
		data, err := packs.ReadFile("packs/" + name)
		if err != nil {
			panic("rules: " + err.Error())
		}
		sources = append(sources, Source{name, data})
	}
	return sources
}

var defaultSet = sync.OnceValue(func() *Set {
	s, err := LoadOver(nil)
	if err != nil {
		panic("rules: embedded packs: " + err.Error())
	}
	return s
})

// Default returns the embedded packs.
func Default() *Set { return defaultSet() }

// Compile makes a Set of sources alone, in order, without the embedded packs.
// Its error joins all FileErrors, up to a bound.
func Compile(sources ...Source) (*Set, error) { return compileSources(0, sources) }

// compileSources trusts the first ours sources, the embedded packs, not to be
// nested too deep: a test has looked, so that no start has to.
func compileSources(ours int, sources []Source) (*Set, error) {
	var whole fileSpec
	var errs []error
	sources = slices.Clone(sources)
	for i := range sources {
		sources[i].Data = Trim(sources[i].Data)
		src := sources[i]
		r := &reader{file: src.Name, ours: i < ours}
		f := r.readFile(src.Data)
		if len(r.errs) == 0 {
			r.errs = f.check()
		}
		if len(r.errs) == 0 {
			r.errs = whole.overlay(f)
		}
		errs = append(errs, r.errs...)
	}
	var s *Set
	if len(errs) == 0 {
		s, errs = compile(&whole)
	}
	if s != nil {
		s.sources = sources
	}
	if len(errs) > maxErrors {
		errs = append(errs[:maxErrors:maxErrors], fmt.Errorf("and %d more", len(errs)-maxErrors))
	}
	quote(errs, sources) // of those that are told only: finding a line takes a walk through the file
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// maxLine bounds a line that an error shows.
const maxLine = 160

// quote gives each error the line that it speaks of.
func quote(errs []error, sources []Source) {
	for _, err := range errs {
		e, ok := err.(*FileError)
		if !ok || e.Line < 1 {
			continue
		}
		for i := range sources {
			if sources[i].Name != e.File {
				continue
			}
			line := strings.ReplaceAll(lineOf(sources[i].Data, e.Line), "\t", " ")
			if plainLine(line) {
				e.Text = line
			}
		}
	}
}

// plainLine reports whether a terminal shows a line as it stands, a column a
// byte.
func plainLine(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= maxLine
}

// Point gives a FileError that was made after loading, as by Setting.Errorf,
// the line that it speaks of.
func (s *Set) Point(err error) error {
	quote([]error{err}, s.all.sources)
	return err
}

// check finds what stands twice in one file.
func (f *fileSpec) check() (errs []error) {
	apis := map[string]place{}
	for _, a := range f.apis {
		errs = once(errs, apis, "API", a.name, a.at)
		commands := map[string]place{}
		for _, c := range a.commands {
			errs = once(errs, commands, "command", c.name, c.at)
		}
		params := map[string]place{}
		for _, p := range a.params {
			errs = once(errs, params, "parameter", p.name, p.at)
		}
	}
	settings := map[string]place{}
	for _, s := range f.settings {
		errs = once(errs, settings, "setting", s.Detector+" "+s.Name, s.at)
	}
	alerts := map[string]place{}
	for _, a := range f.alerts {
		errs = once(errs, alerts, "alert", a.name, a.at)
	}
	return errs
}

func once(errs []error, seen map[string]place, what, name string, at place) []error {
	if first, ok := seen[name]; ok {
		return append(errs, at.errorf("", `%s "%s" stands twice, first at %d:%d`, what, brief(name), first.line, first.column))
	}
	seen[name] = at
	return errs
}

// overlay lays f over w.
func (w *fileSpec) overlay(f *fileSpec) (errs []error) {
	for c := range f.classes {
		w.classes[c].overlay(f.classes[c])
	}
	for _, a := range f.apis {
		if old := w.api(a.name); old != nil {
			errs = append(errs, old.overlay(a)...)
		} else {
			w.apis = append(w.apis, a)
		}
	}
	w.settings = overlaySettings(w.settings, f.settings)
	w.alerts = overlayAlerts(w.alerts, f.alerts)
	return errs
}

func (w *fileSpec) api(name string) *apiSpec {
	for _, a := range w.apis {
		if a.name == name {
			return a
		}
	}
	return nil
}

// set replaces old by new if a file said new.
func set[T any](old **T, new *T) {
	if new != nil {
		*old = new
	}
}

func (b *budgetSpec) overlay(n budgetSpec) {
	if n.warn != nil || n.critical != nil {
		b.at = n.at
	}
	set(&b.warn, n.warn)
	set(&b.critical, n.critical)
}

func (a *apiSpec) overlay(n *apiSpec) (errs []error) {
	if n.by != nil && a.by != nil && *n.by != *a.by {
		errs = append(errs, n.at.errorf("give it another name", "API %s is named_by %s already", a.name, namings[*a.by]))
	}
	set(&a.by, n.by)
	set(&a.key, n.key)
	set(&a.fold, n.fold)
	a.params = append(a.params, n.params...) // the last one of a name holds
	for _, c := range n.commands {
		if old := a.command(c.name); old != nil {
			old.overlay(c)
		} else {
			a.commands = append(a.commands, c)
		}
	}
	return errs
}

func (a *apiSpec) command(name string) *commandSpec {
	for _, c := range a.commands {
		if c.name == name {
			return c
		}
	}
	return nil
}

// overlay changes what n says. A new class brings its own budgets: those that
// an earlier file set for the old one would surprise.
func (c *commandSpec) overlay(n *commandSpec) {
	if n.class != nil {
		c.class = n.class
		c.warn, c.critical = nil, nil
	}
	c.budgetSpec.overlay(n.budgetSpec)
	set(&c.lock, n.lock)
	set(&c.canary, n.canary)
	set(&c.admin, n.admin)
	set(&c.slow, n.slow)
	set(&c.pow, n.pow)
	set(&c.probe, n.probe)
	c.expect.overlay(&n.expect)
}
