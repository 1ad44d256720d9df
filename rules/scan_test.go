package rules

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// inCuts classifies body as a Scan reads it, cut as rnd likes.
func inCuts(s *Set, r *Request, body []byte, rnd *rand.Rand) Verdict {
	c := s.NewScan()
	most := 1 + rnd.IntN(1+len(body))
	for len(body) > 0 {
		n := 1 + rnd.IntN(min(most, len(body)))
		c.Write(append([]byte(nil), body[:n]...))
		body = body[n:]
	}
	return c.Classify(r)
}

// sameAtOnce holds a Scan in any cut to Classify of the whole.
func sameAtOnce(t testing.TB, s *Set, body []byte, more int64, rnd *rand.Rand) {
	t.Helper()
	r := Request{Method: []byte("POST"), Target: []byte("/"), Body: body, BodyBytes: int64(len(body)) + more}
	want := s.Classify(&r)
	r.Body = nil
	for range 3 {
		if got := inCuts(s, &r, body, rnd); !reflect.DeepEqual(got, want) {
			t.Fatalf("in cuts  %+v %s\nat once  %+v %s\ninput %q, %d more bytes", got, got.Shape.String(), want, want.Shape.String(), body, more)
		}
	}
}

// fragments are what bodies are made of here: everything that the grammar
// knows, and what is next to it.
var fragments = []string{`{`, `}`, `[`, `]`, `,`, `;`, `:`, `=`, `=>`, `"command"`, `"method"`, `"jsonrpc"`, `"params"`, `'command'`, `command`, `"getNodeInfo"`,
	`getTrytes`, `"eth_call"`, `"unheard of"`, `"depth"`, `"addresses"`, `"reference"`, `3`, `-0`, `0.5`, `01`, `1e9`, `1e`, `true`, `tru`, `null`, `false`,
	` `, "\n", "\f", "\x00", `/`, `//`, `/*`, `*/`, `/**/`, `/*/`, `#`, "#\n", `"`, `'`, `\`, `"\u0061"`, `"\ud83d\ude00"`, `"\ud800"`, `"\ud8"`, `"\"`, `"a\qb"`,
	"\xef\xbb\xbf", "\xef\xbb", ")]}'\n", ")]", `"comm\u0061nd"`, `"999999999999999999999"`, `{"a":1}`, `[1,2]`, `{"method":"eth_call"}`, `{"method":"x"}`,
	strings.Repeat("A", 300), `"` + strings.Repeat("Z", 90) + `"`, `"` + strings.Repeat(`\u00e9`, 200) + `"`, strings.Repeat("[", 70), strings.Repeat("]", 70)}

func TestScanSaysWhatClassifySays(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	s := Default()
	for range 30_000 {
		var b []byte
		if rnd.IntN(2) == 0 {
			b = append(b, []string{`{"command":`, `{"a":[`, `[{"method":`, `{`, `[`}[rnd.IntN(5)]...)
		}
		for range rnd.IntN(14) {
			b = append(b, fragments[rnd.IntN(len(fragments))]...)
		}
		sameAtOnce(t, s, b, int64(rnd.IntN(2)), rnd)
	}
	for range 5000 {
		b := appendObject(nil, rnd, 0)
		if rnd.IntN(3) == 0 {
			b = b[:rnd.IntN(len(b)+1)]
		}
		sameAtOnce(t, s, b, 0, rnd)
	}
	for _, h := range hostile {
		sameAtOnce(t, s, []byte(h.make(3000)), 0, rnd)
	}
}

func FuzzScanCuts(f *testing.F) {
	for _, h := range hostile {
		f.Add([]byte(h.make(200)), uint64(1))
	}
	for _, x := range fragments {
		f.Add([]byte(`{"command":`+x), uint64(2))
		f.Add([]byte(`[{"method":`+x), uint64(3))
	}
	s := Default()
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		sameAtOnce(t, s, body, int64(seed&1), rand.New(rand.NewPCG(seed, 1)))
	})
}

// TestCommandBehindLongLists: wherever an attacker puts the command in a
// million bytes, it is named.
func TestCommandBehindLongLists(t *testing.T) {
	s := Default()
	list := `"addresses":[` + strings.Repeat(`"`+strings.Repeat("A", 81)+`",`, 6000) + `"x"]`
	for _, body := range []string{
		`{` + list + `,"command":"getBalances"}`,
		`{` + list + `,"command":"getBalances",` + list + `}`,
		`{"addresses":` + strings.Repeat(`[`, 400_000) + strings.Repeat(`]`, 400_000) + `,"command":"getBalances"}`,
		`{"command":"getNodeInfo",` + list + `,"command":"getBalances"}`,
		`{"a":"` + strings.Repeat(`\"`, 300_000) + `","command":"getBalances"}`,
		`{` + strings.Repeat(`/* "command":"getNodeInfo" */`, 20_000) + `"command":"getBalances"}`,
	} {
		c := s.NewScan()
		for i := 0; i < len(body); i += 1448 {
			c.Write([]byte(body[i:min(i+1448, len(body))]))
		}
		v := c.Classify(&Request{Method: []byte("POST"), Target: []byte("/"), BodyBytes: int64(len(body))})
		if v.Command.Name != "getBalances" || v.Cut {
			t.Errorf("%.60q… of %d bytes: %s because of %s, cut %v; want getBalances", body, len(body), v.Command.Name, v.Why, v.Cut)
		}
	}
}

// TestScanDoesNotGrow: a Scan allocates nothing while it reads.
func TestScanDoesNotGrow(t *testing.T) {
	s := Default()
	for _, h := range hostile {
		if strings.HasPrefix(h.name, "batch") {
			continue // a list of different commands, as long as the closed set
		}
		c := s.NewScan()
		body := []byte(h.make(4096))
		if n := testing.AllocsPerRun(20, func() { c.Write(body) }); n != 0 {
			t.Errorf("%s: %v allocations", h.name, n)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	s := Default()
	body := []byte(`{"addresses":[` + strings.Repeat(`"`+strings.Repeat("A", 81)+`",`, 700) + `"x"],"command":"getBalances"}`)
	for _, piece := range []int{1448, len(body)} {
		b.Run(fmt.Sprintf("piece=%d", piece), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				c := s.NewScan()
				for i := 0; i < len(body); i += piece {
					c.Write(body[i:min(i+piece, len(body))])
				}
				c.Classify(&Request{BodyBytes: int64(len(body))})
			}
		})
	}
}

// TestGRPCIsNoStall: a gRPC call that no pack knows may stream for ever.
func TestGRPCIsNoStall(t *testing.T) {
	s := Default()
	for _, x := range []struct {
		contentType, target string
		want                bool
	}{
		{"application/grpc", "/inx.INX/ListenToBlocks", true},
		{"application/grpc+proto", "/inx.INX/ReadBlock", true},
		{"application/grpc-web+proto", "/a.B/C", true},
		{"application/json", "/a.B/C", false},
		{"application/grpcs", "/a.B/C", false},
		{"application/grpc", "/api/v1/info", false}, // a route of a pack keeps its budget
	} {
		r := Request{Method: []byte("POST"), Target: []byte(x.target), ContentType: []byte(x.contentType)}
		if x.target == "/api/v1/info" {
			r.Method = []byte("GET")
		}
		if v := s.Classify(&r); v.Stream != x.want {
			t.Errorf("%s %s: stream %v, want %v (%s)", x.contentType, x.target, v.Stream, x.want, v.Command.Name)
		}
	}
}
