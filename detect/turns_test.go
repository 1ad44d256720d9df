package detect

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Three cheap calls are pipelined behind one whose answer takes a minute to
// the client: they wait for it, not for the node. When it is out, the next of
// them has its turn, and then it hangs as any other.
func TestPipelinedCallsWaitForTheirTurn(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	flow := capture.Flow{Client: endpoint("10.0.0.1:40000"), Server: endpoint("127.0.0.1:14265")}
	var out []Finding
	tell := func(after float64, kind httpreassembly.Kind, x *httpreassembly.Exchange, c *rules.Command) {
		at := epoch.Add(time.Duration(after * 1e9))
		ev := &httpreassembly.Event{At: at, Kind: kind, Conn: httpreassembly.ConnID(epoch), Flow: flow, Exchange: x}
		var v *rules.Verdict
		if x != nil {
			v = &rules.Verdict{Command: c, Calls: 1}
			switch kind {
			case httpreassembly.RequestSeen:
				x.RequestEnd = at
			case httpreassembly.ResponseSeen:
				x.Status = 200
			case httpreassembly.ExchangeDone:
				x.Outcome = httpreassembly.Answered
			}
		}
		out = e.Observe(out, ev, v)
	}
	info, trytes := commandNamed("getNodeInfo"), commandNamed("getTrytes")
	tell(0, httpreassembly.Opened, nil, nil)
	first := newExchange(flow, 1)
	tell(0.1, httpreassembly.RequestSeen, first, trytes)
	var behind []*httpreassembly.Exchange
	for i := range 3 {
		behind = append(behind, newExchange(flow, 2+i))
		tell(0.2+float64(i)/10, httpreassembly.RequestSeen, behind[i], info)
	}
	tell(1, httpreassembly.ResponseSeen, first, trytes)
	tell(60, httpreassembly.ExchangeDone, first, trytes)
	if got := alertLines(out); got != "" {
		t.Errorf("while the answer is on its way:\n%s", got)
	}
	tell(61, httpreassembly.ResponseSeen, behind[0], info)
	tell(61.5, httpreassembly.ExchangeDone, behind[0], info)
	out = e.Advance(out, epoch.Add(90*second))
	got := alertLines(out)
	if !strings.HasPrefix(got, "71.500 firing critical CallStalled on 127.0.0.1:14265 getNodeInfo") {
		t.Errorf("got %q, want an alert 10 s after the second call's turn", got)
	}
	if n := e.view.nodes[0]; n.behind != 1 || n.waiting() != 1 {
		t.Errorf("%d calls wait for their turn and %d for the node, want 1 and 1", n.behind, n.waiting())
	}
	tell(91, httpreassembly.ExchangeDone, behind[1], info)
	tell(91, httpreassembly.ExchangeDone, behind[2], info)
	if n := e.view.nodes[0]; n.behind != 0 || n.inFlight != 0 {
		t.Errorf("%d calls wait for their turn of %d in flight, want none", n.behind, n.inFlight)
	}
}

func endpoint(s string) capture.Endpoint { return capture.EndpointOf(netip.MustParseAddrPort(s)) }

func newExchange(flow capture.Flow, depth int) *httpreassembly.Exchange {
	return &httpreassembly.Exchange{Conn: httpreassembly.ConnID(epoch), Flow: flow, Depth: depth, RequestBytes: 300, Answer: &httpreassembly.Answer{},
		Head: &httpreassembly.Head{Method: []byte("POST"), Target: []byte("/")}}
}
