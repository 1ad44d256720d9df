package rules

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testdata/errors.txtar holds pairs of a rule file NAME.yaml and the words
// NAME.want that refuse it.
func TestLoadErrors(t *testing.T) {
	const name = "testdata/errors.txtar"
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	base := embedded()
	for i := 0; i+1 < len(a.Files); i += 2 {
		in, want := a.Files[i], &a.Files[i+1]
		s, err := Compile(append(base[:len(base):len(base)], Source{in.Name, in.Data})...)
		if err == nil || s != nil {
			t.Errorf("%s: loaded; want an error\n%s", in.Name, in.Data)
			continue
		}
		got := err.Error() + "\n"
		if *update {
			want.Data = []byte(got)
		} else if got != string(want.Data) {
			t.Errorf("%s\ngot:  %swant: %sinput:\n%s", in.Name, got, want.Data, in.Data)
		}
	}
	if *update {
		if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoadOverlay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own.yaml")
	const own = `
classes:
  instant: {warn: 2s}
apis:
  - name: iri
    parameters:
      length: [depth, colour]
    commands:
      - {name: getTransactionsToApprove, warn: 20s}
      - {name: getTips, class: heavy}
      - {name: paint, class: job, lock: easel, admin: true}
  - name: shop
    named_by: json-key
    key: verb
    commands:
      - {name: buy, warn: never, critical: never}
`
	if err := os.WriteFile(file, []byte(own), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		api, name      string
		class          Class
		warn, critical time.Duration
		lock           string
	}{
		{"iri", "getNodeInfo", ClassInstant, 2 * time.Second, 3 * time.Second, ""},
		{"iri", "getTransactionsToApprove", ClassHeavy, 20 * time.Second, 30 * time.Second, "iri.api"},
		{"iri", "getTips", ClassHeavy, 10 * time.Second, 30 * time.Second, "iri.api"},
		{"iri", "paint", ClassJob, time.Minute, 5 * time.Minute, "easel"},
		{"shop", "buy", ClassUnknown, 0, 0, ""},
		{"shop", Other, ClassUnknown, 5 * time.Second, 30 * time.Second, ""},
	} {
		c := command(s, tt.api, tt.name)
		if c == nil {
			t.Errorf("%s %s: not there", tt.api, tt.name)
			continue
		}
		if c.Class != tt.class || c.Warn != tt.warn || c.Critical != tt.critical || c.Lock != tt.lock {
			t.Errorf("got %+v, want %+v", *c, tt)
		}
	}
	v := s.Classify(post(`{"verb":"buy","depth":3,"colour":"red"}`))
	if v.Command.Name != "buy" || v.Shape.String() != "depth:number colour(3)" {
		t.Errorf("got %s, %q", v.Command.Name, v.Shape.String())
	}
	if s.Digest() == Default().Digest() {
		t.Error("the digest does not see the file")
	}
	if command(Default(), "iri", "paint") != nil {
		t.Error("Load changed Default")
	}
}

func command(s *Set, api, name string) *Command {
	for _, c := range s.Commands() {
		if c.API == api && c.Name == name {
			return c
		}
	}
	return nil
}

func TestLoadMissingFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "none.yaml")
	if _, err := Load(name); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v, want the missing file named", err)
	}
}

func TestFileError(t *testing.T) {
	_, err := Compile(Source{"a.yaml", []byte("apis:\n  - {name: x, named_by: rute}\n")})
	var fe *FileError
	if !errors.As(err, &fe) || fe.File != "a.yaml" || fe.Line != 2 || fe.Column != 25 || fe.Hint != "did you mean route?" {
		t.Errorf("got %#v", fe)
	}
}

func TestTooManyErrors(t *testing.T) {
	_, err := Compile(Source{"a.yaml", []byte("apis:\n" + strings.Repeat("  - {nam: x}\n", 50))})
	if err == nil || strings.Count(err.Error(), "\n") != maxErrors || !strings.HasSuffix(err.Error(), "and 30 more") {
		t.Errorf("got %v", err)
	}
}

func TestBounds(t *testing.T) {
	var many, params strings.Builder
	for i := range maxCommands + 1 {
		many.WriteString("      - {name: c" + strings.Repeat("x", i%40) + string(rune('a'+i/40%26)) + string(rune('a'+i/1040)) + "}\n")
	}
	for i := range maxParams + 1 {
		params.WriteString("p" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ", ")
	}
	for _, tt := range []struct{ name, data, want string }{
		{"commands", "apis:\n  - name: x\n    named_by: json-key\n    key: k\n    commands:\n" + many.String(), "more than 2000 commands"},
		{"parameters", "apis:\n  - name: x\n    named_by: route\n    parameters: {length: [" + params.String() + "]}\n", "more than 251 parameter names"},
		{"bytes", strings.Repeat("#", maxFile+1), "larger than 262144 bytes"},
		{"nothing", "", "no API is defined"},
	} {
		_, err := Compile(Source{"big.yaml", []byte(tt.data)})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %.200v, want %q", tt.name, err, tt.want)
		}
	}
	keys := "apis:\n"
	for _, k := range []string{"a", "b", "c", "d", "e"} {
		keys += "  - {name: " + k + ", named_by: json-key, key: " + k + "}\n"
	}
	if _, err := Compile(Source{"k.yaml", []byte(keys)}); err == nil || !strings.Contains(err.Error(), "more than 4 keys") {
		t.Errorf("keys: got %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	for _, src := range embedded() {
		f.Add(src.Data[:min(len(src.Data), 2000)])
	}
	if a, err := txtar.ParseFile("testdata/errors.txtar"); err == nil {
		for _, file := range a.Files {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Compile(Source{"fuzz.yaml", data})
		if (s == nil) == (err == nil) {
			t.Fatalf("got %v and %v: all or nothing", s, err)
		}
		if s == nil {
			return
		}
		for i, c := range s.Commands() {
			if c.Index != i || c.Name == "" || !plain(c.Name) || c.Critical != 0 && c.Warn > c.Critical {
				t.Fatalf("command %d: %+v", i, *c)
			}
		}
		for _, name := range append(s.APIs(), Auto) {
			one, err := s.Select(name)
			if err != nil {
				t.Fatal(err)
			}
			if v := one.Classify(post(`{"command":"x"}`)); v.Command == nil {
				t.Fatal("no command")
			}
		}
	})
}

// TestLoadEncodings: a byte order mark is no part of the first key, and what is
// no UTF-8 is refused where it stands, since its texts would never match.
func TestLoadEncodings(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"byte order mark", "\ufeffclasses: {fast: {warn: 1s}}\n", ""},
		{"byte order mark and a slip", "\ufeffclases: {}\n", "own.yaml:1:1: unknown key \"clases\" of a rule file (did you mean classes?)"},
		{"byte order mark alone", "\ufeff", ""},
		{"CR LF", "classes:\r\n  fast: {warn: 1s}\r\n  wrok: {warn: 1s}\r\n", "own.yaml:3:3: unknown key \"wrok\" of classes (did you mean work?)"},
		{"Latin-1", "# K\u00e4se\n# caf\xe9\n", "own.yaml:2:6: the byte 0xe9 is no UTF-8 (save the file as UTF-8)"},
		{"UTF-16", "\xff\xfec\x00l\x00", "own.yaml:1:1: the byte 0xff is no UTF-8 (save the file as UTF-8)"},
	} {
		_, err := LoadOver([]Source{{"own.yaml", []byte(tt.in)}})
		if got := fmt.Sprint(err); err != nil && got != tt.want || (err == nil) != (tt.want == "") {
			t.Errorf("%s: got %s, want %q", tt.name, got, tt.want)
		}
	}
}

// TestPointers: an error of a line that a terminal shows as it stands has the
// line, patterns with backslashes included; further errors are only counted.
func TestPointers(t *testing.T) {
	const own = `alerts:
  - {alert: Digits, when: 'user_agent matches "\\d("'}
`
	_, err := LoadOver([]Source{{"own.yaml", []byte(own)}})
	var e *FileError
	if !errors.As(err, &e) || e.Pointer() != "  - {alert: Digits, when: 'user_agent matches \"\\\\d(\"'}\n"+strings.Repeat(" ", e.Column-1)+"^\n" {
		t.Errorf("%v points\n%s", err, e.Pointer())
	}
	many := strings.Repeat("  - {alert: x, when: y}\n", maxErrors+7)
	_, err = LoadOver([]Source{{"own.yaml", []byte("alerts:\n" + many)}})
	list := err.(interface{ Unwrap() []error }).Unwrap()
	if len(list) != maxErrors+1 || list[maxErrors].Error() != "and 7 more" {
		t.Errorf("%d errors, the last: %v", len(list), list[len(list)-1])
	}
}
