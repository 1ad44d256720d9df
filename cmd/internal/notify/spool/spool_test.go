package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func open(t *testing.T, path string) (*File, []string, Damage) {
	t.Helper()
	var got []string
	s, d, err := Open(path, func(rec []byte) error {
		got = append(got, string(rec))
		return nil
	})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s, got, d
}

func fill(t *testing.T, path string, n int) (records []string) {
	t.Helper()
	s, _, _ := open(t, path)
	for i := range n {
		records = append(records, fmt.Sprintf(`{"n":%d,"pad":"%s"}`, i, strings.Repeat("x", i*7)))
		if err := s.Append([]byte(records[i])); err != nil {
			t.Fatal(err)
		}
	}
	return records
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q")
	want := fill(t, path, 5)
	s, got, d := open(t, path)
	if !slices.Equal(got, want) || d != (Damage{}) {
		t.Fatalf("got %q, damage %+v, want %q", got, d, want)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 || st.Size() != s.Size() {
		t.Errorf("mode %v, size %d (counted %d), error %v: want 0600 and the size counted", st.Mode(), st.Size(), s.Size(), err)
	}
}

// A kill may cut the last write anywhere: whatever is left, the records
// before it are read, and what is appended then is read too.
func TestCutAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	want := fill(t, whole, 4)
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(data) + 1 {
		path := filepath.Join(dir, "cut")
		if err := os.WriteFile(path, data[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		whole := strings.Count(string(data[:n]), "\n")
		s, got, d := open(t, path)
		if !slices.Equal(got, want[:whole]) || d.Lines != 0 {
			t.Fatalf("cut at %d: got %q, damage %+v, want %q", n, got, d, want[:whole])
		}
		if err := s.Append([]byte("after")); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, got, _ := open(t, path); !slices.Equal(got, append(slices.Clone(want[:whole]), "after")) {
			t.Fatalf("cut at %d, then appended: got %q", n, got)
		}
	}
}

// A flipped bit costs the record it hit, or two when it hits the line feed
// between them, never the rest.
func TestFlippedBits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q")
	want := fill(t, path, 4)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		bad := slices.Clone(data)
		bad[i] ^= 0x04
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, got, d := open(t, path)
		if d.Lines == 0 && d.Torn == 0 {
			t.Fatalf("bit of byte %d flipped, nothing noticed", i)
		}
		if len(got) < len(want)-2 {
			t.Fatalf("bit of byte %d flipped: only %d of %d records left", i, len(got), len(want))
		}
		for _, rec := range got {
			if !slices.Contains(want, rec) {
				t.Fatalf("bit of byte %d flipped: read %q, which was never written", i, rec)
			}
		}
	}
}

func TestRefusedAndOverlong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q")
	s, _, _ := open(t, path)
	if err := s.Append([]byte("a\nb")); err == nil {
		t.Error("a record with a line feed was taken")
	}
	if err := s.Append(make([]byte, MaxRecord+1)); err == nil {
		t.Error("a record over the bound was taken")
	}
	if err := s.Append([]byte("one"), []byte("two")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	data, _ := os.ReadFile(path)
	long := append([]byte(strings.Repeat("y", 3*MaxRecord)+"\n"), data...)
	if err := os.WriteFile(path, long, 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	s, d, err := Open(path, func(rec []byte) error {
		if string(rec) == "one" {
			return errors.New("not mine")
		}
		got = append(got, string(rec))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if !slices.Equal(got, []string{"two"}) || d.Lines != 2 {
		t.Errorf("got %q, damage %+v, want two and 2 lines", got, d)
	}
}

func TestRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q")
	fill(t, path, 9)
	s, _, _ := open(t, path)
	want := []string{"short", "and sweet"}
	if err := s.Rewrite(func(yield func([]byte) bool) {
		for _, w := range want {
			if !yield([]byte(w)) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Append([]byte("more")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.WriteFile(temporary(path), []byte("left behind by a kill"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, got, d := open(t, path); !slices.Equal(got, append(want, "more")) || d != (Damage{}) {
		t.Errorf("got %q, damage %+v", got, d)
	}
	if _, err := os.Stat(temporary(path)); err == nil {
		t.Error("the temporary file of a killed rewrite is still there")
	}
}

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	f, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); err == nil || !strings.Contains(err.Error(), "another stallwatch") {
		t.Errorf("locked twice: %v", err)
	}
	f.Close()
	if f, err = Lock(dir); err != nil {
		t.Fatalf("not free after close: %v", err)
	}
	f.Close()
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("00000000 \n"))
	f.Add([]byte("e3069283 123456789\nxx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "q")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, first, _ := open(t, path)
		if err := s.Append([]byte("end")); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, again, d := open(t, path); !slices.Equal(again, append(first, "end")) || d.Torn != 0 {
			t.Fatalf("read %q, then %q after an append", first, again)
		}
	})
}
