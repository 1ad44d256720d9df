package detect

import (
	"os"
	"strings"
	"testing"
)

// Whoever looks for an alert finds it: its detector stands in the file that
// has the alert's name, and no file has two.
func TestOneDetectorAFile(t *testing.T) {
	for _, name := range DetectorNames() {
		file := strings.ToLower(name) + ".go"
		text, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := `) name() string { return "` + name + `" }`; !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %s", file, want)
		}
		if n := strings.Count(string(text), ") judge(v *view, "); n != 1 {
			t.Errorf("%s has %d detectors, want 1", file, n)
		}
	}
}
