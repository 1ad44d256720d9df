package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"stallwatch/rules"
)

// A rule file sets Options by name: below `detectors`, the name of an alert
// (or "engine" for what all share) and the field's name in snake case. The
// names, types and defaults are read off Options itself, so that a new
// threshold is a new setting; settingDocs says what each means, and a test
// fails for a field that it does not know.

// engineSection holds the settings that belong to no detector.
const engineSection = "engine"

// sections maps the structs of Options to the alerts that they are for, where
// the names differ.
var sections = map[string]string{
	"CloseWait":    "CloseWaitBuildup",
	"Descriptors":  "DescriptorExhaustion",
	"Unresponsive": "NodeUnresponsive",
	"AcceptQueue":  "AcceptQueueFull",
}

// Setting is one value of Options that a rule file may set.
type Setting struct {
	Detector, Name string
	Type           string // count, duration, number, flag
	Value, Default string
	Doc            string
}

// setting is a field of an Options value.
type setting struct {
	detector, name string
	field          reflect.Value // settable
}

// enabled is the setting that every detector has beside its thresholds.
const enabled = "enabled"

// walk returns the settings of o, in the order of its fields.
func (o *Options) walk() []setting {
	var list []setting
	v := reflect.ValueOf(o).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case isSetting(f.Type):
			list = append(list, setting{engineSection, snake(f.Name), v.Field(i)})
		case f.Type.Kind() == reflect.Struct:
			name := f.Name
			if alert := sections[name]; alert != "" {
				name = alert
			}
			list = walkStruct(list, name, "", v.Field(i))
		}
	}
	return list
}

func walkStruct(list []setting, detector, prefix string, v reflect.Value) []setting {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case isSetting(f.Type):
			list = append(list, setting{detector, prefix + snake(f.Name), v.Field(i)})
		case f.Type.Kind() == reflect.Struct:
			list = walkStruct(list, detector, prefix+snake(f.Name)+"_", v.Field(i))
		}
	}
	return list
}

func isSetting(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Int, reflect.Uint64, reflect.Float64, reflect.Bool, reflect.Int64:
		return true
	}
	return false
}

// snake turns FDLimit into fd_limit and OtherGET into other_get.
func snake(name string) string {
	var b strings.Builder
	rs := []rune(name)
	for i, r := range rs {
		upper := unicode.IsUpper(r)
		if upper && i > 0 && (!unicode.IsUpper(rs[i-1]) || i+1 < len(rs) && !unicode.IsUpper(rs[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func (s *setting) typeName() string {
	switch s.field.Interface().(type) {
	case time.Duration:
		return "duration"
	case float64:
		return "number"
	case bool:
		return "flag"
	}
	return "count"
}

// Settings returns every setting of o with its value: what a rule file may
// set, and what holds.
func (o Options) Settings() []Setting {
	var defaults Options
	defaults.setDefaults()
	o.setDefaults()
	var list []Setting
	standard := defaults.walk()
	for i, s := range o.walk() {
		list = append(list, Setting{Detector: s.detector, Name: s.name, Type: s.typeName(),
			Value: fmt.Sprint(s.field.Interface()), Default: fmt.Sprint(standard[i].field.Interface()),
			Doc: settingDocs[s.detector+"."+s.name]})
	}
	for _, name := range DetectorNames() {
		list = append(list, Setting{Detector: name, Name: enabled, Type: "flag", Value: fmt.Sprint(!o.isOff(name)), Default: "true",
			Doc: "false: it raises nothing"})
	}
	slices.SortStableFunc(list, func(a, b Setting) int { return order(a.Detector) - order(b.Detector) })
	return list
}

// order puts a detector's settings together, and the engine's first.
func order(detector string) int { return slices.Index(DetectorNames(), detector) }

// DetectorNames returns the names of the detectors, in the order in which they
// are asked.
func DetectorNames() []string {
	var names []string
	for _, d := range captureDetectors {
		names = append(names, d.name())
	}
	for _, d := range nodeDetectors {
		names = append(names, d.name())
	}
	return names
}

// isOff reports whether a detector was switched off.
func (o *Options) isOff(name string) bool {
	return len(o.Off) > 0 && slices.Contains(o.Off, name)
}

// WithRules returns o with set as its Rules and with the settings that the
// rule files made. What o has set already stays: a flag of the command line
// goes before a file. The error joins rules.FileErrors; o is whole or not at
// all.
func (o Options) WithRules(set *rules.Set) (Options, error) {
	a := applier{base: o, set: set}
	next, errs := a.apply(none)
	if len(errs) == 0 {
		if err := next.Validate(); err != nil {
			errs = append(errs, a.blame(err))
		}
	}
	for _, r := range set.Alerts() {
		if slices.Contains(DetectorNames(), r.Name) {
			errs = append(errs, set.Point(r.Errorf("give it a name of its own", "%s is an alert of the program", r.Name)))
		}
	}
	if len(errs) > 0 {
		return Options{}, errors.Join(errs...)
	}
	next.Rules = set
	return next, nil
}

// Digest identifies the rules with the settings of their files: the first 8
// bytes of a SHA-256, in hex. A setting that says its default, or the same
// value in other letters, makes no other rules; flags of the command line are
// not in it.
func Digest(set *rules.Set) string {
	o, err := Options{}.WithRules(set)
	if err != nil {
		return set.Digest() // of rules that cannot be in force
	}
	h := sha256.New()
	changed := false
	for _, s := range o.Settings() {
		if s.Value != s.Default {
			changed = true
			fmt.Fprintf(h, "setting %s %s %s\n", s.Detector, s.Name, s.Value)
		}
	}
	if !changed {
		return set.Digest()
	}
	fmt.Fprintf(h, "rules %s\n", set.Digest())
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// applier lays the settings of a Set over Options.
type applier struct {
	base Options
	set  *rules.Set
}

// apply lays all settings but the one with the index without over the base.
func (a *applier) apply(without int32) (o Options, errs []error) {
	o = a.base
	o.Off = slices.Clone(o.Off)
	fields := o.walk()
	settings := a.set.Settings()
	for i := range settings {
		if int32(i) == without {
			continue
		}
		if err := a.one(&o, fields, &settings[i]); err != nil {
			errs = append(errs, a.set.Point(err))
		}
	}
	return o, errs
}

func (a *applier) one(o *Options, fields []setting, s *rules.Setting) error {
	if s.Name == enabled && order(s.Detector) >= 0 {
		on := true
		err := s.Into(&on)
		if !on && !o.isOff(s.Detector) {
			o.Off = append(o.Off, s.Detector)
		}
		return err
	}
	var names []string
	for i := range fields {
		f := &fields[i]
		if f.detector != s.Detector {
			continue
		}
		if f.name == s.Name {
			return a.fill(f, s)
		}
		names = append(names, f.name)
	}
	if len(names) == 0 && order(s.Detector) < 0 {
		return s.ErrorfDetector(rules.Hint(s.Detector, append(DetectorNames(), engineSection)), "no detector is named %q", rules.Escape([]byte(s.Detector), rules.MaxRaw))
	}
	if s.Detector != engineSection {
		names = append(names, enabled)
	}
	return s.Errorf(rules.Hint(s.Name, names), "%s has no setting %q", s.Detector, rules.Escape([]byte(s.Name), rules.MaxRaw))
}

// fill reads a value into a field that is not set yet.
func (a *applier) fill(f *setting, s *rules.Setting) error {
	fresh := reflect.New(f.field.Type())
	if err := s.Into(fresh.Interface()); err != nil {
		return err
	}
	if fresh.Elem().IsZero() && f.field.Kind() != reflect.Bool {
		return s.ErrorfValue("", "%s is 0: it must be greater than 0", s.Name)
	}
	if f.field.Kind() == reflect.Float64 && !(fresh.Elem().Float() > 0 && fresh.Elem().Float() < 1e12) {
		return s.ErrorfValue("", "%s is %s: it must be a number greater than 0", s.Name, s.Value())
	}
	if f.field.IsZero() {
		f.field.Set(fresh.Elem())
	}
	return nil
}

// blame finds the setting whose absence would make sense of the whole, the
// last one that was written first.
func (a *applier) blame(err error) error {
	settings := a.set.Settings()
	for i := len(settings) - 1; i >= 0; i-- {
		if o, errs := a.apply(int32(i)); len(errs) == 0 && o.Validate() == nil {
			text, _, _ := strings.Cut(err.Error(), "\n")
			return a.set.Point(settings[i].ErrorfValue("", "%s", text))
		}
	}
	return fmt.Errorf("detectors: %w", err)
}
