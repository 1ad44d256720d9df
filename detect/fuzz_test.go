package detect

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// FuzzEngine feeds events in any order, whether or not a tracker would ever
// produce it: three bytes an event. It must not panic, count below zero, or
// speak out of order.
func FuzzEngine(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x03\x00\x10\x06\x00\x20\x09\x00\x30"))
	f.Add([]byte("\x01\x01\x00\x03\x01\x01\x04\x01\x02\x05\x01\x03\x0a\x01\x04\x0c\x01\xff"))
	f.Add([]byte{1, 2, 0, 4, 2, 1, 3, 2, 1, 5, 2, 1, 9, 2, 200, 8, 2, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := New(Options{MaxCalls: 8, MaxConns: 8, MaxNodes: 2, MaxIncidents: 4})
		if err != nil {
			t.Fatal(err)
		}
		var out []Finding
		exchanges := make(map[byte]*httpreassembly.Exchange)
		at := epoch
		for ; len(data) >= 3; data = data[3:] {
			at = at.Add(1 + time.Duration(data[2])*time.Duration(data[2])*time.Duration(data[2])*time.Millisecond)
			out = fuzzStep(e, out, data[0], data[1], at, exchanges)
		}
		out = e.Finish(out, at.Add(time.Hour))
		last := capture.Time(0)
		for _, f := range out {
			if f.At < last {
				t.Fatalf("%s comes after %d", dump(f), last)
			}
			last = f.At
		}
		e.view.each(func(n *node) {
			if n.live < 0 || n.half < 0 || n.zombies < 0 || n.held < 0 || n.inFlight < 0 || n.doubted < 0 || n.serverClosed < 0 || int(n.cw.n) != n.half || n.readers < 0 || n.once < 0 || n.firing < 0 {
				t.Fatalf("node %s counts wrong: %+v", n.name(), *n)
			}
		})
		followed := 0
		for slot, ci := range e.view.slots {
			if ci == none {
				continue
			}
			if followed++; e.view.conns.at(ci).slot != int32(slot) {
				t.Fatalf("slot %d is of a connection that has slot %d", slot, e.view.conns.at(ci).slot)
			}
		}
		if n := e.view.conns.inUse(); n != followed {
			t.Fatalf("%d connections are held, %d slots", n, followed)
		}
		if err := checkLegs(&e.view.legs); err != nil {
			t.Fatal(err)
		}
		var snap Snapshot
		e.Snapshot(&snap)
	})
}

// fuzzKind turns a byte into a kind of event; 0, 12 and 13 stand for what is
// no event.
func fuzzKind(op byte) httpreassembly.Kind {
	k := httpreassembly.Kind(op % 23)
	if k > 13 {
		return k - 2
	}
	if k == 12 || k == 13 {
		return k + 100
	}
	return k
}

func fuzzStep(e *Engine, out []Finding, op, who byte, at capture.Time, xs map[byte]*httpreassembly.Exchange) []Finding {
	id := httpreassembly.ConnID(who & 15)
	client := netip.AddrFrom4([4]byte{10, 0, 0, who & 15})
	if who&8 != 0 { // on a server's machine, as a proxy is
		client = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	flow := capture.Flow{Client: capture.EndpointOf(netip.AddrPortFrom(client, 999)),
		Server: capture.EndpointOf(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1 + who>>5}), 14265))}
	ev := httpreassembly.Event{At: at, Kind: fuzzKind(op), Slot: int32(who&15)%11 - 1, Conn: id, // two connections on some slots, and one on none
		Flow: flow, By: httpreassembly.Side(who >> 4 & 3), Bytes: int64(op) - 1}
	var v *rules.Verdict
	switch ev.Kind {
	case httpreassembly.RequestStarted, httpreassembly.RequestSeen, httpreassembly.ResponseSeen, httpreassembly.ExchangeDone:
		x := xs[who&15]
		if x == nil {
			x = &httpreassembly.Exchange{Conn: id, Flow: flow, Depth: 1 + int(op>>6), RequestEnd: at, Answer: &httpreassembly.Answer{}, Head: &httpreassembly.Head{Method: []byte("POST")}}
			xs[who&15] = x
		}
		ev.Exchange = x
		if ev.Kind == httpreassembly.RequestSeen || op&32 == 0 {
			v = &rules.Verdict{Command: commands[int(op)%len(commands)], Calls: 1}
		}
		if ev.Kind == httpreassembly.ExchangeDone {
			x.Outcome = httpreassembly.Outcome(op >> 4 % 7)
			delete(xs, who&15)
		}
	case httpreassembly.Closed:
		ev.Summary = &httpreassembly.Connection{State: httpreassembly.ConnState(op>>4) % httpreassembly.NumConnStates}
	case 112:
		m := &capture.Sample{FDs: int(op), FDLimit: int(who), Overflows: uint64(op), Addrs: []netip.Addr{flow.Server.Addr()},
			Listen: []capture.Backlog{{Addr: flow.Server.AddrPort(), Queue: int(who), Max: int(op)}},
			Conns:  []capture.Socket{{Flow: flow, State: capture.CloseWait}}}
		m.Sockets[capture.CloseWait] = int(who)
		return e.Sample(out, at, m)
	case 113:
		return e.Loss(out, at, capture.Loss{Kernel: uint64(op), Interface: uint64(who)})
	case 0:
		return e.Advance(out, at)
	}
	return e.Observe(out, &ev, v)
}

// An ordinary exchange on a kept-alive connection costs no allocation.
func TestOrdinaryExchangeAllocatesNothing(t *testing.T) {
	e, inputs := ordinary(t)
	out := make([]Finding, 0, 16)
	at := inputs[len(inputs)-1].at
	got := testing.AllocsPerRun(2000, func() {
		out = out[:0]
		for i := range inputs {
			at += 1000
			inputs[i].event.At = at
			if x := inputs[i].event.Exchange; x != nil {
				x.RequestEnd = at
			}
			out = feed(e, out, &inputs[i])
		}
	})
	if got != 0 {
		t.Errorf("an exchange allocates %v times, want 0", got)
	}
}

// ordinary returns an engine that has seen an exchange, and the exchange.
func ordinary(t testing.TB) (*Engine, []input) {
	s := &script{conns: make(map[string]*client), ports: 1}
	must(s.do(epoch, "open", []string{"a"}, nil))
	must(s.do(epoch+1000, "call", []string{"a", "getNodeInfo"}, nil))
	must(s.do(epoch+2000, "answer", []string{"a"}, nil))
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.inputs {
		s.inputs[i].event.At = s.inputs[i].at
		feed(e, nil, &s.inputs[i])
	}
	return e, s.inputs[2:]
}

func BenchmarkExchange(b *testing.B) {
	e, inputs := ordinary(b)
	out := make([]Finding, 0, 16)
	at := inputs[len(inputs)-1].at
	b.ReportAllocs()
	for b.Loop() {
		out = out[:0]
		for i := range inputs {
			at += 1000
			inputs[i].event.At = at
			inputs[i].event.Exchange.RequestEnd = at
			out = feed(e, out, &inputs[i])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(inputs)), "ns/event")
}

// BenchmarkEvaluate is one second of capture time with many calls that hang.
func BenchmarkEvaluate(b *testing.B) {
	for _, calls := range []int{0, 100, 10000} {
		b.Run(fmt.Sprintf("hanging=%d", calls), func(b *testing.B) {
			s := &script{conns: make(map[string]*client), ports: 1}
			at := epoch
			for i := range calls {
				at += 1000
				must(s.do(at, "open", []string{"a"}, nil))
				must(s.do(at+100, "call", []string{"a", commands[i%5].Name}, nil))
				must(s.do(at+200, "leave", []string{"a"}, nil))
			}
			must(s.do(at+500, "loss", nil, map[string]string{"kernel": "0"}))
			e, _ := New(Options{})
			for i := range s.inputs {
				if s.inputs[i].event != nil {
					s.inputs[i].event.At = s.inputs[i].at
				}
				feed(e, nil, &s.inputs[i])
			}
			out := make([]Finding, 0, 1024)
			b.ReportAllocs()
			for b.Loop() {
				at += capture.Time(second)
				out = e.Loss(out[:0], at, capture.Loss{})
			}
		})
	}
}
