package rules

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// alertSpec is a free rule as a file says it. A nil pointer is what it did
// not say.
type (
	alertSpec struct {
		at       place
		name     string
		on       *On
		when     textAt
		by       *By
		byAt     place
		moreThan *countSpec
		hold     *time.Duration
		severity *Severity
		summary  *textAt
	}
	countSpec struct {
		at     place
		n      int
		within time.Duration
	}
	// textAt is a text that has an inner structure, and where it starts.
	textAt struct {
		at   place
		text string
		// block: the text stands in lines of its own below the key, indented;
		// folded: the same, with its lines joined, so that nothing within it
		// can be pointed at.
		block, folded bool
		indent        int
	}
)

// place returns where the byte at line (from 1) and column (from 0) of the
// text stands in the file. An escape in a quoted text shifts what follows it
// on the same line: the line is right, the column near.
func (t *textAt) place(line, column int) place {
	p := t.at
	switch {
	case p.line == 0, t.folded:
	case t.block:
		p.line += line
		p.column = t.indent + column + 1
	case line > 1:
		p.line += line - 1
	default:
		p.column += column
	}
	return p
}

// structured reads a text and remembers where its first letter is.
func (r *reader) structured(n ast.Node, what string) textAt {
	t := textAt{at: r.at(n)}
	if l, ok := n.(*ast.LiteralNode); ok {
		t.text = strings.TrimRight(l.Value.Value, "\n")
		t.block = true
		t.at = place{file: r.file}
		if tk := l.Start; tk != nil && tk.Position != nil {
			t.at.line, t.at.column = tk.Position.Line, tk.Position.Column
			t.folded = tk.Type == token.FoldedType
		}
		t.indent = r.indent(t.at.line + 1)
		return t
	}
	t.text = r.text(n, what)
	if tk := n.GetToken(); tk != nil && (tk.Type == token.DoubleQuoteType || tk.Type == token.SingleQuoteType) {
		t.at.column++
	}
	return t
}

// indent counts the spaces at the start of a line of the file.
func (r *reader) indent(line int) int {
	text := lineOf(r.data, line)
	return len(text) - len(strings.TrimLeft(text, " "))
}

// lineOf returns a line of data, from 1; "" if there is none.
func lineOf(data []byte, line int) string {
	for ; line > 1; line-- {
		_, after, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			return ""
		}
		data = after
	}
	text, _, _ := bytes.Cut(data, []byte("\n"))
	return strings.TrimRight(string(text), "\r")
}

func (r *reader) alert(n ast.Node) *alertSpec {
	a, before := &alertSpec{at: r.at(n)}, len(r.errs)
	r.mapping(n, "a free rule",
		field{"alert", func(n ast.Node) { a.at, a.name = r.at(n), r.camel(n) }},
		field{"on", func(n ast.Node) { a.on = choose[On](r, n, "on", onNames[:]) }},
		field{"when", func(n ast.Node) { a.when = r.structured(n, "when") }},
		field{"by", func(n ast.Node) { a.byAt, a.by = r.at(n), choose[By](r, n, "by", byNames[:]) }},
		field{"more_than", func(n ast.Node) { a.moreThan = r.count(n) }},
		field{"for", func(n ast.Node) { a.hold = r.spanTo(n, "for", 0, maxFor) }},
		field{"severity", func(n ast.Node) {
			if s := choose[Severity](r, n, "severity", severityNames[1:]); s != nil {
				*s++ // the names begin at Info
				a.severity = s
			}
		}},
		field{"summary", func(n ast.Node) { t := r.structured(n, "summary"); a.summary = &t }},
	)
	switch {
	case len(r.errs) > before:
	case a.name == "":
		r.errs = append(r.errs, a.at.errorf("add alert: NameOfIt", "a free rule has no alert"))
	case a.when.text == "":
		r.errs = append(r.errs, a.at.errorf("add when: an expression", "free rule %s does not say when", a.name))
	}
	return a
}

// choose reads a word of a closed list as an enum that counts from 0.
func choose[T ~uint8](r *reader, n ast.Node, what string, names []string) *T {
	i, ok := r.oneOf(n, what, names)
	if !ok {
		return nil
	}
	x := T(i)
	return &x
}

// camel reads the name of an alert: it becomes a label, and a part of URLs.
func (r *reader) camel(n ast.Node) string {
	s := r.text(n, "alert")
	ok := len(s) > 2 && len(s) <= 48 && s[0] >= 'A' && s[0] <= 'Z'
	for i := range len(s) {
		c := s[i] | 0x20
		ok = ok && (c >= 'a' && c <= 'z' || s[i] >= '0' && s[i] <= '9')
	}
	if s != "" && !ok {
		r.fail(n, "like TooManyTips: 3 to 48 letters and digits", `alert "%s" is no name in camel case`, brief(s))
		return ""
	}
	return s
}

// count reads "20 per 10s", or a number alone.
func (r *reader) count(n ast.Node) *countSpec {
	const want = "like 20 per 10s"
	c := &countSpec{at: r.at(n)}
	text := ""
	if i, ok := n.(*ast.IntegerNode); ok {
		text = i.GetToken().Value
	} else if text = r.text(n, "more_than"); text == "" {
		return nil
	}
	number, per, timed := strings.Cut(text, " per ")
	x, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || x < 0 || x > 1e9 {
		r.fail(n, want, `more_than "%s" is no count`, brief(text))
		return nil
	}
	c.n = x
	if !timed {
		return c
	}
	d, err := time.ParseDuration(strings.TrimSpace(per))
	if err != nil || d < minWindow || d > maxWindow {
		r.fail(n, want, `more_than counts per "%s", which is no time from %s to %s`, brief(per), minWindow, maxWindow)
		return nil
	}
	c.within = d
	return c
}
