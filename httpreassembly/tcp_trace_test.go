package httpreassembly

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the want sections of the traces")

// TestTCPTraces plays testdata/traces/tcp_*.txtar; see script for the lines.
// A file has pairs of sections, trace and want, or NAME.trace and NAME.want.
func TestTCPTraces(t *testing.T) {
	files, err := filepath.Glob("../testdata/traces/tcp_*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ar.Files {
			name, ok := strings.CutSuffix(ar.Files[i].Name, "trace")
			if !ok {
				continue
			}
			if i+1 == len(ar.Files) || ar.Files[i+1].Name != name+"want" {
				t.Fatalf("%s: section %strace is not followed by %swant", file, name, name)
			}
			want := &ar.Files[i+1].Data
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+strings.TrimSuffix(name, "."), func(t *testing.T) {
				lines := string(ar.Files[i].Data)
				got := run(t, Options{Ports: []uint16{14265}}, lines)
				if *update {
					*want = []byte(got)
				} else if got != string(*want) {
					t.Errorf("trace:\n%s\ngot:\n%s\nwant:\n%s", lines, got, *want)
				}
			})
		}
		if *update {
			if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
