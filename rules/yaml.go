package rules

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile bounds a rule file in bytes; the embedded packs have some 50 KiB.
const maxFile = 256 << 10

// maxErrors bounds how many errors of a file are told at once.
const maxErrors = 20

// FileError is what is wrong at a place of a rule file.
type FileError struct {
	File         string
	Line, Column int // 1-based; 0 if the whole file is meant
	Message      string
	Hint         string // what to do instead; may be empty
	Text         string // the line, escaped; may be empty
}

// Pointer returns the line and below it a caret at the column, "" if the line
// is not known. A line that had to be escaped or is longer than a screen is
// left out, since the caret would point past its mark.
func (e *FileError) Pointer() string {
	if e.Text == "" || e.Column < 1 || e.Column > len(e.Text)+1 {
		return ""
	}
	return e.Text + "\n" + strings.Repeat(" ", e.Column-1) + "^\n"
}

// Error returns "file:line:column: message (hint)".
func (e *FileError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": " + e.Message)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// reader turns a YAML file into specs. It is strict: a key that it does not
// know is an error, since a misspelt budget would silently be none.
type reader struct {
	file string
	ours bool // an embedded pack
	data []byte
	errs []error
}

// place is where in a file something stands.
type place struct {
	file         string
	line, column int
}

func (r *reader) at(n ast.Node) place {
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		return place{r.file, tk.Position.Line, tk.Position.Column}
	}
	return place{file: r.file}
}

func (p place) errorf(hint, format string, args ...any) error {
	return &FileError{File: p.file, Line: p.line, Column: p.column, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func (r *reader) fail(n ast.Node, hint, format string, args ...any) {
	r.errs = append(r.errs, r.at(n).errorf(hint, format, args...))
}

// parse returns the root of the only document in data, nil if it is empty.
func (r *reader) parse(data []byte) ast.Node {
	if len(data) > maxFile {
		r.errs = append(r.errs, place{file: r.file}.errorf("", "larger than %d bytes", maxFile))
		return nil
	}
	if !r.ours {
		if err := CheckText(r.file, data); err != nil {
			r.errs = append(r.errs, err)
			return nil
		}
	}
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		r.errs = append(r.errs, r.syntax(err))
		return nil
	}
	if len(f.Docs) > 1 {
		r.errs = append(r.errs, r.second(f.Docs[1]).errorf("use one file for each", "more than one document"))
		return nil
	}
	if len(f.Docs) == 0 || f.Docs[0].Body == nil {
		return nil
	}
	return f.Docs[0].Body
}

// second returns where a further document begins. It may have nothing in it,
// and then the library's own GetToken panics.
func (r *reader) second(d *ast.DocumentNode) place {
	if d.Start != nil && d.Start.Position != nil {
		return place{r.file, d.Start.Position.Line, d.Start.Position.Column}
	}
	if d.Body != nil {
		return r.at(d.Body)
	}
	return place{file: r.file}
}

func (r *reader) syntax(err error) error {
	p := place{file: r.file}
	var y yaml.Error
	if !errors.As(err, &y) {
		return p.errorf("", "not YAML: %s", Escape([]byte(err.Error()), maxQuoted))
	}
	if tk := y.GetToken(); tk != nil && tk.Position != nil {
		p.line, p.column = tk.Position.Line, tk.Position.Column
	}
	return p.errorf("", "not YAML: %s", Escape([]byte(y.GetMessage()), maxQuoted))
}

// field is a key that a mapping may have.
type field struct {
	name string
	read func(ast.Node)
}

// mapping reads n, a mapping of the given fields only.
func (r *reader) mapping(n ast.Node, what string, fields ...field) {
	r.pairs(n, what, func(key *ast.MappingValueNode, name string) {
		for _, f := range fields {
			if f.name == name {
				f.read(key.Value)
				return
			}
		}
		names := make([]string, len(fields))
		for i, f := range fields {
			names[i] = f.name
		}
		r.fail(key.Key, Hint(name, names), `unknown key "%s" of %s`, brief(name), what)
	})
}

// pairs calls f for each key and value of the mapping n.
func (r *reader) pairs(n ast.Node, what string, f func(kv *ast.MappingValueNode, name string)) {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		r.fail(n, "", "%s is %s, want a mapping", what, describe(n))
		return
	}
	for _, kv := range values {
		key, ok := kv.Key.(*ast.StringNode)
		if !ok {
			r.fail(kv.Key, "", "a key of %s is %s, want a name", what, describe(kv.Key))
			continue
		}
		f(kv, key.Value)
	}
}

// list calls f for each element of the sequence n.
func (r *reader) list(n ast.Node, what string, f func(ast.Node)) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fail(n, "start its lines with -", "%s is %s, want a list", what, describe(n))
		return
	}
	for _, e := range s.Values {
		f(e)
	}
}

func (r *reader) text(n ast.Node, what string) string {
	s, ok := n.(*ast.StringNode)
	if !ok {
		r.fail(n, "", "%s is %s, want a text", what, describe(n))
		return ""
	}
	return s.Value
}

func (r *reader) flag(n ast.Node, what string) *bool {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		r.fail(n, "", "%s is %s, want true or false", what, describe(n))
		return nil
	}
	return &b.Value
}

// oneOf reads a text of a closed list and returns its index.
func (r *reader) oneOf(n ast.Node, what string, names []string) (int, bool) {
	s := r.text(n, what)
	if s == "" {
		return 0, false
	}
	for i, name := range names {
		if name == s {
			return i, true
		}
	}
	r.fail(n, Hint(s, names), `unknown %s "%s"`, what, brief(s))
	return 0, false
}

const never = "never"

// maxBudget bounds a budget. More than a day is a slip of the pen.
const maxBudget = 24 * time.Hour

// budget reads a duration, 0 for never.
func (r *reader) budget(n ast.Node, what string) *time.Duration {
	if s, ok := n.(*ast.StringNode); ok && s.Value == never {
		return new(time.Duration)
	}
	return r.duration(n, what, `like 500ms, 10s, 2m, or never`, 1, maxBudget)
}

const wantSpan = `like 500ms, 10s, 2m`

// span reads a duration of more than nothing.
func (r *reader) span(n ast.Node, what string) *time.Duration {
	return r.duration(n, what, wantSpan, 1, maxBudget)
}

// spanTo reads a duration within bounds.
func (r *reader) spanTo(n ast.Node, what string, low, high time.Duration) *time.Duration {
	return r.duration(n, what, wantSpan, low, high)
}

// duration reads a duration from low to high; nil and an error otherwise.
func (r *reader) duration(n ast.Node, what, want string, low, high time.Duration) *time.Duration {
	if _, ok := n.(*ast.IntegerNode); ok {
		r.fail(n, "write the unit: "+want, "%s has no unit", what)
		return nil
	}
	before := len(r.errs)
	s := r.text(n, what)
	if len(r.errs) > before {
		return nil
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		r.fail(n, want, `%s "%s" is no duration`, what, brief(s))
		return nil
	case d < low || d > high:
		r.fail(n, want, "%s %s is not between 0 and %s", what, s, high)
		return nil
	}
	return &d
}

func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.NullNode:
		return "empty"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode:
		return "an anchor, alias or tag, which rule files do not have"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return `the text "` + brief(n.Value) + `"`
	case *ast.LiteralNode:
		return "a block of text"
	default:
		return describeToken(n.GetToken())
	}
}

func describeToken(tk *token.Token) string {
	if tk == nil {
		return "something else"
	}
	return brief(tk.Value)
}

// maxQuoted bounds what an error quotes of the YAML parser's own words.
const maxQuoted = 200

// brief is a piece of the file, fit for one line of a terminal.
func brief(s string) string { return Escape([]byte(s), maxName) }

// Nearest returns the one of names that is fewest letters away from got, and
// at most most of them or half of got; "" if none is.
func Nearest(got string, names []string, most int) string {
	best, least := "", min(most, len(got)/2)+1
	for _, name := range names {
		if d := distance(strings.ToLower(got), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// maxListed bounds the names that an error lists: one line of a screen.
const maxListed = 16

// Hint proposes the nearest of names for one that is not known, or lists them
// if none is near; "" if there are too many to list.
func Hint(got string, names []string) string {
	best := Nearest(got, names, len(got))
	if best != "" {
		return "did you mean " + best + "?"
	}
	if len(names) > maxListed {
		return ""
	}
	return "known: " + strings.Join(names, ", ")
}

// distance is the number of letters to change, add or drop (Levenshtein).
func distance(a, b string) int {
	if len(a) > maxName || len(b) > maxName {
		return maxName
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
