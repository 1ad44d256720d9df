package notify

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestFamilyTry(t *testing.T) {
	everyKind(t, func(t *testing.T, f *fake, b *bench) {
		var out bytes.Buffer
		if err := Test(context.Background(), &b.c, string(f.kind), Options{}, &out); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		if n := strings.Count(out.String(), ": ok, "); n != 3 {
			t.Errorf("%d steps reported, want 3:\n%s", n, out.String())
		}
		_, took := f.requests()
		if body := string(took[0].body); !strings.Contains(body, "TEST") {
			t.Errorf("not marked as a test: %s", body)
		}
		f.set(status(404, "no_service "+token))
		out.Reset()
		if err := Test(context.Background(), &b.c, "", Options{}, &out); !errors.Is(err, ErrTest) {
			t.Errorf("a deleted webhook: error %v, want ErrTest", err)
		}
		if s := out.String(); !strings.Contains(s, "fire: FAILED") || !strings.Contains(s, "HTTP 404: no_service <secret>") {
			t.Errorf("report: %s", s)
		}
		out.Reset()
		if err := DryRun(&b.c, "", Options{}, &out); err != nil || strings.Contains(out.String(), token) {
			t.Errorf("dry run: error %v\n%s", err, out.String())
		}
		if !strings.Contains(out.String(), ": fire: ") || !strings.Contains(out.String(), ": resolve: ") {
			t.Errorf("dry run: %s", out.String())
		}
		if tried, _ := f.counts(); tried != len(took)+1 {
			t.Error("a dry run sent something")
		}
	})
}

func TestTryUnknown(t *testing.T) {
	c := Config{Receivers: []Receiver{{Name: "ban", Kind: LogLine, Path: filepath.Join(t.TempDir(), "x")}}}
	if err := DryRun(&c, "bam", Options{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "there are ban") {
		t.Errorf("got %v, want the names that there are", err)
	}
}
