package rules

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// TestElementLengths: what is told of a list's elements, read at once and byte
// by byte.
func TestElementLengths(t *testing.T) {
	whole := strings.Repeat("A", 2673)
	for _, tt := range []struct {
		name, list  string
		least, most int
	}{
		{"empty", `[]`, 0, 0},
		{"alike", `["` + whole + `","` + whole + `"]`, 2673, 2673},
		{"one short", `["` + whole + `","AAA","` + whole + `"]`, 3, 2673},
		{"one long", `["AAA","AAAA" , "AAA"]`, 3, 4},
		{"an empty text", `["","AA"]`, 0, 2},
		{"a number", `["AA",12345]`, 0, 2},
		{"words", `[true,null,"AA"]`, 0, 2},
		{"only numbers", `[1,2]`, 0, 0},
		{"an object", `["AA",{"a":"longer","b":["longest"]}]`, 0, 2},
		{"a list", `[["AAAA","AAA"],"AA"]`, 0, 2},
		{"lists below do not count", `["AA","AA",[]]`, 0, 2},
		{"a missing one", `["AA",,"AA"]`, 2, 2},
		{"single quotes", `['AA',"AAA"]`, 2, 3},
		{"without quotes", `[AAAA,AA]`, 2, 4},
		{"comments", `[/* "A" */"AA",#"A"` + "\n" + `"AAA"]`, 2, 3},
		{"escapes as they were written", `["\u0041\"","A"]`, 1, 8},
		{"longest that is told", `["` + strings.Repeat("A", 65534) + `"]`, 65534, 65534},
		{"longer", `["A","` + strings.Repeat("A", 1<<17) + `"]`, 1, math.MaxUint16},
		{"the last was cut", `["AA","AAAA`, 2, 2},
		{"the only was cut", `["AAAA`, 0, 0},
		{"a word was cut", `["AA",12`, 2, 2},
		{"cut behind one", `["AA","A"`, 1, 2},
		{"an object, which is no list", `{"AA":"A"}`, 0, 0},
		{"a text, which is no list", `"AAAA"`, 0, 0},
	} {
		body := `{"command":"storeTransactions","trytes":` + tt.list
		if !strings.Contains(tt.name, "cut") {
			body += `}`
		}
		v := Default().Classify(post(body))
		c := Default().NewScan()
		for i := range len(body) {
			c.Write([]byte(body[i : i+1]))
		}
		w := c.Classify(post(body))
		for how, s := range map[string]*Shape{"at once": &v.Shape, "in pieces": &w.Shape} {
			if s.MinLen("trytes") != tt.least || s.MaxLen("trytes") != tt.most {
				t.Errorf("%s, %s: got %d to %d, want %d to %d", tt.name, how, s.MinLen("trytes"), s.MaxLen("trytes"), tt.least, tt.most)
			}
		}
	}
}

// A list repeated is the last, as for the node.
func TestElementLengthsOfTheLast(t *testing.T) {
	v := Default().Classify(post(`{"command":"getTrytes","hashes":["A","AA"],"hashes":["AAA"]}`))
	s := &v.Shape
	if s.Len("hashes") != 1 || s.MinLen("hashes") != 3 || s.MaxLen("hashes") != 3 || s.String() != "hashes[1]" || s.Longest() != 1 {
		t.Errorf("got %s with %d to %d", s, s.MinLen("hashes"), s.MaxLen("hashes"))
	}
	if s.MinLen("trytes") != 0 || s.MaxLen("nope") != 0 {
		t.Error("a list that is not there has elements")
	}
}

// FuzzElementLengths holds the packing of a list to what went in.
func FuzzElementLengths(f *testing.F) {
	f.Add(3, uint16(1), uint16(2))
	f.Add(1<<31, uint16(0), uint16(math.MaxUint16))
	f.Fuzz(func(t *testing.T, n int, a, b uint16) {
		n &= math.MaxInt
		l := newList(n, span{min(a, b), max(a, b), true})
		want := fmt.Sprint(min(int64(n), math.MaxUint32), min(a, b), max(a, b))
		if got := fmt.Sprint(l.len(), l.least(), l.most()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// An operator's rule on the size of elements.
func TestElementLengthsInRules(t *testing.T) {
	s := own(t, `alerts:
  - {alert: OddTrytes, when: 'len("trytes") > 0 and (minLen("trytes") != 3 or maxLen("trytes") != 3)'}
`)
	m := s.NewMachine()
	for body, want := range map[string]bool{
		`{"command":"storeTransactions","trytes":["AAA","AAA"]}`:  false,
		`{"command":"storeTransactions","trytes":["AAA","AA"]}`:   true,
		`{"command":"storeTransactions","trytes":["AAA","AAAA"]}`: true,
		`{"command":"storeTransactions","trytes":["AAA",3]}`:      true,
		`{"command":"storeTransactions","trytes":[]}`:             false,
		`{"command":"storeTransactions"}`:                         false,
	} {
		v := s.Classify(post(body))
		m.Begin(OnRequest, &Facts{Verdict: &v})
		if got, err := m.Holds(s.Alerts()[0]); got != want || err != nil {
			t.Errorf("%s: got %t, %v, want %t", body, got, err, want)
		}
	}
}
