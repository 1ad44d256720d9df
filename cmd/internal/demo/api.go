package demo

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Reference is the hash that the attackers of January 2018 sent as the
// "reference" of getTransactionsToApprove. Operators of public nodes denied it
// by name in HAProxy on 2018-01-25 (nuriel77/iri-playbook b1e31a8).
const Reference = "GFCCGTGSUEVBZYFK9QNAHOVHXUMEATUFLGBZLDKMOGWCXVUZDVEJVCLLCJJ9NQOIMOLMUMFMGZSI99999"

// maxBodyLength is IRI's MAX_BODY_LENGTH in characters.
const maxBodyLength = 1_000_000

// maxRequestsList is IRI's MAX_REQUESTS_LIST: more elements in any list are
// refused.
const maxRequestsList = 1000

// reply is a status and a JSON body.
type reply struct {
	status int
	body   []byte
}

// call is the body of an API request, as far as the node looks at it.
type call struct {
	Command   string   `json:"command"`
	Reference string   `json:"reference"`
	Depth     int      `json:"depth"`
	Addresses []string `json:"addresses"`
	Hashes    []string `json:"hashes"`
	Trytes    []string `json:"trytes"`
}

// command is how the node serves one API command: how long it computes,
// whether IRI's object monitor guards it, and what it says.
type command struct {
	least, most time.Duration
	monitor     bool
	answer      func(c *call) map[string]any
}

// commands is the part of IRI's API that wallets use, and what its operator
// does. The times are those of an unloaded node, the slow ones shortened,
// unless compute says otherwise.
func commands(compute map[string]Span) map[string]command {
	all := map[string]command{
		"getNodeInfo":              {1 * time.Millisecond, 3 * time.Millisecond, false, nodeInfo},
		"getBalances":              {2 * time.Millisecond, 20 * time.Millisecond, false, balances},
		"getTips":                  {5 * time.Millisecond, 20 * time.Millisecond, true, listOf("hashes", 40, 81)},
		"getTrytes":                {5 * time.Millisecond, 30 * time.Millisecond, true, trytes},
		"findTransactions":         {5 * time.Millisecond, 60 * time.Millisecond, true, listOf("hashes", 5, 81)},
		"getInclusionStates":       {5 * time.Millisecond, 30 * time.Millisecond, false, states},
		"wereAddressesSpentFrom":   {2 * time.Millisecond, 10 * time.Millisecond, false, states},
		"getTransactionsToApprove": {40 * time.Millisecond, 250 * time.Millisecond, true, tips},
		"attachToTangle":           {900 * time.Millisecond, 1500 * time.Millisecond, true, listOf("trytes", 1, 2673)},
		"broadcastTransactions":    {1 * time.Millisecond, 5 * time.Millisecond, false, nothing},
		"storeTransactions":        {1 * time.Millisecond, 5 * time.Millisecond, false, nothing},

		"addNeighbors":               {1 * time.Millisecond, 40 * time.Millisecond, false, number("addedNeighbors", 1)},
		"removeNeighbors":            {1 * time.Millisecond, 5 * time.Millisecond, false, number("removedNeighbors", 1)},
		"getNeighbors":               {1 * time.Millisecond, 3 * time.Millisecond, false, neighbors},
		"setApiRateLimit":            {1 * time.Millisecond, 3 * time.Millisecond, false, nothing},
		"interruptAttachingToTangle": {1 * time.Millisecond, 3 * time.Millisecond, false, nothing},
	}
	for name, span := range compute {
		if c, ok := all[name]; ok {
			c.least, c.most = span.Least, span.Most
			all[name] = c
		}
	}
	return all
}

// refuse checks a request in IRI's order and returns the call, or the refusal
// with ok false.
func (n *Node) refuse(r *request, body []byte) (c call, rep reply, ok bool) {
	switch {
	case r.method == http.MethodOptions:
		return c, reply{status: http.StatusOK}, false
	case r.header["x-iota-api-version"] == "":
		return c, fault(http.StatusBadRequest, "error", "Invalid API Version"), false
	case len(body) > maxBodyLength:
		return c, fault(http.StatusBadRequest, "error", "Request too long"), false
	}
	if err := json.Unmarshal(body, &c); err != nil {
		if _, wrongType := err.(*json.UnmarshalTypeError); wrongType {
			return c, fault(http.StatusInternalServerError, "exception", "java.lang.IllegalStateException: "+err.Error()), false
		}
		return c, fault(http.StatusBadRequest, "error", "Invalid JSON syntax: "+err.Error()), false
	}
	switch {
	case c.Command == "":
		return c, fault(http.StatusBadRequest, "error", "COMMAND parameter has not been specified in the request."), false
	case slices.Contains(n.o.Limited, c.Command):
		return c, fault(http.StatusUnauthorized, "error", "COMMAND "+c.Command+" is not available on this node"), false
	case max(len(c.Addresses), len(c.Hashes), len(c.Trytes)) > maxRequestsList:
		return c, fault(http.StatusBadRequest, "error", "Could not complete request"), false
	}
	return c, reply{}, true
}

// fault is an IRI error answer.
func fault(status int, key, text string) reply { return encode(status, map[string]any{key: text}, 0) }

// encode marshals an answer with its "duration" in milliseconds.
func encode(status int, answer map[string]any, took time.Duration) reply {
	answer["duration"] = took.Milliseconds()
	body, err := json.Marshal(answer)
	if err != nil {
		panic("demo: an answer is not JSON: " + err.Error())
	}
	return reply{status, body}
}

// stalls reports whether the call is one that IRI of January 2018 never
// finished: a tip selection from an old reference.
func (c *call) stalls() bool { return c.Command == "getTransactionsToApprove" && c.Reference != "" }

// between draws the time a command computes.
func (c command) between() time.Duration {
	return c.least + time.Duration(rand.Int64N(int64(c.most-c.least)+1))
}

// hash returns n trytes that look like a hash.
func hash(n int) string {
	const alphabet = "9ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	var b strings.Builder
	for range n {
		b.WriteByte(alphabet[rand.IntN(len(alphabet))])
	}
	return b.String()
}

func nodeInfo(*call) map[string]any {
	return map[string]any{
		"appName": "IRI", "appVersion": "1.4.1.7", "jreAvailableProcessors": 2, "jreVersion": "1.8.0_151",
		"latestMilestone": hash(81), "latestMilestoneIndex": 321456,
		"latestSolidSubtangleMilestone": hash(81), "latestSolidSubtangleMilestoneIndex": 321456,
		"neighbors": 7, "packetsQueueSize": 0, "time": time.Now().UnixMilli(), "tips": 4211, "transactionsToRequest": 0,
	}
}

func balances(c *call) map[string]any {
	values := make([]string, len(c.Addresses))
	for i := range values {
		values[i] = fmt.Sprint(rand.IntN(1_000_000))
	}
	return map[string]any{"balances": values, "references": []string{hash(81)}, "milestoneIndex": 321456}
}

func tips(*call) map[string]any {
	return map[string]any{"trunkTransaction": hash(81), "branchTransaction": hash(81)}
}

func states(c *call) map[string]any {
	return map[string]any{"states": make([]bool, max(len(c.Addresses), 1))}
}

func nothing(*call) map[string]any { return map[string]any{} }

// number answers a number under key.
func number(key string, n int) func(*call) map[string]any {
	return func(*call) map[string]any { return map[string]any{key: n} }
}

func neighbors(*call) map[string]any {
	list := make([]map[string]any, 7)
	for i := range list {
		list[i] = map[string]any{"address": fmt.Sprintf("neighbor%d.example.org/192.0.2.%d:14600", i, i+1), "connectionType": "udp",
			"numberOfAllTransactions": rand.IntN(1_000_000), "numberOfInvalidTransactions": 0}
	}
	return map[string]any{"neighbors": list}
}

// trytes answers one transaction of 2673 trytes a hash: an empty message of
// 2187, then the other fields, the same for all of an answer, so that captures
// of large answers stay small.
func trytes(c *call) map[string]any {
	list := make([]string, len(c.Hashes))
	one := strings.Repeat("9", 2187) + hash(486)
	for i := range list {
		list[i] = one
	}
	return map[string]any{"trytes": list}
}

// listOf answers n strings of the given length under key.
func listOf(key string, n, length int) func(*call) map[string]any {
	return func(*call) map[string]any {
		list := make([]string, n)
		for i := range list {
			list[i] = hash(length)
		}
		return map[string]any{key: list}
	}
}
