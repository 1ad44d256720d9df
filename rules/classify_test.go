package rules

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

func post(body string) *Request {
	return &Request{Method: []byte("POST"), Target: []byte("/"), Body: []byte(body), BodyBytes: int64(len(body))}
}

func get(method, target string) *Request {
	return &Request{Method: []byte(method), Target: []byte(target)}
}

// view returns the default rules for one API.
func view(t testing.TB, api string) *Set {
	t.Helper()
	s, err := Default().Select(api)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestClassifyBody(t *testing.T) {
	for _, tt := range []struct{ name, api, body, wantAPI, want, raw, shape string }{
		{"first key", "auto", `{"command":"getNodeInfo"}`, "iri", "getNodeInfo", "", ""},
		{"last key", "auto", `{"depth": 3, "reference": "ABC9", "command": "getTransactionsToApprove"}`, "iri", "getTransactionsToApprove", "", "depth=3 reference(4)"},
		{"other case", "iri", `{"command":"GETnodeINFO"}`, "iri", "getNodeInfo", "", ""},
		{"escaped value", "iri", `{"command":"getNode\u0049nfo"}`, "iri", "getNodeInfo", "", ""},
		{"escaped key", "iri", `{"comm\u0061nd":"getNodeInfo"}`, "iri", "getNodeInfo", "", ""},
		{"nested key is none", "iri", `{"a":{"command":"getNodeInfo"}}`, "iri", Other, "POST /", "other:1"},
		{"key in a string is none", "iri", `{"a":"\"command\":\"getNodeInfo\""}`, "iri", Other, "POST /", "other:1"},
		{"value is no string", "iri", `{"command":5}`, "iri", Other, "", ""},
		{"unknown", "auto", `{"command":"stealFunds"}`, "iri", Other, "stealFunds", ""},
		{"unknown with control characters", "iri", "{\"command\":\"a\\u001b[31m\\n\xff\"}", "iri", Other, `a\x1b[31m\x0a\xff`, ""},
		{"seed as a command", "iri", `{"command":"` + strings.Repeat("A9", 40) + `Z"}`, "iri", Other, "{trytes}", ""},
		{"module", "iri", `{"command":"Snapshot.getState"}`, "iri", "*.*", "", ""},
		{"name of a route is no command", "iri", `{"command":"GET /healthz"}`, "iri", Other, "GET /healthz", ""},
		{"other is no command", "iri", `{"command":"other"}`, "iri", Other, "other", ""},
		{"byte order mark", "iri", "\xef\xbb\xbf {\"command\":\"getNodeInfo\"}", "iri", "getNodeInfo", "", ""},
		{"deep value before the key", "iri", `{"a":` + strings.Repeat(`[{"a":`, 500) + `1` + strings.Repeat(`}]`, 500) + `,"command":"getNodeInfo"}`, "iri", "getNodeInfo", "", "other:1"},
		{"gson: no quotes", "iri", `{command:getNodeInfo}`, "iri", "getNodeInfo", "", ""},
		{"gson: single quotes", "iri", `{'command'='getNodeInfo';'depth'=>3}`, "iri", "getNodeInfo", "", "depth=3"},
		{"gson: comments", "iri", "/*{*/{#x\n\"a\"://y\n1,/*\"*/\"command\":\"getNodeInfo\"}", "iri", "getNodeInfo", "", "other:1"},
		{"gson: guard", "iri", ")]}'\n{\"command\":\"getNodeInfo\"}", "iri", "getNodeInfo", "", ""},
		{"gson: quote within a word", "iri", `{x:a"b, command:"getNodeInfo"}`, "iri", "getNodeInfo", "", "other:1"},
		{"lists", "iri", `{"command":"findTransactions","addresses":["A","B"],"tags":[],"bundles":[["x","y"],{}]}`, "iri", "findTransactions", "", "addresses[2] tags[0] bundles[2]"},
		{"numbers", "iri", `{"command":"getTransactionsToApprove","depth":-1.9e1,"numWalks":99999999999999999999,"threshold":"9"}`, "iri", "getTransactionsToApprove", "", "depth=-19 numWalks=9223372036854775807 threshold(1)"},
		{"repeated parameter", "iri", `{"command":"getBalances","threshold":1,"threshold":[2,3]}`, "iri", "getBalances", "", "threshold[2]"},
		{"kinds", "iri", `{"command":"getBalances","tips":null,"address":true,"message":{"a":1,"b":2}}`, "iri", "getBalances", "", "tips:null address:bool message{2}"},
		{"secret", "iri", `{"command":"getNodeInfo","seed":"SECRET","password":"SECRET"}`, "iri", "getNodeInfo", "", "other:2"},
		{"many parameters", "iri", `{"command":"x","addresses":1,"approvees":1,"bundles":1,"hashes":1,"tags":1,"tails":1,"tips":1,"trytes":1,"uris":1}`, "iri", Other, "x",
			"addresses:number approvees:number bundles:number hashes:number tags:number tails:number tips:number trytes:number more:1"},

		{"rpc", "auto", `{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{},"latest"]}`, "jsonrpc", "eth_call", "", "params[2]"},
		{"rpc without a version", "auto", `{"method":"eth_call"}`, "jsonrpc", "eth_call", "", ""},
		{"rpc family", "jsonrpc", `{"jsonrpc":"2.0","method":"debug_whatever"}`, "jsonrpc", "debug_*", "", ""},
		{"rpc unknown", "auto", `{"jsonrpc":"2.0","method":"foo"}`, "jsonrpc", Other, "foo", ""},
		{"rpc minds the case", "jsonrpc", `{"jsonrpc":"2.0","method":"ETH_CALL"}`, "jsonrpc", Other, "ETH_CALL", ""},
		{"a method alone is no rpc", "auto", `{"method":"foo"}`, "rest", Other, "POST /", ""},
		{"batch of one", "jsonrpc", `[{"method":"eth_call"}]`, "jsonrpc", "eth_call", "", ""},
		{"empty batch", "jsonrpc", `[]`, "jsonrpc", Other, "POST /", ""},
		{"iri has no batches", "iri", `[{"command":"getNodeInfo"}]`, "iri", Other, "POST /", ""},
		{"text", "auto", `hello`, "rest", Other, "POST /", ""},
		{"NUL", "auto", "\x00", "rest", Other, "POST /", ""},
		{"form", "auto", "command=getNodeInfo", "rest", Other, "POST /", ""},
		{"empty", "iri", "", "iri", Other, "POST /", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := view(t, tt.api).Classify(post(tt.body))
			got := []string{v.Command.API, v.Command.Name, v.Raw, v.Shape.String()}
			want := []string{tt.wantAPI, tt.want, tt.raw, tt.shape}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("got %q (%s), want %q, body %.200q", got, v.Why, want, tt.body)
					break
				}
			}
		})
	}
}

func TestClassifyFlags(t *testing.T) {
	for _, tt := range []struct {
		name, body              string
		cut                     int64
		want                    string
		dup, len, bad, trail, c bool
	}{
		{name: "plain", body: `{"command":"getNodeInfo"}`, want: "getNodeInfo"},
		{name: "last one wins", body: `{"command":"getNodeInfo","command":"getTrytes"}`, want: "getTrytes", dup: true},
		{name: "lenient", body: `{command:getTips}`, want: "getTips", len: true},
		{name: "unclosed", body: `{"command":"getTips"`, want: "getTips", bad: true},
		{name: "wrong bracket", body: `{"command":"getTips","a":[}]`, want: "getTips", bad: true},
		{name: "no comma", body: `{"command":"getTips" "a":1}`, want: "getTips", bad: true},
		{name: "trailing", body: `{"command":"getTips"} {}`, want: "getTips", trail: true},
		{name: "cut after", body: `{"command":"getTips","trytes":["AB`, cut: 100, want: "getTips", c: true},
		{name: "cut before", body: `{"trytes":["AB`, cut: 100, want: Other, c: true},
		{name: "cut within", body: `{"command":"getTip`, cut: 100, want: Other, c: true},
		{name: "ends within", body: `{"command":"getTip`, want: Other, bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := post(tt.body)
			r.BodyBytes += tt.cut
			v := view(t, "iri").Classify(r)
			if v.Command.Name != tt.want || v.DuplicateKey != tt.dup || v.Lenient != tt.len || v.Malformed != tt.bad || v.Trailing != tt.trail || v.Cut != tt.c {
				t.Errorf("got %s dup %t lenient %t malformed %t trailing %t cut %t, want %+v", v.Command.Name, v.DuplicateKey, v.Lenient, v.Malformed, v.Trailing, v.Cut, tt)
			}
		})
	}
}

func TestClassifyRoute(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for _, tt := range []struct{ method, target, want, raw, shape string }{
		{"GET", "/api/v1/info", "GET /api/v1/info", "", ""},
		{"HEAD", "/api/v1/info", "GET /api/v1/info", "", ""},
		{"GET", "/api/v1/info/", "GET /api/v1/info", "", ""},
		{"GET", "//api//v1/./info", "GET /api/v1/info", "", ""},
		{"GET", "/api/v1/inf%6f?x=1", "GET /api/v1/info", "", "other:1"},
		{"GET", "/api%2Fv1%2finfo", "GET /api/v1/info", "", ""},
		{"GET", "/api/v1/info%2F", "GET /api/v1/info", "", ""},
		{"GET", "/api/v1/messages/a%2Fb", "GET /api/v1/messages/{id}", "", ""},
		{"GET", "/api/v1/messages/a%2Fmetadata", "GET /api/v1/messages/{id}", "", ""}, // as Go's routers take it
		{"GET", "/no/such%2fpath", Other, "GET /no/such/path", ""},
		{"GET", "/api/v1/info%", Other, "GET /api/v1/info%", ""},
		{"GET", "/API/v1/info", Other, "GET /API/v1/info", ""},
		{"GET", "http://node:14265/api/v1/info", "GET /api/v1/info", "", ""},
		{"GET", "http://node:14265", Other, "GET /", ""},
		{"GET", "/api/v1/messages/" + id, "GET /api/v1/messages/{id}", "", ""},
		{"GET", "/api/v1/messages/" + id + "/metadata", "GET /api/v1/messages/{id}/metadata", "", ""},
		{"GET", "/api/v1/messages?index=SECRET", "GET /api/v1/messages", "", "index(6)"},
		{"POST", "/api/v1/messages", "POST /api/v1/messages", "", ""},
		{"PUT", "/api/v1/messages", Other, "PUT /api/v1/messages", ""},
		{"GET", "/api/v1/addresses/ed25519/" + id, "GET /api/v1/addresses/ed25519/{address}", "", ""},
		{"GET", "/api/v1/addresses/iota1qp/outputs", "GET /api/v1/addresses/{address}/outputs", "", ""},
		{"GET", "/api/core/v2/milestones/by-index/77", "GET /api/core/v2/milestones/by-index/{index}", "", ""},
		{"GET", "/api/core/v2/milestones/by-index/utxo-changes", "GET /api/core/v2/milestones/by-index/{index}", "", ""},
		{"GET", "/api/core/v2/milestones/77/utxo-changes", "GET /api/core/v2/milestones/{id}/utxo-changes", "", ""},
		{"GET", "/api/indexer/v1/outputs/basic?pageSize=50&cursor=abc", "ANY /api/indexer/v1/*", "", "pageSize=50 cursor(3)"},
		{"GET", "/api/participation/v1/events", "ANY /api/participation/v1/*", "", ""},
		{"POST", "/api/participation/v1/admin/events", "ANY /api/participation/v1/admin/*", "", ""},
		{"GET", "/api/mqtt/v1", "GET /api/mqtt/v1", "", ""},
		{"GET", "/healthz", "GET /healthz", "", ""},
		{"GET", "/spammer?cmd=start", "GET /spammer", "", "cmd(5)"},
		{"OPTIONS", "/", "OPTIONS", "", ""},
		{"OPTIONS", "*", "OPTIONS", "", ""},
		{"GET", "/", Other, "GET /", ""},
		{"GET", "/v1/" + id + "/12/0xab/iota1qqq/12D3KooWsecretsecretsecretsecret/wp-login.php", Other, "GET /v1/{id}/{id}/{id}/{id}/{id}/wp-login.php", ""},
		{"GET", "/\x1b[2J\xff", Other, `GET /\x1b[2J\xff`, ""},
		{"GET", "/" + strings.Repeat("a/", 4000), Other, "GET /", ""},
		{"", "", Other, "", ""},
	} {
		v := Default().Classify(get(tt.method, tt.target))
		if v.Command.Name != tt.want || v.Raw != tt.raw || v.Shape.String() != tt.shape {
			t.Errorf("%s %.100s: got %q raw %q shape %q (%s), want %q raw %q shape %q", tt.method, tt.target,
				v.Command.Name, v.Raw, v.Shape.String(), v.Why, tt.want, tt.raw, tt.shape)
		}
	}
}

// A command in the body counts under any path, as it does for IRI.
func TestBodyBeforePath(t *testing.T) {
	r := post(`{"command":"attachToTangle"}`)
	r.Target = []byte("/api/v1/messages")
	if v := Default().Classify(r); v.Command.Name != "attachToTangle" {
		t.Errorf("got %s, want attachToTangle", v.Command.Name)
	}
	r = post(`{"command":"no such","payload":null}`)
	r.Target = []byte("/api/v1/messages")
	if v := Default().Classify(r); v.Command.Name != "POST /api/v1/messages" {
		t.Errorf("got %s, want the route", v.Command.Name)
	}
}

func TestClassifyBatch(t *testing.T) {
	s := view(t, "jsonrpc")
	v := s.Classify(post(`[{"method":"eth_chainId"},{"method":"eth_getLogs","method":"debug_traceBlock"},7,{"method":"nope"},{"method":"eth_chainId"}]`))
	if v.Command.Name != "debug_traceBlock" || v.Calls != 5 {
		t.Errorf("got %s and %d calls, want debug_traceBlock and 5", v.Command.Name, v.Calls)
	}
	want := []struct {
		name string
		n    int
	}{{"eth_chainId", 2}, {"debug_traceBlock", 1}, {Other, 2}}
	for i, w := range want {
		if i >= len(v.Batch) || v.Batch[i].Command.Name != w.name || v.Batch[i].N != w.n {
			t.Fatalf("batch: got %v, want %v", v.Batch, want)
		}
	}

	v = s.Classify(post(`[{"method":"nope"},{"method":"neither"}]`))
	if v.Command.Name != Other || v.Raw != "nope" || v.Calls != 2 {
		t.Errorf("got %s %q %d calls, want other, nope, 2", v.Command.Name, v.Raw, v.Calls)
	}

	v = s.Classify(post("[" + strings.Repeat(`{"method":"eth_chainId"},`, maxCalls+5) + "1]"))
	sum := 0
	for _, c := range v.Batch {
		sum += c.N
	}
	if v.Calls != maxCalls+6 || sum != v.Calls || v.Batch[0].N != maxCalls {
		t.Errorf("got %d calls, sum %d, first %d; want %d, the same, %d", v.Calls, sum, v.Batch[0].N, maxCalls+6, maxCalls)
	}
}

func pack(t *testing.T, w io.WriteCloser, b *bytes.Buffer, body string) []byte {
	t.Helper()
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b.Bytes())
}

func TestClassifyEncoded(t *testing.T) {
	const body = `{"command":"getNodeInfo"}`
	bomb := `{"a":"` + strings.Repeat("0", 10<<20) + `","command":"getNodeInfo"}`
	var b bytes.Buffer
	zipped := func(body string) []byte { b.Reset(); return pack(t, gzip.NewWriter(&b), &b, body) }
	b.Reset()
	zl := pack(t, zlib.NewWriter(&b), &b, body)
	b.Reset()
	fw, _ := flate.NewWriter(&b, 5)
	fl := pack(t, fw, &b, body)
	for _, tt := range []struct {
		name, coding string
		body         []byte
		want, why    string
		cut          bool
	}{
		{"gzip", "gzip", zipped(body), "getNodeInfo", "key command", false},
		{"upper case", " X-GZIP ", zipped(body), "getNodeInfo", "key command", false},
		{"zlib", "deflate", zl, "getNodeInfo", "key command", false},
		{"bare deflate", "deflate", fl, "getNodeInfo", "key command", false},
		{"identity", "identity", []byte(body), "getNodeInfo", "key command", false},
		{"bomb", "gzip", zipped(bomb), Other, whyCut, true},
		{"brotli", "br", []byte("\x8b\x0c\x80" + body + "\x03"), Other, whyEncoding, false},
		{"not gzip at all", "gzip", []byte(body), "getNodeInfo", "key command", false},
		{"nor deflate", "deflate", []byte("\r\n /* */ " + body), "getNodeInfo", "key command", false},
		{"nor brotli", "br", []byte(body), "getNodeInfo", "key command", false},
		{"garbage", "gzip", []byte("garbage"), Other, whyEncoding, false},
		{"cut", "gzip", zipped(body)[:len(zipped(body))-9], "getNodeInfo", "key command", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the second time with a used reader
				r := post(string(tt.body))
				r.ContentEncoding = []byte(tt.coding)
				v := view(t, "iri").Classify(r)
				if v.Command.Name != tt.want || v.Why != tt.why || v.Cut != tt.cut {
					t.Fatalf("got %s, %q, cut %t; want %s, %q, cut %t", v.Command.Name, v.Why, v.Cut, tt.want, tt.why, tt.cut)
				}
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	s := view(t, "iri")
	print := func(ref string) (uint64, bool) {
		v := s.Classify(post(`{"command":"getTransactionsToApprove","reference":` + ref + `}`))
		return v.Shape.RefPrint()
	}
	a, ok1 := print(`"GFCC9"`)
	b, ok2 := print(`"GF\u0043C9"`)
	c, ok3 := print(`"GFCC8"`)
	if !ok1 || !ok2 || !ok3 || a != b || a == c {
		t.Errorf("got %x %x %x, want the same twice and another", a, b, c)
	}
	if _, ok := print(`["GFCC9"]`); ok {
		t.Error("a list has a fingerprint")
	}
}

func TestShapeMethods(t *testing.T) {
	v := view(t, "iri").Classify(post(`{"command":"getBalances","addresses":["A","B"],"threshold":100,"foo":1,"tips":7}`))
	s := &v.Shape
	if !s.Has("addresses") || s.Has("foo") || s.Has("command") || s.Len("addresses") != 2 || s.Len("threshold") != 0 || s.Len("nope") != 0 {
		t.Errorf("wrong presence or length in %s", s)
	}
	if n, ok := s.Int("threshold"); n != 100 || !ok {
		t.Errorf("threshold: got %d %t, want 100", n, ok)
	}
	if n, ok := s.Int("tips"); ok {
		t.Errorf("tips: got %d, want none: the rules do not allow it", n)
	}
	if s.Kind("tips") != KindNumber || s.Kind("nope") != KindNone || s.Params() != 4 || s.Others() != 1 {
		t.Errorf("got kind %s, %d parameters, %d others", s.Kind("tips"), s.Params(), s.Others())
	}
	if z := (Shape{}); z.String() != "" || z.Has("depth") {
		t.Errorf("zero shape: got %q", z.String())
	}
}

// Several shards share one Set.
func TestClassifyConcurrently(t *testing.T) {
	s := Default()
	zipped := func() []byte {
		var b bytes.Buffer
		return pack(t, gzip.NewWriter(&b), &b, `{"command":"getTips"}`)
	}()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				r := post(string(zipped))
				r.ContentEncoding = []byte("gzip")
				if v := s.Classify(r); v.Command.Name != "getTips" {
					t.Errorf("got %s, want getTips", v.Command.Name)
				}
				if v := s.Classify(get("GET", "/api/core/v2/info")); v.Why != whyRoute {
					t.Errorf("got %s by %s", v.Command.Name, v.Why)
				}
			}
		})
	}
	wg.Wait()
}

// Each call in flight keeps a Verdict: a million of them are in the budget of
// a small node.
func TestVerdictIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Verdict{}); size > 224 {
		t.Errorf("a Verdict has %d bytes, want at most 224", size)
	}
}
