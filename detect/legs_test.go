package detect

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// The servers of the tests below.
const (
	proxyServer  = "10.0.1.1:80"
	nodeServer   = "10.0.0.5:14265"
	proxyMachine = "10.0.1.1"
)

// order makes a script's inputs strict in time, as a source does.
func (s *script) order() {
	slices.SortStableFunc(s.inputs, func(a, b input) int { return cmp.Compare(a.at, b.at) })
	last := capture.Time(0)
	for i := range s.inputs {
		in := &s.inputs[i]
		in.at = max(in.at, last+1)
		last = in.at
		in.event.At = in.at
	}
}

// proxied is traffic through a proxy with a pool of kept connections on its
// node side, and what belongs together in truth.
type proxied struct {
	*script
	lost  func() bool                                 // whether a call is not captured on one leg; nil: never
	truth map[*httpreassembly.Exchange]netip.AddrPort // of the node's leg: the client's end on the front leg
	pool  []pooled
	conns int
}

type pooled struct {
	name string
	free capture.Time
}

func newProxied() *proxied {
	return &proxied{script: &script{conns: make(map[string]*client), ports: 10000}, truth: make(map[*httpreassembly.Exchange]netip.AddrPort)}
}

// call is one call: forward is what the proxy takes to pass it on, wait what
// the node takes; kept is the client's connection, "" for a new one.
type proxiedCall struct {
	at            capture.Time
	from, body    string
	forward, wait time.Duration
	header        bool
}

func (p *proxied) call(c proxiedCall) {
	p.conns++
	front := fmt.Sprint("front", p.conns)
	must(p.act(c.at.Add(-time.Millisecond), "open", []string{front}, map[string]string{"from": c.from, "to": proxyServer}))
	opts := map[string]string{"body": c.body}
	passed := c.at.Add(c.forward)
	if p.lost == nil || !p.lost() {
		must(p.act(c.at, "call", []string{front, "getBalances"}, opts))
		defer func() {
			must(p.act(passed.Add(c.wait+c.forward), "answer", []string{front}, nil))
			must(p.act(passed.Add(c.wait+c.forward+time.Millisecond), "close", []string{front}, nil))
		}()
	}
	if p.lost != nil && p.lost() {
		return
	}
	back := p.connection(passed, passed.Add(c.wait+time.Millisecond))
	if c.header {
		opts = map[string]string{"body": c.body, "xff": c.from}
	}
	must(p.act(passed, "call", []string{back, "getBalances"}, opts))
	p.truth[p.script.conns[back].x] = p.script.conns[front].flow.Client.AddrPort()
	must(p.act(passed.Add(c.wait), "answer", []string{back}, nil))
}

// connection takes one of the pool that is free from at on, or opens one.
func (p *proxied) connection(at, until capture.Time) string {
	for i := range p.pool {
		if p.pool[i].free <= at {
			p.pool[i].free = until
			return p.pool[i].name
		}
	}
	name := fmt.Sprint("back", len(p.pool))
	must(p.act(at.Add(-time.Millisecond/2), "open", []string{name}, map[string]string{"from": proxyMachine, "to": nodeServer}))
	p.pool = append(p.pool, pooled{name, until})
	return name
}

// pairs feeds the traffic and returns how many calls on the node's leg have
// the client that they have in truth, another one, and none.
func (p *proxied) pairs(t *testing.T) (right, wrong, without int) {
	t.Helper()
	p.order()
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.inputs {
		in := &p.inputs[i]
		feed(e, nil, in)
		if in.event.Kind != httpreassembly.RequestSeen {
			continue
		}
		want, passed := p.truth[in.event.Exchange]
		r := e.view.legs.find(in.event.Exchange)
		switch {
		case !passed && r != nil && r.via.holds():
			t.Fatalf("a call of the front leg was taken for one of a node's")
		case !passed:
		case r == nil || !r.via.holds():
			without++
		case r.behind == want, r.behind == netip.AddrPortFrom(want.Addr(), 0): // of calls alike the port is not told
			right++
		default:
			wrong++
		}
	}
	g := &e.view.legs
	if len(g.by) != 0 || len(g.waiting) != 0 || g.records.inUse() != 0 || g.chains.inUse() != 0 {
		t.Errorf("%d exchanges, %d contents, %d records, %d chains are left", len(g.by), len(g.waiting), g.records.inUse(), g.chains.inUse())
	}
	return right, wrong, without
}

// TestPairingOfRandomTraffic: whatever the order in which a proxy passes calls
// on, and whichever of its kept connections it takes, a pair is a true one.
func TestPairingOfRandomTraffic(t *testing.T) {
	for _, row := range []struct {
		name            string
		header, inOrder bool
		contents        int // different ones
	}{
		{"a header names clients, order permuted", true, false, 3},
		{"no header, all calls alike but the first, in order", false, true, 4},
		{"no header, every call different, order permuted", false, false, 1 << 20},
	} {
		t.Run(row.name, func(t *testing.T) {
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, 9))
				p := newProxied()
				at := epoch
				for i := range 400 {
					at = at.Add(time.Duration(rng.Int64N(int64(8 * time.Millisecond))))
					if i < 8 {
						at = at.Add(time.Second) // one at a time: what proves the proxy
					}
					c := proxiedCall{at: at, from: fmt.Sprintf("192.0.2.%d", 1+rng.IntN(200)), body: fmt.Sprint(100 + i%row.contents),
						forward: time.Millisecond, wait: time.Duration(1 + rng.Int64N(int64(50*time.Millisecond))), header: row.header}
					if !row.inOrder {
						c.forward += time.Duration(rng.Int64N(int64(20 * time.Millisecond)))
					}
					if rng.IntN(10) == 0 {
						c.wait += time.Duration(rng.Int64N(int64(20 * second)))
					}
					p.call(c)
				}
				right, wrong, without := p.pairs(t)
				if wrong > 0 || without > 8 {
					t.Fatalf("seed %d: %d pairs are right, %d wrong, %d calls without", seed, right, wrong, without)
				}
				if len(p.pool) > 200 || len(p.pool) < 2 {
					t.Fatalf("seed %d: %d kept connections for 400 calls: nothing was reused, or nothing overlapped", seed, len(p.pool))
				}
			}
		})
	}
}

// TestPairsHealAfterLoss: a call that is missing on one leg costs the few that
// asked the same beside it, and not all that come after it.
func TestPairsHealAfterLoss(t *testing.T) {
	right, wrong := 0, 0
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 10))
		p := newProxied()
		at := epoch
		for i := range 400 {
			at = at.Add(time.Duration(rng.Int64N(int64(60 * time.Millisecond))))
			c := proxiedCall{at: at, from: fmt.Sprintf("192.0.2.%d", 1+rng.IntN(200)), body: "300", forward: time.Millisecond, wait: time.Minute}
			if i < 8 {
				at = at.Add(time.Second)
				c.body, c.wait = fmt.Sprint(i), time.Millisecond
			} else if p.lost == nil {
				p.lost = func() bool { return rng.IntN(50) == 0 }
			}
			p.call(c)
		}
		r, w, _ := p.pairs(t)
		right, wrong = right+r, wrong+w
	}
	t.Logf("%d pairs are right, %d wrong", right, wrong)
	if wrong > right/10 {
		t.Errorf("%d pairs are right, %d wrong, with 4 of 100 calls lost on one side", right, wrong)
	}
}

// TestNoPairByCoincidence: what is alike by chance, however often, is no proxy.
func TestNoPairByCoincidence(t *testing.T) {
	type call struct {
		from, body    string
		shift, answer time.Duration
	}
	for _, row := range []struct {
		name        string
		front, back func(i int) call
		xff         string
	}{
		{"two monitors in step", func(int) call { return call{"192.0.2.1", "25", 0, 20 * time.Millisecond} },
			func(int) call { return call{proxyMachine, "25", 2 * time.Millisecond, 10 * time.Millisecond} }, ""},
		{"one client on the proxy's machine asks both for the same", func(i int) call { return call{proxyMachine, fmt.Sprint(i), 0, 20 * time.Millisecond} },
			func(i int) call {
				return call{proxyMachine, fmt.Sprint(i), 2 * time.Millisecond, 10 * time.Millisecond}
			}, ""},
		{"the same contents from another machine", func(i int) call { return call{"192.0.2.1", fmt.Sprint(i), 0, 20 * time.Millisecond} },
			func(i int) call { return call{"10.0.7.7", fmt.Sprint(i), 2 * time.Millisecond, 10 * time.Millisecond} }, ""},
		{"the same contents, and the first server answers first", func(i int) call { return call{"192.0.2.1", fmt.Sprint(i), 0, 5 * time.Millisecond} },
			func(i int) call {
				return call{proxyMachine, fmt.Sprint(i), 2 * time.Millisecond, 10 * time.Millisecond}
			}, ""},
		{"the header names somebody else", func(i int) call { return call{"192.0.2.1", fmt.Sprint(i), 0, 20 * time.Millisecond} },
			func(i int) call {
				return call{proxyMachine, fmt.Sprint(i), 2 * time.Millisecond, 10 * time.Millisecond}
			}, "203.0.113.5"},
		{"minutes between the legs", func(i int) call { return call{"192.0.2.1", fmt.Sprint(i), 0, 900 * time.Millisecond} },
			func(i int) call {
				return call{proxyMachine, fmt.Sprint(i), 500 * time.Millisecond, 10 * time.Millisecond}
			}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := &script{conns: make(map[string]*client), ports: 10000}
			for i := range 100 {
				for k, c := range []call{row.front(i), row.back(i)} {
					name, at := fmt.Sprint(k, "-", i), epoch.Add(time.Duration(i)*second+c.shift)
					opts := map[string]string{"from": c.from, "to": []string{proxyServer, nodeServer}[k], "body": c.body}
					if k == 1 {
						opts["xff"] = row.xff
					}
					must(s.act(at.Add(-time.Millisecond), "open", []string{name}, opts))
					must(s.act(at, "call", []string{name, "getBalances"}, opts))
					must(s.act(at.Add(c.answer), "answer", []string{name}, nil))
					must(s.act(at.Add(c.answer+time.Millisecond), "close", []string{name}, nil))
				}
			}
			s.order()
			e, _ := New(Options{})
			for i := range s.inputs {
				feed(e, nil, &s.inputs[i])
			}
			for _, r := range e.view.legs.relays {
				if r.holds() {
					t.Errorf("%s counts as a proxy of %s, with %d proofs and %d against", r.front.name(), r.back.name(), r.proofs, r.against)
				}
			}
		})
	}
}

// TestLegsAreBounded: more calls through proxies, and more proxies, than there
// is room for.
func TestLegsAreBounded(t *testing.T) {
	e, err := New(Options{MaxLegs: 50, MaxNodes: 300})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{conns: make(map[string]*client), ports: 1}
	for i := range 3000 {
		at, front, back := epoch.Add(time.Duration(i)*20*time.Millisecond), fmt.Sprint("f", i), fmt.Sprint("b", i)
		machine := fmt.Sprintf("10.0.%d.1", i%100)
		must(s.act(at, "open", []string{front}, map[string]string{"from": "192.0.2.1", "to": machine + ":80"}))
		must(s.act(at+1, "open", []string{back}, map[string]string{"from": machine, "to": nodeServer}))
		must(s.act(at+2, "call", []string{front, "getBalances"}, nil))
		must(s.act(at+3, "call", []string{back, "getBalances"}, nil))
		if i >= 200 && i < 400 {
			must(s.act(at+4, "answer", []string{fmt.Sprint("b", i-200)}, nil))
			must(s.act(at+5, "answer", []string{fmt.Sprint("f", i-200)}, nil))
		}
	}
	s.order()
	for i := range s.inputs {
		feed(e, nil, &s.inputs[i])
	}
	g := &e.view.legs
	if err := checkLegs(g); err != nil {
		t.Error(err)
	}
	if len(g.by) > 50 || len(g.waiting) > 50 || len(g.relays) > maxRelays {
		t.Errorf("%d exchanges, %d contents and %d proxies are kept", len(g.by), len(g.waiting), len(g.relays))
	}
	if e.Stats().LegsNotFollowed == 0 {
		t.Error("bounds were passed in silence")
	}
}

// TestPairingDoesNotAllocate: a call through a proxy costs no more memory than
// one without.
func TestPairingDoesNotAllocate(t *testing.T) {
	v, play := pairingDrive(t)
	if !v.legs.isFront(v.nodes[0]) {
		t.Fatal("the proxy is not proven: the test proves nothing")
	}
	if n := testing.AllocsPerRun(200, play); n > 0 {
		t.Errorf("%v allocations for a call on both legs", n)
	}
}

// pairingDrive is a proxy that is proven, and plays one more call through it.
func pairingDrive(t testing.TB) (v *view, play func()) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := epoch
	events := make([]httpreassembly.Event, 2)
	xs := make([]httpreassembly.Exchange, 2)
	verdict := &rules.Verdict{Command: commandNamed("getBalances"), Calls: 1}
	for k, f := range [][2]string{{"192.0.2.1:1000", proxyServer}, {proxyMachine + ":2000", nodeServer}} {
		flow := capture.Flow{Client: capture.EndpointOf(netip.MustParseAddrPort(f[0])), Server: capture.EndpointOf(netip.MustParseAddrPort(f[1]))}
		events[k] = httpreassembly.Event{Kind: httpreassembly.Opened, At: at, Slot: int32(k), Conn: httpreassembly.ConnID(k + 1), Flow: flow, Exchange: &xs[k]}
		xs[k] = httpreassembly.Exchange{Conn: events[k].Conn, Flow: flow, RequestBytes: 300, RequestBody: 100, Answer: &httpreassembly.Answer{}, Head: &httpreassembly.Head{Method: []byte("POST"), Target: []byte("/")}}
		e.Observe(nil, &events[k], nil)
	}
	xs[1].ForwardedFor = []byte("192.0.2.1")
	tell := func(k int, kind httpreassembly.Kind) {
		at = at.Add(time.Millisecond)
		events[k].At, events[k].Kind = at, kind
		e.Observe(nil, &events[k], verdict)
	}
	play = func() {
		for _, k := range []int{0, 1} {
			xs[k].Depth++
			xs[k].Outcome, xs[k].Status = 0, 0
			tell(k, httpreassembly.RequestSeen)
		}
		for _, k := range []int{1, 0} {
			xs[k].Status, xs[k].ResponseBytes = 200, 300
			tell(k, httpreassembly.ResponseSeen)
			xs[k].Outcome = httpreassembly.Answered
			tell(k, httpreassembly.ExchangeDone)
		}
	}
	for range 100 {
		play()
	}
	return e.view, play
}

func BenchmarkPairing(b *testing.B) {
	_, play := pairingDrive(b)
	b.ReportAllocs()
	for b.Loop() {
		play()
	}
}

// TestLegsIgnoreTicks: behind a proxy, too, how often the clock is told changes
// nothing.
func TestLegsIgnoreTicks(t *testing.T) {
	play := func(ticks bool) []string {
		rng, clock := rand.New(rand.NewPCG(7, 1)), rand.New(rand.NewPCG(7, 2))
		p := newProxied()
		at := epoch
		for i := range 300 {
			at = at.Add(time.Duration(rng.Int64N(int64(300 * time.Millisecond))))
			c := proxiedCall{at: at, from: fmt.Sprintf("192.0.2.%d", 1+rng.IntN(200)), body: fmt.Sprint(i), forward: time.Millisecond, wait: 10 * time.Millisecond}
			if i > 50 && i%4 == 0 {
				c.wait = time.Minute
			}
			p.call(c)
		}
		p.order()
		var inputs []input
		last := epoch
		for _, in := range p.inputs {
			for ticks && in.at-last > 1 && clock.IntN(2) > 0 {
				last += capture.Time(1 + clock.Int64N(int64(in.at-last)))
				inputs = append(inputs, input{at: last, tick: true})
			}
			inputs, last = append(inputs, in), in.at
		}
		return dumpAll(run(t, Options{}, inputs, at.Add(2*time.Minute)))
	}
	want := play(false)
	if !slices.ContainsFunc(want, func(s string) bool { return strings.Contains(s, "node leg: ") }) {
		t.Fatal("nothing tells of the node's leg: the run proves nothing")
	}
	if got := play(true); !slices.Equal(got, want) {
		t.Errorf("with ticks %d findings, without %d; first difference:\n%s", len(got), len(want), firstDifference(got, want))
	}
}

// checkLegs says what does not fit together in what is kept of legs.
func checkLegs(g *legs) error {
	if len(g.by) != g.records.inUse() || len(g.waiting) != g.chains.inUse() {
		return fmt.Errorf("%d exchanges have %d records, %d contents have %d chains", len(g.by), g.records.inUse(), len(g.waiting), g.chains.inUse())
	}
	chained := 0
	for id, i := range g.by {
		r := g.records.at(i)
		switch {
		case r.id != id:
			return fmt.Errorf("exchange %v has the record of %v", id, r.id)
		case r.back != none && g.records.at(r.back).front != i, r.front != none && g.records.at(r.front).back != i:
			return fmt.Errorf("exchange %v is paired on one side only", id)
		case r.chain != none && (r.back != none || r.answered != 0):
			return fmt.Errorf("exchange %v was passed on or answered, and waits to be passed on", id)
		case r.front != none && !r.via.front.gone && g.records.at(r.front).node != r.via.front:
			return fmt.Errorf("exchange %v came by another way than its front leg", id)
		}
		if r.chain != none {
			chained++
		}
	}
	for key, ci := range g.waiting {
		c, n := g.chains.at(ci), 0
		if c.what != key || c.head == none {
			return fmt.Errorf("chain %d is of %d, or empty", key, c.what)
		}
		for i, before := c.head, none; i != none; i, before = g.records.at(i).place.next, i {
			if r := g.records.at(i); r.chain != ci || r.place.prev != before || n > chained {
				return fmt.Errorf("chain %d is broken", key)
			}
			n++
		}
		chained -= n
	}
	if chained != 0 {
		return fmt.Errorf("%d that wait are in no chain", chained)
	}
	return nil
}
