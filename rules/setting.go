package rules

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Setting is one value below the key `detectors` of a rule file. This package
// does not know the detectors: whoever does takes the values with Into, and
// refuses what it does not know with Errorf, so that those errors have their
// place too.
type Setting struct {
	Detector, Name string
	node           ast.Node
	at, value      place // of the name and of the value
	section        place // of the detector's name
}

// maxSettings bounds the settings of a Set.
const maxSettings = 1000

// Settings returns what the rule files set, in order of first appearance; of
// a setting that stands in several files the last one.
func (s *Set) Settings() []Setting { return s.all.settings }

// Value returns the value as it was written, escaped.
func (s *Setting) Value() string { return brief(s.node.GetToken().Value) }

// Errorf returns a FileError at the setting's name.
func (s *Setting) Errorf(hint, format string, args ...any) error {
	return s.at.errorf(hint, format, args...)
}

// ErrorfDetector returns a FileError at the detector's name.
func (s *Setting) ErrorfDetector(hint, format string, args ...any) error {
	return s.section.errorf(hint, format, args...)
}

// ErrorfValue returns a FileError at the setting's value.
func (s *Setting) ErrorfValue(hint, format string, args ...any) error {
	return s.value.errorf(hint, format, args...)
}

// Into reads the value as the type of p, which is a pointer to an int,
// uint64, float64, bool or time.Duration, and leaves *p alone if it does not
// fit.
func (s *Setting) Into(p any) error {
	switch p := p.(type) {
	case *bool:
		b, ok := s.node.(*ast.BoolNode)
		if !ok {
			return s.ErrorfValue("", "%s is %s, want true or false", s.Name, describe(s.node))
		}
		*p = b.Value
	case *int:
		n, err := s.number(math.MaxInt32)
		if err != nil {
			return err
		}
		*p = int(n)
	case *uint64:
		n, err := s.number(math.MaxInt64)
		if err != nil {
			return err
		}
		*p = n
	case *float64:
		return s.float(p)
	case *time.Duration:
		return s.duration(p)
	default:
		panic(fmt.Sprintf("rules: a setting of type %T", p))
	}
	return nil
}

func (s *Setting) number(most uint64) (uint64, error) {
	n, ok := s.node.(*ast.IntegerNode)
	if !ok {
		return 0, s.ErrorfValue("", "%s is %s, want a whole number", s.Name, describe(s.node))
	}
	x, err := strconv.ParseUint(fmt.Sprint(n.Value), 10, 64)
	if err != nil || x > most {
		return 0, s.ErrorfValue("", "%s is %s, want a number from 0 to %d", s.Name, describe(s.node), most)
	}
	return x, nil
}

func (s *Setting) float(p *float64) error {
	switch n := s.node.(type) {
	case *ast.FloatNode:
		*p = n.Value
		return nil
	case *ast.IntegerNode:
		x, err := s.number(1 << 53)
		if err == nil {
			*p = float64(x)
		}
		return err
	}
	return s.ErrorfValue("", "%s is %s, want a number", s.Name, describe(s.node))
}

func (s *Setting) duration(p *time.Duration) error {
	r := reader{file: s.value.file}
	if d := r.span(s.node, s.Name); d != nil {
		*p = *d
		return nil
	}
	return r.errs[0]
}

// detectors reads the settings of all detectors: a mapping of mappings of
// plain values.
func (r *reader) detectors(n ast.Node, f *fileSpec) {
	r.pairs(n, "detectors", func(kv *ast.MappingValueNode, detector string) {
		section := r.at(kv.Key)
		r.pairs(kv.Value, "detector "+brief(detector), func(kv *ast.MappingValueNode, name string) {
			switch kv.Value.(type) {
			case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
			default:
				r.fail(kv.Value, "", "%s is %s, want a plain value", brief(name), describe(kv.Value))
				return
			}
			f.settings = append(f.settings, Setting{detector, name, kv.Value, r.at(kv.Key), r.at(kv.Value), section})
		})
	})
}

// overlaySettings lays new settings over old ones.
func overlaySettings(old, add []Setting) []Setting {
	for _, n := range add {
		found := false
		for i := range old {
			if found = old[i].Detector == n.Detector && old[i].Name == n.Name; found {
				old[i] = n
				break
			}
		}
		if !found {
			old = append(old, n)
		}
	}
	return old
}
