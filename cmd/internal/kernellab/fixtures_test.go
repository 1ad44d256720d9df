package kernellab

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "record the fixtures anew from the kernel of this machine")

const fixtures = "../../../testdata/kernellab"

// TestFixtures holds the tracker against checkpoints that were recorded on a
// real kernel: the same comparison as TestKernel's, without rights.
func TestFixtures(t *testing.T) {
	if *update {
		t.Skip("the fixtures are being recorded")
	}
	files, err := filepath.Glob(filepath.Join(fixtures, "*"+checksSuffix))
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), checksSuffix)
		t.Run(name, func(t *testing.T) {
			frames, checks, err := Load(fixtures, name)
			if err != nil {
				t.Fatal(err)
			}
			for i := range checks {
				c := &checks[i]
				if d := Judge(frames, c); len(d) > 0 {
					t.Errorf("%s:\n\t%s\nthe kernel: %s", c.Label, strings.Join(d, "\n\t"), &c.Kernel)
				}
			}
		})
	}
}
