package rules

import (
	"strings"
	"testing"
)

// TestShowIsARuleFile: what is shown can be loaded, and says the same again.
func TestShowIsARuleFile(t *testing.T) {
	for name, s := range map[string]*Set{
		"packs": Default(),
		"own": own(t, tenRules+`
  - {alert: Odd, on: pending, by: command, more_than: 3, for: 90s, severity: critical, when: 'command == "*.*" or target contains "\"\\"',
     summary: "{{count}} \u20ac \t of {{command}}"}
  - {alert: Node, on: node, when: fds > 3}
`+"classes: {fast: {warn: never, critical: 1h}}\n"),
	} {
		text := string(s.AppendYAML(nil))
		again, err := Compile(Source{"shown.yaml", []byte(text)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := string(again.AppendYAML(nil)); got != text {
			t.Errorf("%s: shown again it says\n%s\nnot\n%s", name, got, text)
		}
		if again.Digest() != s.Digest() {
			t.Errorf("%s: the digests differ", name)
		}
		for _, r := range text {
			if r != '\n' && (r < ' ' || r > '~') {
				t.Fatalf("%s: unprintable %q", name, r)
			}
		}
	}
}

func TestReloadKeepsIndices(t *testing.T) {
	first := own(t, "apis:\n  - {name: iri, commands: [{name: paint, class: fast}]}\n")
	paint := command(first, "iri", "paint").Index
	second, err := first.Reload()
	if err != nil {
		t.Fatal(err)
	}
	if !second.Continues(first) || len(second.Commands()) != len(first.Commands()) {
		t.Fatal("the second does not continue the first")
	}
	if v := second.Classify(post(`{"command":"paint"}`)); v.Command.Name != Other {
		t.Errorf("a command that is gone is still found: %s", v.Command.Name)
	}
	if strings.Contains(string(second.AppendYAML(nil)), "paint") {
		t.Error("a command that is gone is still shown")
	}
	for i, c := range second.Commands() {
		if c.Index != i {
			t.Fatalf("command %s has index %d at %d", c.Name, c.Index, i)
		}
	}
	for _, c := range first.Commands() {
		if n := second.Commands()[c.Index]; n.Name != c.Name || n.API != c.API {
			t.Errorf("index %d was %s, is %s", c.Index, c.Name, n.Name)
		}
	}
	if second.Commands()[paint].Name != "paint" || first.Continues(Default()) {
		t.Error("indices moved")
	}
	if _, err := second.Reload("testdata/no-such-file.yaml"); err == nil {
		t.Error("a file that is not there was loaded")
	}
}
