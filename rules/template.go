package rules

import (
	"strconv"
	"strings"
)

// maxSummary bounds a summary in bytes, before and after it is filled in.
const maxSummary = 300

// template is a summary: text between names. It holds no text of the wire,
// whatever its author wishes: summaries reach chats, pagers and terminals.
type template []piece

// piece is text, then a name; field or word is set.
type piece struct {
	text  string
	field *Field
	word  string
}

// words are what a summary knows besides the facts.
var summaryWords = []string{"alert", "count", "more_than", "within", "for", "severity", "shape"}

// SummaryNames returns the names that summaries of rules on o know.
func SummaryNames(o On) []string {
	names := append([]string(nil), summaryWords...)
	if o == OnNode {
		names = names[:len(names)-1]
	}
	for i := range fields {
		if fields[i].has(o) && !fields[i].wire {
			names = append(names, fields[i].Name)
		}
	}
	return names
}

// template compiles a summary: names stand in double braces, with or without
// text/template's dot.
func (c *compiler) template(on On, text textAt) template {
	if len(text.text) > maxSummary {
		c.fail(text.at, "", "summary is longer than %d bytes", maxSummary)
		return nil
	}
	var t template
	rest, offset := text.text, 0
	for {
		before, after, ok := strings.Cut(rest, "{{")
		if !ok {
			return append(t, piece{text: rest})
		}
		offset += len(before) + 2
		inner, tail, ok := strings.Cut(after, "}}")
		place := text.placeOf(offset - 2)
		if !ok {
			c.fail(place, "close it with }}", "summary has {{ without }}")
			return nil
		}
		name := strings.TrimPrefix(strings.TrimSpace(inner), ".")
		p := piece{text: before}
		if !p.name(on, name) {
			c.fail(place, Hint(name, SummaryNames(on)), `summary knows no "%s" for a rule on %s`, brief(name), on)
			return nil
		}
		t = append(t, p)
		rest, offset = tail, offset+len(inner)+2
	}
}

// placeOf returns the place of a byte of the text.
func (t *textAt) placeOf(offset int) place {
	before := t.text[:offset]
	return t.place(strings.Count(before, "\n")+1, offset-strings.LastIndexByte(before, '\n')-1)
}

func (p *piece) name(on On, name string) bool {
	for _, known := range SummaryNames(on) {
		if known == name {
			p.field = findField(name)
			p.word = name
			return true
		}
	}
	return false
}

// Render fills the summary in; count is how many matched. It is one line of
// printable ASCII. A rule without a summary has one made of its parts.
func (a *AlertRule) Render(f *Facts, count int) string {
	var b strings.Builder
	if len(a.summary) == 0 {
		a.plain(&b, count)
	}
	for i := range a.summary {
		p := &a.summary[i]
		b.WriteString(p.text)
		switch {
		case p.field != nil:
			p.field.print(&b, f)
		case p.word != "":
			a.word(&b, p.word, f, count)
		}
	}
	return Escape([]byte(strings.TrimSpace(b.String())), maxSummary)
}

func (a *AlertRule) plain(b *strings.Builder, count int) {
	switch a.On {
	case OnNode:
		b.WriteString("the state of the node")
	case OnPending:
		b.WriteString(strconv.Itoa(count) + " calls in flight")
	default:
		b.WriteString(strconv.Itoa(count) + " calls in " + a.Within.String())
	}
	b.WriteString(" matched " + a.When)
}

func (a *AlertRule) word(b *strings.Builder, word string, f *Facts, count int) {
	switch word {
	case "alert":
		b.WriteString(a.Name)
	case "count":
		b.WriteString(strconv.Itoa(count))
	case "more_than":
		b.WriteString(strconv.Itoa(a.MoreThan))
	case "within":
		b.WriteString(a.Within.String())
	case "for":
		b.WriteString(a.For.String())
	case "severity":
		b.WriteString(a.Severity.String())
	case "shape":
		b.WriteString(f.Verdict.Shape.String())
	}
}
