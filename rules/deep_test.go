package rules

import (
	"strings"
	"testing"
)

// TestNestingIsBounded: the parser, whose stack would overflow, is not asked
// about what is nested deep, however it is nested.
func TestNestingIsBounded(t *testing.T) {
	stairs := func(step string) string {
		var b strings.Builder
		for i := range 300 {
			b.WriteString(strings.Repeat(" ", i) + step + "\n")
		}
		return b.String()
	}
	fill := func(s string) string { return strings.Repeat(s, 4096/len(s)) }
	for name, text := range map[string]string{
		"brackets": fill("["), "brackets in lines": fill("[\n"), "braces": fill("{a: "), "dashes": fill("- "), "question marks": fill("? "),
		"tags": fill("!a "), "tags in lines": fill("!a\n"), "anchors": fill("&a "), "anchors in lines": fill("&a\n"), "keys": fill("a: "),
		"stairs of keys": stairs("a:"), "stairs of dashes": stairs("-"), "mixed": fill("- [{a: "),
		"merge keys": fill("<<: "),
	} {
		if _, err := Compile(Source{"own.yaml", []byte(text)}); err == nil {
			t.Errorf("%s: loaded", name)
		} else if !strings.Contains(err.Error(), "nested deeper") {
			t.Errorf("%s: the parser was asked: %v", name, err)
		}
	}
	for name, text := range map[string]string{"closed before opened": fill("]["), "quotes": fill(`"`), "commas": "[" + fill(",") + "]"} {
		if _, err := Compile(Source{"own.yaml", []byte(text)}); err == nil || len(err.Error()) > 1<<13 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, when := range map[string]string{
		"parentheses": strings.Repeat("(", 480) + "true" + strings.Repeat(")", 480), "nots": strings.Repeat("!", 980) + "true",
		"minus": strings.Repeat("-", 980) + "1 > 0", "lists": strings.Repeat("[", 490) + strings.Repeat("]", 490),
		"braces": strings.Repeat("{", 490), "questions": strings.Repeat("true?", 190) + "true",
	} {
		c := &compiler{set: Default()}
		if p := c.expression(OnRequest, textAt{text: when}); p == nil && len(c.errs) == 0 {
			t.Errorf("%s: neither program nor error", name)
		}
	}
}
