package rules

import (
	"fmt"
	"testing"
)

func TestWords(t *testing.T) {
	var w words[int]
	if _, ok := w.get([]byte("a")); ok {
		t.Error("an empty table has a word")
	}
	names := []string{"a", "b", "ab", "ba", "command", "commands", "getNodeInfo", "getNodeInfos", "xgetNodeInfo", "\x00", "aXXXXXXb", "aYYYYYYb"}
	for i := range 300 {
		names = append(names, fmt.Sprintf("name%dof%d", i, i*i), fmt.Sprintf("same start %d same end", i))
	}
	for i, n := range names {
		w.set(n, -1)
		w.set(n, i) // the last one counts
	}
	for i, n := range names {
		if got, ok := w.get([]byte(n)); !ok || got != i {
			t.Errorf("get %q: %d, %v, want %d", n, got, ok, i)
		}
		if _, ok := w.get([]byte(n + "!")); ok {
			t.Errorf("get %q: found", n+"!")
		}
	}
	if _, ok := w.get(nil); ok {
		t.Error("the empty word is found")
	}
	if n := testing.AllocsPerRun(10, func() { w.get([]byte("getNodeInfo")) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestShortText holds the short way to what looking byte by byte gives.
func TestShortText(t *testing.T) {
	text := []byte("0123456789abcdef0123456789abcdef0123456789")
	for n := range len(text) {
		for cut := range len(text) - n {
			for _, c := range []byte{'"', '\'', '\\', 0x22 + 0x80, 0} {
				b := append([]byte(nil), text[:len(text)-cut]...)
				b[n] = c
				want := -1
				if c == '"' && n < 24 && n/8*8+8 <= len(b) {
					want = n
				}
				if got := shortText(b, '"'); got != want {
					t.Fatalf("%q: %d, want %d", b, got, want)
				}
			}
		}
	}
}
