package rules

import (
	"strings"
	"testing"
)

// TestUnexpected: what no honest client sends, by the embedded packs.
func TestUnexpected(t *testing.T) {
	hash, address, whole := strings.Repeat("A", 81), strings.Repeat("A", 90), strings.Repeat("A", 2673)
	many := func(n int) string { return `"` + strings.Repeat(hash+`","`, n-1) + hash + `"` }
	for _, tt := range []struct{ name, body, want string }{
		{"depth", `{"command":"getTransactionsToApprove","depth":3}`, ""},
		{"the deepest", `{"command":"getTransactionsToApprove","depth":15,"numWalks":5}`, ""},
		{"too deep", `{"command":"getTransactionsToApprove","depth":16}`, "depth"},
		{"no depth at all", `{"command":"getTransactionsToApprove","depth":0}`, "depth"},
		{"a huge depth", `{"command":"getTransactionsToApprove","depth":1e300}`, "depth"},
		{"a depth in quotes is not judged", `{"command":"getTransactionsToApprove","depth":"99"}`, ""},
		{"walks", `{"command":"getTransactionsToApprove","depth":3,"numWalks":27}`, "numWalks"},
		{"a depth that is another command's", `{"command":"getNodeInfo","depth":99}`, ""},
		{"magnitude", `{"command":"attachToTangle","minWeightMagnitude":14,"trytes":["` + whole + `"]}`, ""},
		{"a large magnitude", `{"command":"attachToTangle","minWeightMagnitude":18}`, "minWeightMagnitude"},
		{"short trytes", `{"command":"attachToTangle","trytes":["` + whole + `","9"]}`, "trytes"},
		{"long trytes", `{"command":"storeTransactions","trytes":["` + whole + `9"]}`, "trytes"},
		{"trytes that are cut", `{"command":"storeTransactions","trytes":["` + whole[:2000], ""},
		{"behind whole ones", `{"command":"storeTransactions","trytes":["` + whole + `","` + whole[:2000], ""},
		{"a number for trytes", `{"command":"broadcastTransactions","trytes":[1]}`, "trytes"},
		{"no trytes", `{"command":"broadcastTransactions","trytes":[]}`, ""},
		{"no list", `{"command":"broadcastTransactions","trytes":"9"}`, ""},
		{"addresses", `{"command":"getBalances","addresses":["` + hash + `","` + address + `"]}`, ""},
		{"a bad address", `{"command":"getBalances","addresses":["` + hash + `","` + hash + `A"]}`, "addresses"},
		{"hashes", `{"command":"getTrytes","hashes":["` + hash + `"]}`, ""},
		{"a hash has no checksum", `{"command":"getTrytes","hashes":["` + address + `"]}`, "hashes"},
		{"as many as a wallet", `{"command":"getBalances","addresses":[` + many(500) + `]}`, ""},
		{"more than a wallet", `{"command":"getBalances","addresses":[` + many(501) + `]}`, "addresses"},
		{"more than a wallet, of a node", `{"command":"getTrytes","hashes":[` + many(501) + `]}`, ""},
	} {
		v := Default().Classify(post(tt.body))
		if got := v.Unexpected(); got != tt.want {
			t.Errorf("%s: got %q, want %q of %s", tt.name, got, tt.want, v.Shape.String())
		}
		if n := testing.AllocsPerRun(10, func() { v.Unexpected() }); n > 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

// TestBare: a check asks for a command without what the command needs.
func TestBare(t *testing.T) {
	for body, want := range map[string]bool{
		`{"command":"attachToTangle"}`:                            true,
		`{"command":"addNeighbors"}`:                              true,
		`{"command":"addNeighbors","uris":["udp://192.0.2.1:1"]}`: false,
		`{"command":"addNeighbors","x":1}`:                        false,
		`{"command":"getNeighbors"}`:                              false,
		`{"command":"interruptAttachingToTangle"}`:                false,
		`{"command":"storeMessage"}`:                              false,
	} {
		v := Default().Classify(post(body))
		if v.Bare() != want {
			t.Errorf("%s: got %t", body, !want)
		}
	}
	cut := post(`{"command":"attachToTangle"`)
	cut.BodyBytes = 1 << 20
	if v := Default().Classify(cut); v.Bare() {
		t.Error("a body of which most was not seen is a check")
	}
}

// TestOwnCommandsAreMarked: a file marks commands of its own, and changes what
// a pack says of another.
func TestOwnCommandsAreMarked(t *testing.T) {
	s := own(t, `apis:
  - name: paint
    named_by: json-key
    key: do
    parameters: {number: [coats], length: [colours]}
    commands:
      - {name: mix, class: job, pow: true, probe: true, longest_list: 3, numbers: {coats: -1 to 2}, elements: {colours: [7, 4, 7]}}
  - name: iri
    commands:
      - {name: getTrytes, elements: {}}
      - {name: getTransactionsToApprove, numbers: {depth: 1 to 3}}
      - {name: attachToTangle, pow: false}
      - {name: getBalances, longest_list: 2}
`)
	mix := command(s, "paint", "mix")
	if !mix.Pow || !mix.Probe || mix.Expect == nil || s.Key("paint") != "do" || s.Key("rest") != "" || s.Key("none") != "" {
		t.Errorf("got %+v, key %q", *mix, s.Key("paint"))
	}
	for body, want := range map[string]string{
		`{"do":"mix","coats":2,"colours":["#fff","#aabbcc"]}`:                         "",
		`{"do":"mix","coats":3}`:                                                      "coats",
		`{"do":"mix","coats":-2}`:                                                     "coats",
		`{"do":"mix","colours":["red"]}`:                                              "colours",
		`{"do":"mix","colours":["#fff","#fff","#fff","#fff"]}`:                        "colours",
		`{"command":"getTrytes","hashes":["A"]}`:                                      "",
		`{"command":"getTransactionsToApprove","depth":4}`:                            "depth",
		`{"command":"getTransactionsToApprove","numWalks":27}`:                        "",
		`{"command":"getBalances","addresses":["A"]}`:                                 "addresses",
		`{"command":"getBalances","transactions":["A","B","C"]}`:                      "transactions",
		`{"command":"getBalances","transactions":["A","B"],"threshold":100,"tips":0}`: "",
	} {
		v := s.Classify(post(body))
		if got := v.Unexpected(); got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
	if command(s, "iri", "attachToTangle").Pow || !command(s, "iri", "storeMessage").Pow {
		t.Error("pow: false did not hold, or not alone")
	}
	if text := string(s.AppendYAML(nil)); !strings.Contains(text,
		"pow: true, probe: true, longest_list: 3, numbers: {coats: -1 to 2}, elements: {colours: [4, 7]}}") {
		t.Errorf("shown as\n%s", text[strings.Index(text, "name: paint"):])
	}
	if s.Digest() == Default().Digest() {
		t.Error("the digest is the packs'")
	}
}

// An operator may keep less than the packs do; what they expect of it is then
// not judged.
func TestLessIsKept(t *testing.T) {
	s := own(t, "apis: [{name: iri, parameters: {length: [depth], nothing: [addresses]}}]\n")
	for _, body := range []string{`{"command":"getTransactionsToApprove","depth":99}`, `{"command":"getBalances","addresses":["A"]}`} {
		if v := s.Classify(post(body)); v.Unexpected() != "" {
			t.Errorf("%s: %s was judged", body, v.Unexpected())
		}
	}
}
