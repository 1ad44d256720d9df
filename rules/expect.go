package rules

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Expect is what the arguments of a command are like when an honest client
// sends them. It is judged by the Shape, so without their values.
type Expect struct {
	Longest  int // elements of the longest list that a client needs; 0: any
	Numbers  []NumberRange
	Elements []ElementSizes
}

// NumberRange is what values a parameter has; one that is absent or no number
// is not judged.
type NumberRange struct {
	Parameter string
	Low, High int64
}

// ElementSizes are the lengths that the elements of a list may have, in bytes
// of their texts. The shortest and the longest are judged: one between two
// that are right passes.
type ElementSizes struct {
	Parameter string
	Sizes     []int
}

// Bounds of what a file may expect.
const (
	// maxExpected bounds the parameters of each kind: a Shape has no more.
	maxExpected = MaxShapeKeys
	// maxSizes bounds the lengths of one list's elements.
	maxSizes = 8
	// maxElement is the longest that a Shape can tell from longer ones.
	maxElement = math.MaxUint16 - 1
	// maxLongest bounds longest_list: no body that a node takes holds more.
	maxLongest = 1 << 20
)

// Unexpected returns the first parameter of the request that is not as its
// command's Expect says, "" if all are.
func (v *Verdict) Unexpected() string {
	e, s := v.Command.Expect, &v.Shape
	if e == nil || s.n == 0 {
		return ""
	}
	for i := range e.Numbers {
		r := &e.Numbers[i]
		if x, ok := s.Int(r.Parameter); ok && (x < r.Low || x > r.High) {
			return r.Parameter
		}
	}
	for i := range e.Elements {
		if e.Elements[i].missed(s) {
			return e.Elements[i].Parameter
		}
	}
	if e.Longest > 0 {
		for i := range int(s.n) {
			if s.kinds[i] == KindArray && list(s.vals[i]).len() > int64(e.Longest) {
				return (*s.params)[s.ids[i]].name
			}
		}
	}
	return ""
}

// missed reports whether the list has an element of another length. One whose
// elements were all cut off says nothing.
func (e *ElementSizes) missed(s *Shape) bool {
	i := s.find(e.Parameter)
	if i < 0 || s.kinds[i] != KindArray {
		return false
	}
	l := list(s.vals[i])
	return l.known() && (!slices.Contains(e.Sizes, l.least()) || !slices.Contains(e.Sizes, l.most()))
}

// Bare reports whether the request is the kind of check that its command's
// Probe speaks of: it names the command and nothing else.
func (v *Verdict) Bare() bool { return v.Command.Probe && v.Shape.Params() == 0 && !v.Cut }

// expectSpec is what a file says. A nil slice or pointer is what it did not.
type expectSpec struct {
	longest  *int64
	numbers  []rangeSpec
	elements []sizesSpec
}

type (
	rangeSpec struct {
		at place
		NumberRange
	}
	sizesSpec struct {
		at place
		ElementSizes
	}
)

func (e *expectSpec) overlay(n *expectSpec) {
	set(&e.longest, n.longest)
	if n.numbers != nil {
		e.numbers = n.numbers
	}
	if n.elements != nil {
		e.elements = n.elements
	}
}

// fields are the keys of a command that make its Expect.
func (e *expectSpec) fields(r *reader) []field {
	return []field{
		{"longest_list", func(n ast.Node) {
			if x, ok := r.whole(n, "longest_list", 1, maxLongest); ok {
				e.longest = &x
			}
		}},
		{"numbers", func(n ast.Node) {
			e.numbers = []rangeSpec{}
			r.parameter(n, "numbers", func(at place, name string, n ast.Node) {
				if low, high, ok := r.numbers(n, name); ok {
					e.numbers = append(e.numbers, rangeSpec{at, NumberRange{name, low, high}})
				}
			})
		}},
		{"elements", func(n ast.Node) {
			e.elements = []sizesSpec{}
			r.parameter(n, "elements", func(at place, name string, n ast.Node) {
				e.elements = append(e.elements, sizesSpec{at, ElementSizes{name, r.sizes(n, name)}})
			})
		}},
	}
}

// parameter calls f for each parameter of the mapping n.
func (r *reader) parameter(n ast.Node, what string, f func(at place, name string, n ast.Node)) {
	seen := map[string]place{}
	r.pairs(n, what, func(kv *ast.MappingValueNode, name string) {
		at := r.at(kv.Key)
		r.errs = once(r.errs, seen, "parameter", name, at)
		if len(seen) > maxExpected {
			r.fail(kv.Key, "", "%s has more than %d parameters", what, maxExpected)
			return
		}
		f(at, name, kv.Value)
	})
}

// whole reads a whole number from low to high.
func (r *reader) whole(n ast.Node, what string, low, high int64) (int64, bool) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		r.fail(n, "", "%s is %s, want a number", what, describe(n))
		return 0, false
	}
	x, err := strconv.ParseInt(i.GetToken().Value, 10, 64)
	if err != nil || x < low || x > high {
		r.fail(n, "", "%s %s is not between %d and %d", what, brief(i.GetToken().Value), low, high)
		return 0, false
	}
	return x, true
}

// numbers reads "1 to 15".
func (r *reader) numbers(n ast.Node, what string) (low, high int64, ok bool) {
	const want = "like 1 to 15"
	text, isText := n.(*ast.StringNode)
	if !isText {
		r.fail(n, want, "%s is %s, want a range", what, describe(n))
		return 0, 0, false
	}
	from, to, _ := strings.Cut(text.Value, " to ")
	low, err1 := strconv.ParseInt(strings.TrimSpace(from), 10, 64)
	high, err2 := strconv.ParseInt(strings.TrimSpace(to), 10, 64)
	if err1 != nil || err2 != nil || low > high {
		r.fail(n, want, `%s "%s" is no range`, what, brief(text.Value))
		return 0, 0, false
	}
	return low, high, true
}

// sizes reads a length, or a list of them.
func (r *reader) sizes(n ast.Node, what string) (sizes []int) {
	nodes := []ast.Node{n}
	if s, ok := n.(*ast.SequenceNode); ok {
		nodes = s.Values
	}
	if len(nodes) == 0 || len(nodes) > maxSizes {
		r.fail(n, "like 81 or [81, 90]", "%s has %d lengths, want 1 to %d", what, len(nodes), maxSizes)
		return nil
	}
	for _, n := range nodes {
		if x, ok := r.whole(n, what, 0, maxElement); ok && !slices.Contains(sizes, int(x)) {
			sizes = append(sizes, int(x))
		}
	}
	slices.Sort(sizes)
	return sizes
}

// keeps are the Keeps that files gave a parameter, a bit each. One that an
// operator's file keeps less of than the packs do is simply not judged; one of
// which no file ever kept enough is a slip of the pen.
type keeps uint8

// expect makes the Expect of a command, nil if it has none.
func (c *compiler) expect(spec *expectSpec) *Expect {
	e := &Expect{}
	if spec.longest != nil {
		e.Longest = int(*spec.longest)
	}
	for _, n := range spec.numbers {
		if c.known(n.at, n.Parameter) && c.kept[n.Parameter]&(1<<KeepNumber) == 0 {
			c.fail(n.at, "list it below number", `the value of the parameter "%s" is not kept`, n.Parameter)
		}
		e.Numbers = append(e.Numbers, n.NumberRange)
	}
	for _, l := range spec.elements {
		if c.known(l.at, l.Parameter) && c.kept[l.Parameter] == 1<<KeepNothing {
			c.fail(l.at, "", `of the parameter "%s" nothing is kept`, l.Parameter)
		}
		e.Elements = append(e.Elements, l.ElementSizes)
	}
	if e.Longest == 0 && e.Numbers == nil && e.Elements == nil {
		return nil
	}
	return e
}

// known reports whether the Set has the parameter.
func (c *compiler) known(at place, name string) bool {
	if c.kept[name] != 0 {
		return true
	}
	names := make([]string, len(c.set.params))
	for i := range c.set.params {
		names[i] = c.set.params[i].name
	}
	c.fail(at, Hint(name, names), `no parameter is named "%s"`, brief(name))
	return false
}

// appendYAML writes the keys as a rule file has them, each behind a comma.
func (e *Expect) appendYAML(b *strings.Builder) {
	if e == nil {
		return
	}
	if e.Longest > 0 {
		fmt.Fprintf(b, ", longest_list: %d", e.Longest)
	}
	for i, n := range e.Numbers {
		fmt.Fprintf(b, "%s%s: %d to %d", opening(i, "numbers"), quoted(n.Parameter), n.Low, n.High)
	}
	if len(e.Numbers) > 0 {
		b.WriteByte('}')
	}
	for i, l := range e.Elements {
		fmt.Fprintf(b, "%s%s: %s", opening(i, "elements"), quoted(l.Parameter), strings.ReplaceAll(fmt.Sprint(l.Sizes), " ", ", "))
	}
	if len(e.Elements) > 0 {
		b.WriteByte('}')
	}
}

// opening is what stands before the i-th entry of a mapping.
func opening(i int, key string) string {
	if i == 0 {
		return ", " + key + ": {"
	}
	return ", "
}
