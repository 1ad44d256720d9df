package rules

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestKeysAreDocumented asks the loader which keys it knows, by one that it
// cannot, and holds the documentation to what it says.
func TestKeysAreDocumented(t *testing.T) {
	documented := map[string][]string{}
	for _, k := range Keys() {
		documented[k.Section] = append(documented[k.Section], k.Name)
		if k.Doc == "" || k.Value == "" {
			t.Errorf("%s of %s has no words", k.Name, k.Section)
		}
	}
	const none = "QQQQQQQQQQQQQQQQQQ: 1"
	for _, text := range []string{
		none + "\n",
		"classes: {" + none + "}\n",
		"classes: {fast: {" + none + "}}\n",
		"apis: [{" + none + "}]\n",
		"apis: [{name: x, parameters: {" + none + "}}]\n",
		"apis: [{name: x, commands: [{" + none + "}]}]\n",
		"alerts: [{" + none + "}]\n",
	} {
		_, err := Compile(Source{"own.yaml", []byte(text)})
		var e *FileError
		if !errors.As(err, &e) {
			t.Fatalf("%s: %v", text, err)
		}
		_, section, _ := strings.Cut(e.Message, `" of `)
		known := strings.Split(strings.TrimPrefix(e.Hint, "known: "), ", ")
		got := documented[section]
		delete(documented, section)
		slices.Sort(got)
		slices.Sort(known)
		if !slices.Equal(got, known) {
			t.Errorf("%s: documented %q, known %q", section, got, known)
		}
	}
	for section := range documented {
		t.Errorf("%s is documented and not asked about", section)
	}
}
