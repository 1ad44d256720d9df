package main

import (
	"fmt"
	"strings"
	"time"

	"stallwatch/detect"
	"stallwatch/rules"
)

// reference is the documentation of rule files, made of the tables that the
// program itself reads. The copy in rules/REFERENCE.md is held to it by a test.
func reference(set *rules.Set, o detect.Options) string {
	var b strings.Builder
	b.WriteString(`# Rule files

Made by ` + "`stallwatch rules show --doc`" + ` from the tables that the program reads; do not edit.

` + referenceBegin + "```yaml\n" + exampleRules + "```\n\n" + referenceUse + "```yaml\n" + exampleTests + "```\n" + referenceTests + `
## Keys
`)
	section := ""
	for _, k := range rules.Keys() {
		if k.Section != section {
			section = k.Section
			heading(&b, set, section)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.Name, cell(k.Value), cell(k.Doc))
	}
	b.WriteString(referenceRoutes)
	referenceExpressions(&b)
	referenceAPIs(&b, set)
	referenceDetectors(&b, o)
	b.WriteString("\n## Limits\n\n| what | at most | remark |\n|---|---|---|\n")
	for _, l := range rules.Limits() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.Name, l.Value, cell(l.Doc))
	}
	return b.String()
}

// heading begins a section of the keys. That of a class stands for all of
// them, and has their budgets.
func heading(b *strings.Builder, set *rules.Set, section string) {
	if section != "class fast" {
		fmt.Fprintf(b, "\n### %s\n", section)
	} else {
		b.WriteString("\n### a class\n\nThe budgets that are built in:\n\n| class | warn | critical |\n|---|---|---|\n")
		for c, name := range rules.Classes() {
			warn, critical := set.Budgets(rules.Class(c))
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, budgetWord(warn), budgetWord(critical))
		}
	}
	b.WriteString("\n| key | value | meaning |\n|---|---|---|\n")
}

func budgetWord(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	return d.String()
}

// cell makes a text fit for a table of Markdown.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func referenceExpressions(b *strings.Builder) {
	b.WriteString(`
## Expressions

` + "`when`" + ` is a condition in the language of github.com/expr-lang/expr, or rather the part of it that cannot loop, join texts or
fail: ` + "`== != < <= > >= + - * / and or not in contains startsWith endsWith matches ?:`" + `, texts, numbers, lists of them behind
` + "`in`" + `, regular expressions (RE2) written out behind ` + "`matches`" + `, the functions and the names below. It is checked when it is loaded,
names of commands, APIs, classes and parameters included. A text stands in double quotes, so that the whole is best put in single
ones (` + "`when: 'command == \"getTips\"'`" + `) or into lines of its own below ` + "`when: |`" + `; without, YAML ends it at ` + "` #`" + ` and stumbles over ` + "`: `" + `. Of
` + "`and`" + ` and ` + "`or`" + `, ` + "`and`" + ` binds closer; parentheses are allowed. Functions
ask for parameters that some API lists under ` + "`parameters`" + `; of others only the number is kept.

| name | type | on | meaning |
|---|---|---|---|
`)
	for _, f := range rules.Fields() {
		var on []string
		for _, o := range f.On {
			on = append(on, o.String())
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.Name, f.Type, strings.Join(on, ", "), cell(f.Doc))
	}
	for _, f := range rules.Funcs() {
		example, doc, _ := strings.Cut(f.Doc, ": ")
		fmt.Fprintf(b, "| `%s` | %s | request, exchange, pending | %s |\n", example, f.Result, cell(doc))
	}
	b.WriteString("\n`summary` holds names in double braces, like `{{client}}` or `{{.client}}`. Text from the wire is not among them.\n\n| on | names |\n|---|---|\n")
	for _, o := range []rules.On{rules.OnRequest, rules.OnExchange, rules.OnPending, rules.OnNode} {
		fmt.Fprintf(b, "| %s | `%s` |\n", o, strings.Join(rules.SummaryNames(o), "`, `"))
	}
}

func referenceAPIs(b *strings.Builder, set *rules.Set) {
	b.WriteString("\n## APIs\n\nThe packs that are built in; the comments of rules/packs/*.yaml name the source files of the nodes that each was made from.\n`stallwatch rules show` prints every command with its budgets.\n\n| API | commands | expected slow | admin | proof of work | canaries |\n|---|---|---|---|---|---|\n")
	for _, api := range set.APIs() {
		n, slow, admin, pow := 0, 0, 0, 0
		var canaries []string
		for _, c := range set.Commands() {
			if c.API != api {
				continue
			}
			n++
			if c.Slow {
				slow++
			}
			if c.Admin {
				admin++
			}
			if c.Pow {
				pow++
			}
			if c.Canary {
				canaries = append(canaries, "`"+c.Name+"`")
			}
		}
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %s |\n", api, n, slow, admin, pow, strings.Join(canaries, ", "))
	}
}

func referenceDetectors(b *strings.Builder, o detect.Options) {
	b.WriteString("\n## Detectors\n\nSettings stand below `detectors`, by the name of the alert; `engine` is what all share. A flag of the command line goes before a file.\n\nA duration is written like 500ms, 10s, 2m; a count is a whole number; a number may have a point; a flag is true or false.\n")
	last := ""
	for _, s := range o.Settings() {
		if s.Detector != last {
			last = s.Detector
			fmt.Fprintf(b, "\n### %s\n\n", s.Detector)
			if d := alertDocs[s.Detector]; d.means != "" {
				fmt.Fprintf(b, "Means: %s\n\nEvidence: %s\n\nWhat to do: %s\n\n", d.means, d.evidence, d.todo)
			}
			b.WriteString("| setting | type | default | meaning |\n|---|---|---|---|\n")
		}
		value := s.Default
		if s.Value != s.Default {
			value = s.Value + ", by default " + s.Default
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", s.Name, s.Type, value, cell(s.Doc))
	}
}
