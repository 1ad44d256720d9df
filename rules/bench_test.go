package rules

import (
	"strconv"
	"strings"
	"testing"
)

type hotRow struct {
	name, api string
	r         *Request
}

var hot = []hotRow{
	{"iri getNodeInfo", "iri", post(`{"command":"getNodeInfo"}`)},
	{"iri auto", Auto, post(`{"command":"getNodeInfo"}`)},
	{"iri folded", "iri", post(`{"command":"getnodeinfo"}`)},
	{"iri reference", "iri", post(`{"command":"getTransactionsToApprove","depth":3,"reference":"` + strings.Repeat("GFCCGTGSU", 9) + `"}`)},
	{"iri 20 transactions", "iri", post(`{"trytes":["` + strings.Repeat(strings.Repeat("A", 2673)+`","`, 20) + `"],"command":"storeTransactions"}`)},
	{"iri escaped", "iri", post(`{"comm\u0061nd":"getNode\u0049nfo"}`)},
	{"jsonrpc", "jsonrpc", post(`{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0xabc","latest"]}`)},
	{"jsonrpc auto", Auto, post(`{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0xabc","latest"]}`)},
	{"jsonrpc family", "jsonrpc", post(`{"jsonrpc":"2.0","id":1,"method":"trace_block","params":[]}`)},
	{"rest", "rest", get("GET", "/api/v1/messages/"+strings.Repeat("0123456789abcdef", 4)+"/metadata")},
	{"rest auto", Auto, get("GET", "/api/core/v2/info")},
	{"rest escaped", "rest", get("GET", "/api/core/v2/inf%6f?limit=5")},
	{"options", Auto, get("OPTIONS", "/")},
}

func batchOf(n int) *Request {
	return post("[" + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{},"latest"]},`, n-1) + `{"method":"eth_chainId"}]`)
}

func TestClassifyAllocs(t *testing.T) {
	check := func(name string, s *Set, r *Request, most float64) {
		if v := s.Classify(r); v.Command.Name == Other {
			t.Errorf("%s: is other", name)
		}
		if n := testing.AllocsPerRun(100, func() { s.Classify(r) }); n > most {
			t.Errorf("%s: got %v allocations, want at most %v", name, n, most)
		}
	}
	for _, tt := range hot {
		check(tt.name, view(t, tt.api), tt.r, 0)
	}
	check("batch", view(t, "jsonrpc"), batchOf(100), 1) // Verdict.Batch itself
}

func BenchmarkClassify(b *testing.B) {
	rows := hot
	for _, n := range []int{2, 100, 1000} {
		rows = append(rows[:len(rows):len(rows)], hotRow{"batch of " + strconv.Itoa(n), "jsonrpc", batchOf(n)})
	}
	rows = append(rows, hotRow{"unknown", "iri", post(`{"command":"stealFunds"}`)})
	for _, tt := range rows {
		s := view(b, tt.api)
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(tt.r.Body) + len(tt.r.Target)))
			for b.Loop() {
				s.Classify(tt.r)
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(); err != nil {
			b.Fatal(err)
		}
	}
}
