package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// member is what either reader says of a member of the top-level object.
type member struct {
	key  string
	kind Kind
	n    int
	text string // of strings
}

func scanAll(b []byte) (got []member, sc *scanner) {
	sc = &scanner{b: b}
	if sc.open() != '{' {
		sc.bad = true
		return nil, sc
	}
	sc.enter()
	var key, val value
	for sc.member(&key, &val) {
		k, _ := key.decode(make([]byte, 0, len(b)))
		m := member{key: string(k), kind: val.kind, n: val.size()}
		if val.kind == KindString {
			text, _ := val.decode(make([]byte, 0, len(b)))
			m.text = string(text)
		}
		got = append(got, m)
	}
	return got, sc
}

// decodeAll is encoding/json's view.
func decodeAll(b []byte) (want []member, ok bool) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if tok, err := d.Token(); err != nil || tok != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, false
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, false
		}
		want = append(want, describeRaw(key.(string), raw))
	}
	return want, true
}

func describeRaw(key string, raw json.RawMessage) member {
	m := member{key: key, n: len(raw)}
	switch raw[0] {
	case '"':
		m.kind = KindString
		if err := json.Unmarshal(raw, &m.text); err != nil {
			panic(err)
		}
		m.n = len(m.text)
	case '{':
		m.kind = KindObject
		m.n = 0
		d := json.NewDecoder(bytes.NewReader(raw))
		d.Token()
		for d.More() {
			d.Token()
			var v json.RawMessage
			if err := d.Decode(&v); err != nil {
				panic(err)
			}
			m.n++ // a map would merge members of one name
		}
	case '[':
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			panic(err)
		}
		m.kind, m.n = KindArray, len(list)
	case 't', 'f':
		m.kind = KindBool
	case 'n':
		m.kind = KindNull
	default:
		m.kind = KindNumber
	}
	return m
}

// sameAsJSON checks valid JSON against encoding/json.
func sameAsJSON(t *testing.T, b []byte) {
	t.Helper()
	if !json.Valid(b) || !utf8.Valid(b) {
		return
	}
	want, ok := decodeAll(b)
	if !ok {
		return
	}
	got, sc := scanAll(b)
	if fmt.Sprint(got) != fmt.Sprint(want) || sc.bad || sc.cut || sc.lenient {
		t.Fatalf("got  %v (bad %t cut %t lenient %t)\nwant %v\ninput %q", got, sc.bad, sc.cut, sc.lenient, want, b)
	}
}

func TestScanAgainstEncodingJSON(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		sameAsJSON(t, appendObject(nil, rnd, 0))
	}
}

func appendObject(b []byte, rnd *rand.Rand, depth int) []byte {
	b = append(b, '{')
	for i := range rnd.IntN(5) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSpace(appendString(appendSpace(b, rnd), rnd), rnd)
		b = appendSpace(appendAny(appendSpace(append(b, ':'), rnd), rnd, depth), rnd)
	}
	return append(b, '}')
}

func appendAny(b []byte, rnd *rand.Rand, depth int) []byte {
	words := []string{"true", "false", "null", "0", "-0", "17", "-3.5", "1e9", "2E-3", "[]", "{}", "[ ]", "{ }", `""`}
	switch n := rnd.IntN(6); {
	case n < 2 || depth > 4:
		return append(b, words[rnd.IntN(len(words))]...)
	case n < 4:
		return appendString(b, rnd)
	case n == 4:
		return appendObject(b, rnd, depth+1)
	}
	b = append(b, '[')
	for i := range rnd.IntN(4) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSpace(appendAny(appendSpace(b, rnd), rnd, depth+1), rnd)
	}
	return append(b, ']')
}

func appendString(b []byte, rnd *rand.Rand) []byte {
	pieces := []string{"command", "a", "depth", `\"`, `\\`, `\/`, `\n`, `\u0061`, `\u00e9`, `\ud83d\ude00`, `\ud800`, `\udc00`, `\ud800\u0041`, "é", "😀", "{", "}", "[", "]", ",", ":", "'", "#", "//", "/*"}
	b = append(b, '"')
	for range rnd.IntN(4) {
		b = append(b, pieces[rnd.IntN(len(pieces))]...)
	}
	return append(b, '"')
}

func appendSpace(b []byte, rnd *rand.Rand) []byte {
	return append(b, []string{"", "", "", " ", "\n", "\t\r"}[rnd.IntN(6)]...)
}

// A body cut anywhere gives the members that were whole, and never another
// reading of them.
func TestScanCut(t *testing.T) {
	const body = `{"a":[1,{"b":"\\\""}],"command":"get\u0041","depth":3,"x":{"y":[]},"e":"" }`
	whole, _ := scanAll([]byte(body))
	for n := range len(body) {
		got, sc := scanAll([]byte(body[:n]))
		if n > 0 && (!sc.cut || sc.bad) {
			t.Errorf("%q: cut %t, bad %t", body[:n], sc.cut, sc.bad)
		}
		for i, m := range got {
			if last := i == len(got)-1; m != whole[i] && !(last && m.key == whole[i].key) {
				t.Errorf("%q: member %d: got %v, want %v", body[:n], i, m, whole[i])
			}
		}
	}
}

// hostile inputs, made n bytes long or about that.
var hostile = []struct {
	name string
	make func(n int) string
}{
	{"backslashes", func(n int) string { return `{"a":"` + strings.Repeat(`\`, n) }},
	{"escaped quotes", func(n int) string { return `{"a":"` + strings.Repeat(`\"`, n/2) }},
	{"escapes and a quote far away", func(n int) string { return `{"a":"` + strings.Repeat(`\\`, n/2) + `"}` }},
	{"open brackets", func(n int) string { return `{"a":` + strings.Repeat(`[`, n) }},
	{"open objects", func(n int) string { return strings.Repeat(`{"a":`, n/5) }},
	{"empty strings", func(n int) string { return `{"a":[` + strings.Repeat(`"",`, n/3) }},
	{"many keys", func(n int) string { return `{` + strings.Repeat(`"a":1,`, n/6) }},
	{"repeated command", func(n int) string { return `{` + strings.Repeat(`"command":"x",`, n/14) + `}` }},
	{"comments", func(n int) string { return `{` + strings.Repeat(`/**/`, n/4) }},
	{"open comments", func(n int) string { return `{"a":[` + strings.Repeat(`/*`, n/2) }},
	{"slashes", func(n int) string { return `{"a":[` + strings.Repeat(`/ `, n/2) }},
	{"space", func(n int) string { return `{` + strings.Repeat(" ", n) }},
	{"commas", func(n int) string { return `{"a":[` + strings.Repeat(",", n) }},
	{"form feeds", func(n int) string { return `{"a":[` + strings.Repeat("\f", n) }},
	{"NULs", func(n int) string { return `{"a":[` + strings.Repeat("\x00", n) }},
	{"unicode escapes", func(n int) string { return `{"command":"` + strings.Repeat(`\ud800`, n/6) + `"}` }},
	{"long word", func(n int) string { return `{"a":` + strings.Repeat("9", n) + `}` }},
	{"batch", func(n int) string { return `[` + strings.Repeat(`{"method":"eth_call"},`, n/22) + `]` }},
	{"batch of nothing", func(n int) string { return `[` + strings.Repeat(`{},`, n/3) + `]` }},
}

func TestHostileIsLinear(t *testing.T) {
	work := func(body string) int {
		sc := &scanner{b: []byte(body)}
		var key, val value
		switch sc.open() {
		case '{':
			sc.enter()
			for sc.member(&key, &val) {
			}
		case '[':
			sc.enter()
			for {
				entered, ok := sc.element(&val)
				if !ok {
					break
				}
				for entered && sc.member(&key, &val) {
				}
			}
		}
		return sc.work
	}
	for _, h := range hostile {
		n := 1 << 14
		once, twice := work(h.make(n)), work(h.make(2*n))
		if twice > 2*once+100 || once > 4*n+100 {
			t.Errorf("%s: work %d for %d bytes, %d for twice as many", h.name, once, n, twice)
		}
		v := Default().Classify(post(h.make(n)))
		if v.Command == nil || len(v.Raw) > MaxRaw {
			t.Errorf("%s: got %+v", h.name, v)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, h := range hostile {
		f.Add([]byte(h.make(64)))
	}
	f.Add([]byte(`{"command":"get\u0041","a":[1,{"b":[]}],"c":-1.5e3,"d":null,"e":true}`))
	f.Add([]byte("{'a'=>b;#x\n\"c\":/**/[}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sameAsJSON(t, b)
		_, sc := scanAll(b)
		if sc.work > 4*len(b)+100 {
			t.Fatalf("work %d for %d bytes: %q", sc.work, len(b), b)
		}
	})
}

func FuzzClassify(f *testing.F) {
	f.Add("POST", "/", "", []byte(`{"command":"getNodeInfo"}`), int64(0))
	f.Add("POST", "/", "deflate", []byte("x\x9c\xabV"), int64(9))
	f.Add("GET", "/api/v1/messages?index=%41", "", []byte(nil), int64(0))
	f.Add("GET", "http://a/%2e%2f", "gzip", []byte(`[{"method":"eth_call"},{"method":"x"}]`), int64(0))
	f.Fuzz(func(t *testing.T, method, target, coding string, body []byte, more int64) {
		r := &Request{Method: []byte(method), Target: []byte(target), ContentEncoding: []byte(coding), Body: body, BodyBytes: int64(len(body)) + max(more, 0)}
		v := Default().Classify(r)
		if v.Command == nil || v.Calls < 1 || v.Why == "" {
			t.Fatalf("no verdict: %+v", v)
		}
		if Default().Commands()[v.Command.Index] != v.Command {
			t.Fatalf("%s is not of the set", v.Command.Name)
		}
		if !plain(v.Raw) || len(v.Raw) > MaxRaw || !plain(v.Shape.String()) {
			t.Fatalf("unsafe text: %q %q", v.Raw, v.Shape.String())
		}
		sum := 0
		for _, c := range v.Batch {
			sum += c.N
		}
		if v.Batch != nil && (sum != v.Calls || sum < 2) {
			t.Fatalf("batch of %d adds up to %d", v.Calls, sum)
		}
	})
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
