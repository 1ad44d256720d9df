package httpreassembly

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestHTTPTraces plays ../testdata/traces/http_*.txtar; see httpPlayer for
// the lines. Each trace is played whole, byte by byte, and cut at random: the
// events must be the same, to the second.
func TestHTTPTraces(t *testing.T) {
	files, err := filepath.Glob("../testdata/traces/http_*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	count := 0
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var files []txtar.File
		for i := range ar.Files {
			name, ok := strings.CutSuffix(ar.Files[i].Name, ".trace")
			if !ok {
				continue
			}
			var want string
			if i+1 < len(ar.Files) && ar.Files[i+1].Name == name+".want" {
				want = string(ar.Files[i+1].Data)
			}
			count++
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+name, func(t *testing.T) {
				want = checkHTTPTrace(t, string(ar.Files[i].Data), want)
			})
			files = append(files, ar.Files[i], txtar.File{Name: name + ".want", Data: []byte(want)})
		}
		if *update {
			ar.Files = files
			if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if count < 45 {
		t.Errorf("%d traces were played, want at least 45", count)
	}
}

func checkHTTPTrace(t *testing.T, trace, want string) string {
	t.Helper()
	got := playHTTP(t, trace, inOne, false)
	if *update {
		want = got
	}
	if got != want {
		t.Errorf("trace:\n%s\ngot:\n%s\nwant:\n%s", trace, got, want)
	}
	cuts := map[string]cutter{"byte by byte": byBytes}
	for seed := range int64(20) {
		cuts[fmt.Sprintf("at random, seed %d", seed)] = atRandom(seed)
	}
	cuts["not at all"] = inOne
	for name, cut := range cuts {
		if g := playHTTP(t, trace, cut, true); g != got {
			t.Errorf("cut %s, resting between messages\ntrace:\n%s\ngot:\n%s\nwant:\n%s", name, trace, g, got)
		}
		if g := playHTTP(t, trace, cut, false); g != got {
			t.Errorf("cut %s\ntrace:\n%s\ngot:\n%s\nwant:\n%s", name, trace, g, got)
		}
	}
	return want
}
