package rules

import (
	"strings"
	"testing"
)

func TestEscape(t *testing.T) {
	for _, tt := range []struct {
		in   string
		max  int
		want string
	}{
		{"getNodeInfo", 64, "getNodeInfo"},
		{"", 64, ""},
		{"a\\b\"c", 64, `a\\b"c`},
		{"\x1b[31m\r\n\x00\x7f", 64, `\x1b[31m\x0d\x0a\x00\x7f`},
		{"é😀\u202e", 64, `\u{e9}\u{1f600}\u{202e}`},
		{"\xff\xc3", 64, `\xff\xc3`},
		{"\ufffd", 64, `\u{fffd}`},
		{"12345678", 8, "12345678"},
		{"123456789", 8, "12345..."},
		{"1234\x01\x02", 8, "1234..."},
		{"\x01\x02", 4, "..."},
		{"abcdef", 2, ".."},
		{"abcdef", 0, ""},
	} {
		if got := Escape([]byte(tt.in), tt.max); got != tt.want || len(got) > tt.max {
			t.Errorf("Escape(%q, %d): got %q, want %q", tt.in, tt.max, got, tt.want)
		}
	}
	if got := Escape([]byte(strings.Repeat("x", 1<<20)), MaxRaw); len(got) != MaxRaw {
		t.Errorf("got %d bytes, want %d", len(got), MaxRaw)
	}
}

func TestServerSeconds(t *testing.T) {
	for _, tt := range []struct {
		tail string
		want float64
		ok   bool
	}{
		{`{"hashes":["A"],"duration":1852135}`, 1852.135, true},
		{`…cut here"],"duration" : 0 } ` + "\n", 0, true},
		{`"duration":12}`, 0.012, true},
		{`{"duration":1,"x":2,"duration":3}`, 0.003, true},
		{`{"duration":5,"hashes":[]}`, 0, false},
		{`{"info":"\"duration\":5}`, 0, false},
		{`{"duration":"5"}`, 0, false},
		{`{"duration":-5}`, 0, false},
		{`{"duration":1e999}`, 0, false},
		{`{"duration":5`, 0, false},
		{`{"duration":5}x`, 0, false},
		{`{"duration"`, 0, false},
		{`{"duration":` + strings.Repeat("9", 100) + `}`, 0, false},
		{``, 0, false},
	} {
		got, ok := ServerSeconds([]byte(tt.tail))
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: got %v %t, want %v %t", tt.tail, got, ok, tt.want, tt.ok)
		}
	}
}
