package rules

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// judged is what a pipeline does with a request.
func (f *Familiar) judged(s *Set, r *Request) (v *Verdict, found bool) {
	if v = f.Find(s, r); v != nil {
		return v, true
	}
	v = new(Verdict)
	s.Judge(v, r)
	f.Learn(v)
	return v, false
}

// mixed are requests that differ in a field or a bit.
func mixed(rnd *rand.Rand) *Request {
	pick := func(from ...string) []byte { return []byte(from[rnd.IntN(len(from))]) }
	r := &Request{
		Method:      pick("POST", "GET", "OPTIONS", "HEAD"),
		Target:      pick("/", "/api/core/v2/info", "/api/core/v2/info?limit=5", "/api/v1/messages/12/metadata", "/"+strings.Repeat("x", maxFamiliar)),
		ContentType: pick("", "application/json", "application/grpc"),
		Body: pick("", `{"command":"getNodeInfo"}`, `{"command":"getTips"}`, `{"command":"nobody knows"}`, `{"command":"getBalances","addresses":["A","BC"],"threshold":100}`,
			`{"command":"getTransactionsToApprove","depth":3,"reference":"GFC"}`, `{"command":"getTransactionsToApprove","depth":4}`, `[{"method":"eth_call"},{"method":"x"}]`,
			`{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{}]}`, `{"command":"getNodeInfo"`, "x", `{"command":"getTips","a":"`+strings.Repeat("9", maxFamiliar)+`"}`),
	}
	if rnd.IntN(8) == 0 {
		r.ContentEncoding = pick("gzip", "identity")
	}
	if r.BodyBytes = int64(len(r.Body)); rnd.IntN(8) == 0 {
		r.BodyBytes++
	}
	if n := len(r.Body); n > 0 && rnd.IntN(4) == 0 {
		r.Body = bytes.Clone(r.Body)
		r.Body[rnd.IntN(n)] ^= byte(1 << rnd.IntN(7))
	}
	return r
}

func TestFamiliarSaysWhatJudgeSays(t *testing.T) {
	var f Familiar
	rnd := rand.New(rand.NewPCG(1, 2))
	sets := []*Set{view(t, Auto), view(t, "iri"), view(t, "rest")}
	var often [60]*Request
	for i := range often {
		often[i] = mixed(rnd)
	}
	found := 0
	held := map[*Verdict]Verdict{}
	for i := range 60_000 {
		s := sets[i/20_000]
		r := often[rnd.IntN(len(often))]
		if rnd.IntN(3) == 0 {
			r = mixed(rnd)
		}
		v, ok := f.judged(s, r)
		if want := s.Classify(r); !reflect.DeepEqual(*v, want) {
			t.Fatalf("request %d: %s %s %q:\n got %+v\nwant %+v", i, r.Method, r.Target, r.Body, *v, want)
		}
		if ok {
			found++
			held[v] = *v
		}
	}
	if found < 10_000 || found > 55_000 {
		t.Errorf("%d of 60000 were familiar: the test proves little", found)
	}
	for v, was := range held { // calls in flight hold them
		if !reflect.DeepEqual(*v, was) {
			t.Errorf("a verdict that was given away changed:\n got %+v\nwant %+v", *v, was)
		}
	}
}

// What differs by any one field is another request.
func TestFamiliarComparesAll(t *testing.T) {
	var f Familiar
	s := view(t, Auto)
	base := Request{Method: []byte("POST"), Target: []byte("/a"), ContentType: []byte("b"), Body: []byte("{}"), BodyBytes: 2}
	for range 3 {
		f.judged(s, &base)
	}
	if f.Find(s, &base) == nil {
		t.Fatal("not familiar after it came three times")
	}
	for name, change := range map[string]func(*Request){
		"method":             func(r *Request) { r.Method = []byte("POS") },
		"target":             func(r *Request) { r.Target = []byte("/") },
		"moved border":       func(r *Request) { r.Method, r.Target = []byte("POST/"), []byte("a") },
		"type":               func(r *Request) { r.ContentType = []byte("c") },
		"target for type":    func(r *Request) { r.Target, r.ContentType = []byte("/ab"), nil },
		"encoding":           func(r *Request) { r.ContentEncoding = []byte("gzip") },
		"content":            func(r *Request) { r.Body = []byte("[]") },
		"more content":       func(r *Request) { r.BodyBytes = 3 },
		"content in a type":  func(r *Request) { r.ContentType, r.Body, r.BodyBytes = []byte("b{}"), nil, 0 },
		"of another API":     func(*Request) {},
		"longer than may be": func(r *Request) { r.Target = []byte("/" + strings.Repeat("a", maxFamiliar)) },
	} {
		r, of := base, s
		if change(&r); name == "of another API" {
			of = view(t, "iri")
		}
		if f.Find(of, &r) != nil {
			t.Errorf("%s: taken for the same", name)
		}
		f.judged(s, &base)
		f.judged(s, &base)
	}
}

func TestFamiliarAllocs(t *testing.T) {
	var f Familiar
	s := view(t, Auto)
	again := post(`{"command":"getNodeInfo"}`)
	for range 3 {
		f.judged(s, again)
	}
	if n := testing.AllocsPerRun(100, func() { f.Find(s, again) }); n > 0 {
		t.Errorf("a familiar request: %v allocations, want none", n)
	}
	var v Verdict
	bodies := make([]*Request, 3000)
	for i := range bodies {
		bodies[i] = post(fmt.Sprintf(`{"command":"getNodeInfo","n":%d}`, i))
	}
	i := 0
	if n := testing.AllocsPerRun(len(bodies)-10, func() {
		if i++; f.Find(s, bodies[i]) != nil {
			t.Fatal("it never came before")
		}
		s.Judge(&v, bodies[i])
		f.Learn(&v)
	}); n > 0 {
		t.Errorf("requests that never come again: %v allocations each, want none", n)
	}
}

func BenchmarkFamiliar(b *testing.B) {
	s := view(b, Auto)
	for _, tt := range hot {
		b.Run(tt.name, func(b *testing.B) {
			var f Familiar
			for b.Loop() {
				f.judged(s, tt.r)
			}
		})
	}
}
