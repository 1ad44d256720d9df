package pipeline

import (
	"fmt"
	"testing"

	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// shown settles one event on an exchange, and returns the verdict told of it.
func shown(vs *verdicts, kind httpreassembly.Kind, x *httpreassembly.Exchange) *rules.Verdict {
	t := told{events: []httpreassembly.Event{{Kind: kind, Exchange: x}}, verdicts: []*rules.Verdict{nil}}
	vs.settle(&t, 0)
	return t.verdicts[0]
}

func asking(slot int32, body string) *httpreassembly.Exchange {
	return &httpreassembly.Exchange{Slot: slot, Answer: &httpreassembly.Answer{}, Head: &httpreassembly.Head{Method: []byte("POST"), Target: []byte("/")}, Body: []byte(body), RequestBody: int64(len(body))}
}

// Calls that ask the same share a verdict while they hang; those that do not
// have their own, and the room of one that is over goes to the next.
func TestVerdictsAreShared(t *testing.T) {
	const same = `{"command":"getTransactionsToApprove","depth":3}`
	vs := verdicts{rules: rules.Default()}
	rooms := map[*rules.Verdict]int{}
	for i := range int32(1000) {
		x := asking(i, same)
		if v := shown(&vs, httpreassembly.RequestStarted, x); v != nil {
			t.Fatalf("a verdict before the request was whole: %v", v)
		}
		rooms[shown(&vs, httpreassembly.RequestSeen, x)]++
	}
	if len(rooms) > 3 {
		t.Errorf("1000 equal calls have %d verdicts, want 3 at most", len(rooms))
	}
	own := map[*rules.Verdict]int{}
	for round := range 3 {
		for i := range int32(1000) {
			x := asking(i, fmt.Sprintf(`{"command":"getTransactionsToApprove","depth":%d}`, 10_000+1000*round+int(i)))
			shown(&vs, httpreassembly.RequestStarted, x)
			own[shown(&vs, httpreassembly.RequestSeen, x)]++
		}
		for i := range int32(1000) {
			v := shown(&vs, httpreassembly.ResponseSeen, asking(i, ""))
			if depth, _ := v.Shape.Int("depth"); depth != int64(10_000+1000*round+int(i)) {
				t.Fatalf("the verdict of slot %d says depth %d", i, depth)
			}
		}
	}
	if len(own) != 1000 || len(vs.spare) != 0 {
		t.Errorf("3 times 1000 different calls took %d verdicts, %d are spare; want 1000 and 0", len(own), len(vs.spare))
	}
}

func BenchmarkVerdicts(b *testing.B) {
	for name, different := range map[string]int{"familiar": 1, "different": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			vs := verdicts{rules: rules.Default()}
			xs := make([]*httpreassembly.Exchange, 4096)
			for i := range xs {
				xs[i] = asking(int32(i%64), fmt.Sprintf(`{"command":"getBalances","addresses":["GFCCGTGSUEVBZYFK9QNAHOVHXUMEATUFLGBZLDKMOGWCXVUZDVEJVCLLCJJ9NQOIMOLMUMFMGZSI%d"],"threshold":100}`, 10000+i%different))
			}
			t := told{events: []httpreassembly.Event{{}, {}}, verdicts: []*rules.Verdict{nil, nil}}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				x := xs[i%len(xs)]
				t.events[0] = httpreassembly.Event{Kind: httpreassembly.RequestStarted, Exchange: x}
				t.events[1] = httpreassembly.Event{Kind: httpreassembly.RequestSeen, Exchange: x}
				t.verdicts[0], t.verdicts[1] = nil, nil
				vs.settle(&t, 0)
			}
		})
	}
}
