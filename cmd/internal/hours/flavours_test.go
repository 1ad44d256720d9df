package hours

import (
	"fmt"
	"strings"
	"time"
)

// flavour is a kind of node: how its server treats connections, and what it
// is asked.
type flavour struct {
	name         string
	workers      []int // 0: one for each connection
	depth        int   // of the queue of calls; 0: no bound
	bodyInWorker bool
	cancels      bool // a client's leaving ends the work
	idle         time.Duration
	closes       bool // after each answer
	commands     []command
	jsonrpc      bool
}

// command is what is asked, how long it takes and how much it answers.
type command struct {
	name      string
	weight    float64
	body      func(w *world) string // "": no content; nil: by the name
	median    time.Duration
	sigma     float64
	most      time.Duration
	size      int // of an answer, as a rule; it varies
	lock      string
	inline    bool // needs no worker
	closes    bool
	canary    bool
	slow      bool // honest, and rare: asked by those who know what they do
	stallLock bool // a stalling call takes the lock as well
}

func (c *command) takes(w *world) time.Duration {
	return max(w.lognormal(c.median, c.sigma, c.most), 200*time.Microsecond)
}

const ms = time.Millisecond

const tryte = "GFCCGTGSUEVBZYFK9QNAHOVHXUMEATUFLGBZLDKMOGWCXVUZDVEJVCLLCJJ9NQOIMOLMUMFMGZSI9999"

// hash draws 81 trytes.
func hash(w *world) string {
	b := []byte(tryte + "9")
	for range 12 {
		b[w.rnd.IntN(81)] = byte('A' + w.rnd.IntN(26))
	}
	return string(b[:81])
}

func hashes(w *world, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(`"` + hash(w) + `"`)
	}
	return b.String()
}

func iriList(name, key string, most float64) func(*world) string {
	return func(w *world) string {
		return fmt.Sprintf(`{"command":"%s","%s":[%s]}`, name, key, hashes(w, int(w.wide(1, most))))
	}
}

func iriTips(w *world) string {
	return fmt.Sprintf(`{"command":"getTransactionsToApprove","depth":%d}`, 3+w.rnd.IntN(6))
}

func iriAttach(w *world) string {
	return fmt.Sprintf(`{"command":"attachToTangle","trunkTransaction":"%s","branchTransaction":"%s","minWeightMagnitude":14,"trytes":["%s"]}`,
		hash(w), hash(w), strings.Repeat("9", 2673))
}

func iriBroadcast(w *world) string {
	return `{"command":"broadcastTransactions","trytes":["` + strings.Repeat("9", 2673) + `"]}`
}

var iri = flavour{name: "iri", workers: []int{16, 16, 32, 64}, bodyInWorker: true, idle: 60 * second, commands: []command{
	{name: "getNodeInfo", weight: 10, median: 2 * ms, sigma: 1, most: 400 * ms, size: 800, canary: true},
	{name: "getNodeAPIConfiguration", weight: 1, median: 2 * ms, sigma: 1, most: 400 * ms, size: 300},
	{name: "getBalances", weight: 8, body: iriList("getBalances", "addresses", 60), median: 20 * ms, sigma: 1.2, most: 4 * second, size: 600},
	{name: "wereAddressesSpentFrom", weight: 2, body: iriList("wereAddressesSpentFrom", "addresses", 450), median: 80 * ms, sigma: 1.6, most: 9 * second, size: 900},
	{name: "getInclusionStates", weight: 2, body: iriList("getInclusionStates", "transactions", 40), median: 60 * ms, sigma: 1.4, most: 8 * second, size: 300},
	{name: "findTransactions", weight: 8, body: iriList("findTransactions", "addresses", 30), median: 20 * ms, sigma: 1.5, most: 12 * second, size: 20000, lock: "api"},
	{name: "getTrytes", weight: 6, body: iriList("getTrytes", "hashes", 100), median: 10 * ms, sigma: 1.2, most: 5 * second, size: 60000, lock: "api"},
	{name: "checkConsistency", weight: 1, body: iriList("checkConsistency", "tails", 3), median: 100 * ms, sigma: 1.3, most: 10 * second, size: 100},
	{name: "getTransactionsToApprove", weight: 2, body: iriTips, median: 400 * ms, sigma: 0.8, most: 60 * second, size: 250, lock: "api"},
	{name: "broadcastTransactions", weight: 1, body: iriBroadcast, median: 10 * ms, sigma: 1, most: 2 * second, size: 40},
	{name: "attachToTangle", weight: 0, body: iriAttach, median: 18 * second, sigma: 0.6, most: 90 * second, size: 2800, lock: "api", slow: true},
}}

// iriSlow is the public node of January 2018: tip selection took 7 to 60 s
// (iotaledger/iri#476).
func iriSlow() flavour {
	f := iri
	f.name = "iri, slow tips"
	f.commands = append([]command(nil), iri.commands...)
	for i := range f.commands {
		if c := &f.commands[i]; c.name == "getTransactionsToApprove" {
			c.median, c.sigma, c.most, c.lock, c.weight, c.slow = 18*second, 0.6, 60*second, "api", 0, true
		}
	}
	return f
}

func rpc(name, params string) func(*world) string {
	return func(w *world) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"%s","params":%s}`, w.rnd.IntN(1e6), name, params)
	}
}

func rpcs(cs []command) []command {
	for i := range cs {
		if cs[i].body == nil {
			cs[i].body = rpc(cs[i].name, "[]")
		}
	}
	return cs
}

func ethBatch(w *world) string {
	var b strings.Builder
	b.WriteString("[")
	for i := range 2 + w.rnd.IntN(40) {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(rpc("eth_call", `[{"to":"0x6b175474e89094c44da98b954eedeac495271d0f","data":"0x70a08231"},"latest"]`)(w))
	}
	b.WriteString("]")
	return b.String()
}

var ethereum = flavour{name: "ethereum", workers: []int{0}, cancels: true, idle: 120 * second, jsonrpc: true, commands: rpcs([]command{
	{name: "eth_blockNumber", weight: 10, median: 1 * ms, sigma: 1, most: 300 * ms, size: 80, canary: true},
	{name: "eth_chainId", weight: 4, median: 1 * ms, sigma: 1, most: 300 * ms, size: 80},
	{name: "eth_getBalance", weight: 6, median: 4 * ms, sigma: 1.3, most: 2 * second, size: 100},
	{name: "eth_call", weight: 12, median: 15 * ms, sigma: 1.6, most: 5 * second, size: 400},
	{name: "eth_estimateGas", weight: 2, median: 30 * ms, sigma: 1.5, most: 5 * second, size: 100},
	{name: "eth_getBlockByNumber", weight: 4, median: 10 * ms, sigma: 1, most: 2 * second, size: 40000},
	{name: "eth_getTransactionReceipt", weight: 4, median: 5 * ms, sigma: 1.2, most: 2 * second, size: 1500},
	{name: "eth_getLogs", weight: 2, median: 300 * ms, sigma: 1.8, most: 30 * second, size: 80000},
	{name: "batch", weight: 2, body: ethBatch, median: 60 * ms, sigma: 1.5, most: 10 * second, size: 4000},
	{name: "debug_traceTransaction", weight: 0, median: 3 * second, sigma: 1.3, most: 90 * second, size: 500000, slow: true},
	{name: "debug_traceBlockByNumber", weight: 0, median: 15 * second, sigma: 1.2, most: 200 * second, size: 3000000, slow: true},
	{name: "eth_getLogs", weight: 0, median: 8 * second, sigma: 0.8, most: 30 * second, size: 900000, slow: true},
})}

var erigon = flavour{name: "erigon", workers: []int{0}, cancels: true, idle: 120 * second, jsonrpc: true, commands: rpcs(append([]command{
	{name: "trace_filter", weight: 0, median: 20 * second, sigma: 1.3, most: 400 * second, size: 900000, slow: true},
	{name: "trace_block", weight: 1, median: 300 * ms, sigma: 1.4, most: 20 * second, size: 100000},
	{name: "ots_searchTransactionsBefore", weight: 0.3, median: 600 * ms, sigma: 1.6, most: 60 * second, size: 30000},
	{name: "erigon_getLogs", weight: 0, median: 6 * second, sigma: 1, most: 60 * second, size: 400000, slow: true},
	{name: "trace_replayBlockTransactions", weight: 0, median: 12 * second, sigma: 1.2, most: 200 * second, size: 900000, slow: true},
}, ethereum.commands...))}

var rebased = flavour{name: "iota rebased", workers: []int{0}, cancels: true, idle: 0, jsonrpc: true, commands: rpcs([]command{
	{name: "iota_getLatestCheckpointSequenceNumber", weight: 8, median: 2 * ms, sigma: 1, most: 300 * ms, size: 80, canary: true},
	{name: "iota_getObject", weight: 10, median: 5 * ms, sigma: 1.3, most: 2 * second, size: 900},
	{name: "iota_multiGetObjects", weight: 4, median: 20 * ms, sigma: 1.3, most: 2 * second, size: 9000},
	{name: "iota_getTransactionBlock", weight: 5, median: 6 * ms, sigma: 1.2, most: 2 * second, size: 2500},
	{name: "iotax_getOwnedObjects", weight: 4, median: 80 * ms, sigma: 1.5, most: 12 * second, size: 20000},
	{name: "iotax_queryTransactionBlocks", weight: 3, median: 200 * ms, sigma: 1.6, most: 20 * second, size: 30000},
	{name: "iotax_queryEvents", weight: 1, median: 200 * ms, sigma: 1.6, most: 20 * second, size: 30000},
	{name: "iota_executeTransactionBlock", weight: 1, median: 1500 * ms, sigma: 0.7, most: 25 * second, size: 4000},
	{name: "iota_dryRunTransactionBlock", weight: 2, median: 60 * ms, sigma: 1, most: 4 * second, size: 3000},
	{name: "iotax_getValidatorsApy", weight: 0.3, median: 2 * second, sigma: 1, most: 28 * second, size: 9000},
})}

var bitcoin = flavour{name: "bitcoin", workers: []int{4, 4, 16}, depth: 64, idle: 30 * second, jsonrpc: true, commands: rpcs([]command{
	{name: "getblockcount", weight: 10, median: 1 * ms, sigma: 1, most: 300 * ms, size: 40, canary: true},
	{name: "getblockchaininfo", weight: 4, median: 3 * ms, sigma: 1, most: 500 * ms, size: 900},
	{name: "getrawtransaction", weight: 8, median: 8 * ms, sigma: 1.2, most: 2 * second, size: 1200},
	{name: "getblock", weight: 4, median: 60 * ms, sigma: 1, most: 3 * second, size: 300000},
	{name: "getrawmempool", weight: 1, median: 200 * ms, sigma: 1, most: 6 * second, size: 900000},
	{name: "estimatesmartfee", weight: 2, median: 2 * ms, sigma: 1, most: 300 * ms, size: 60},
	{name: "sendrawtransaction", weight: 1, median: 20 * ms, sigma: 1.2, most: 4 * second, size: 70},
	{name: "listunspent", weight: 1, median: 100 * ms, sigma: 1.5, most: 9 * second, size: 9000},
	{name: "getblocktemplate", weight: 0, body: rpc("getblocktemplate", `[{"rules":["segwit"],"longpollid":"00000000000000000001"}]`), median: 70 * second, sigma: 0.5, most: 120 * second, size: 900000, slow: true},
	{name: "waitfornewblock", weight: 0, median: 400 * second, sigma: 0.8, most: 3000 * second, size: 100, slow: true},
	{name: "scantxoutset", weight: 0, median: 100 * second, sigma: 0.6, most: 400 * second, size: 900, slow: true},
	{name: "gettxoutsetinfo", weight: 0, median: 60 * second, sigma: 0.6, most: 300 * second, size: 500, slow: true},
	{name: "rescanblockchain", weight: 0, median: 900 * second, sigma: 0.6, most: 3500 * second, size: 60, slow: true},
})}

func get(path string) func(*world) string { return func(*world) string { return "GET " + path } }

func getID(format string) func(*world) string {
	return func(w *world) string {
		return "GET " + fmt.Sprintf(format, fmt.Sprintf("%016x%016x%016x%016x", w.rnd.Uint64(), w.rnd.Uint64(), w.rnd.Uint64(), w.rnd.Uint64()))
	}
}

func post(path, content string) func(*world) string {
	return func(*world) string { return "POST " + path + " " + content }
}

var hornet1 = flavour{name: "hornet", workers: []int{0}, idle: 0, commands: []command{
	{name: "GET /api/v1/info", weight: 10, body: get("/api/v1/info"), median: 2 * ms, sigma: 1, most: 300 * ms, size: 900, canary: true},
	{name: "GET /health", weight: 3, body: get("/health"), median: 1 * ms, sigma: 1, most: 300 * ms, size: 0},
	{name: "GET /api/v1/tips", weight: 3, body: get("/api/v1/tips"), median: 5 * ms, sigma: 1, most: 500 * ms, size: 400},
	{name: "GET /api/v1/messages/{id}", weight: 8, body: getID("/api/v1/messages/%s"), median: 5 * ms, sigma: 1.2, most: 2 * second, size: 1200},
	{name: "GET /api/v1/outputs/{id}", weight: 6, body: getID("/api/v1/outputs/%s0000"), median: 5 * ms, sigma: 1.2, most: 2 * second, size: 500},
	{name: "GET /api/v1/addresses/ed25519/{address}/outputs", weight: 5, body: getID("/api/v1/addresses/ed25519/%s/outputs"), median: 20 * ms, sigma: 1.4, most: 4 * second, size: 9000},
	{name: "POST /api/v1/messages", weight: 0.5, body: post("/api/v1/messages", `{"networkId":"1","parentMessageIds":[],"payload":null,"nonce":""}`), median: 4 * second, sigma: 0.8, most: 60 * second, size: 80},
	{name: "GET /api/v1/milestones/{index}/utxo-changes", weight: 0.3, body: get("/api/v1/milestones/123456/utxo-changes"), median: 200 * ms, sigma: 1.4, most: 20 * second, size: 40000},
}}

var hornet2 = flavour{name: "hornet v2", workers: []int{0}, idle: 0, commands: []command{
	{name: "GET /api/core/v2/info", weight: 10, body: get("/api/core/v2/info"), median: 2 * ms, sigma: 1, most: 300 * ms, size: 900, canary: true},
	{name: "GET /health", weight: 3, body: get("/health"), median: 1 * ms, sigma: 1, most: 300 * ms, size: 0},
	{name: "GET /api/core/v2/blocks/{id}", weight: 8, body: getID("/api/core/v2/blocks/0x%s"), median: 5 * ms, sigma: 1.2, most: 2 * second, size: 1200},
	{name: "GET /api/core/v2/outputs/{id}", weight: 6, body: getID("/api/core/v2/outputs/0x%s0000"), median: 5 * ms, sigma: 1.2, most: 2 * second, size: 900},
	{name: "indexer", weight: 5, body: get("/api/indexer/v1/outputs/basic?address=rms1qpwe7xm"), median: 60 * ms, sigma: 1.6, most: 9 * second, size: 3000},
	{name: "POST /api/core/v2/blocks", weight: 1, body: post("/api/core/v2/blocks", `{"protocolVersion":2}`), median: 15 * ms, sigma: 1, most: 60 * second, size: 80},
}}

var goshimmer = flavour{name: "goshimmer", workers: []int{0}, idle: 0, commands: []command{
	{name: "GET /info", weight: 10, body: get("/info"), median: 2 * ms, sigma: 1, most: 300 * ms, size: 900, canary: true},
	{name: "GET /healthz", weight: 3, body: get("/healthz"), median: 1 * ms, sigma: 1, most: 300 * ms, size: 0},
	{name: "GET /blocks/{id}", weight: 6, body: get("/blocks/4Vf3BYzXw2bYbE1yJq3dRPwqQkq3oUiDk3Ld7QkBq1fF"), median: 5 * ms, sigma: 1.2, most: 2 * second, size: 1200},
	{name: "unspent", weight: 6, body: post("/ledgerstate/addresses/unspentOutputs", `{"addresses":["1JKq"]}`), median: 30 * ms, sigma: 1.4, most: 4 * second, size: 5000},
	{name: "GET /mana/all", weight: 1, body: get("/mana/all"), median: 200 * ms, sigma: 1.2, most: 4 * second, size: 90000},
	{name: "POST /data", weight: 0.5, body: post("/data", `{"data":"aGVsbG8="}`), median: 5 * second, sigma: 0.7, most: 65 * second, size: 80},
}}

func flavours() []flavour {
	return []flavour{iri, iriSlow(), hornet1, hornet2, goshimmer, rebased, ethereum, erigon, bitcoin}
}

// pick draws a command by weight.
func (f *flavour) pick(w *world) *command {
	sum := 0.0
	for i := range f.commands {
		sum += f.commands[i].weight
	}
	x := w.rnd.Float64() * sum
	for i := range f.commands {
		if x -= f.commands[i].weight; x < 0 {
			return &f.commands[i]
		}
	}
	return &f.commands[0]
}

func (f *flavour) which(pass func(*command) bool) []*command {
	var out []*command
	for i := range f.commands {
		if pass(&f.commands[i]) {
			out = append(out, &f.commands[i])
		}
	}
	return out
}

func (f *flavour) canary() *command {
	return f.which(func(c *command) bool { return c.canary })[0]
}
