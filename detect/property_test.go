package detect

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// randomScript makes a stream of n actions of clients that behave, misbehave
// and hang, on several servers, with samples and losses between.
func randomScript(rng *rand.Rand, n int) *script {
	s := &script{conns: make(map[string]*client), ports: 40000}
	at := epoch.Add(time.Duration(rng.Int64N(int64(3 * second))))
	actions := []string{"call", "call", "answer", "answer", "begin", "finish", "leave", "close", "reset", "drop", "gap"}
	var open []string
	for i := range n {
		at = at.Add(randomStep(rng))
		opts := map[string]string{"from": fmt.Sprintf("10.0.0.%d", rng.IntN(20)), "to": fmt.Sprintf("10.1.0.%d:14265", rng.IntN(3))}
		if rng.IntN(3) == 0 { // the servers ask each other, as proxies do
			opts["from"] = fmt.Sprintf("10.1.0.%d", rng.IntN(3))
		}
		switch k := rng.IntN(20); {
		case k < 5 || len(open) == 0:
			name := fmt.Sprint(i)
			open = append(open, name)
			must(s.do(at, "open", []string{name}, opts))
		case k == 6:
			must(s.do(at, "syn", nil, opts))
		case k == 7:
			must(s.do(at, "loss", nil, map[string]string{"kernel": fmt.Sprint(rng.IntN(50))}))
		case k == 8:
			must(s.do(at, "sample", nil, map[string]string{"fds": fmt.Sprint(rng.IntN(300)), "limit": "256",
				"close_wait": fmt.Sprint(rng.IntN(80)), "queue": fmt.Sprint(rng.IntN(140)), "standing": fmt.Sprint(rng.IntN(3))}))
		default:
			j := rng.IntN(len(open))
			who, action := open[j], actions[rng.IntN(len(actions))]
			args := []string{who}
			switch action {
			case "call":
				if s.conns[who].x != nil {
					continue
				}
				args = append(args, commands[rng.IntN(len(commands))].Name)
			case "gap":
				args = append(args, "100")
			case "begin":
				if s.conns[who].x == nil {
					continue
				}
			case "close", "reset":
				open = slices.Delete(open, j, j+1)
			}
			must(s.do(at, action, args, opts))
		}
	}
	for i := range s.inputs {
		in := &s.inputs[i]
		if in.event != nil {
			in.event.At = in.at
		}
	}
	return s
}

func randomStep(rng *rand.Rand) time.Duration {
	switch rng.IntN(100) {
	case 0:
		return time.Duration(rng.Int64N(int64(20 * time.Minute)))
	case 1, 2, 3:
		return time.Duration(rng.Int64N(int64(20 * second)))
	}
	return 2 + time.Duration(rng.Int64N(int64(200*time.Millisecond)))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// dump prints everything a Finding says.
func dump(f Finding) string {
	switch f.Kind {
	case AlertChanged:
		return fmt.Sprintf("%d alert %+v", f.At, *f.Alert)
	case CallPending:
		p := *f.Pending
		return fmt.Sprintf("%d pending %d %d %s %v %s %v", f.At, p.Conn, p.Depth, p.Call.Command.Name, p.Age, p.Cause, p.Final)
	}
	return fmt.Sprintf("%d node %+v", f.At, *f.Node)
}

func dumpAll(fs []Finding) []string {
	var out []string
	for _, f := range fs {
		out = append(out, dump(f))
	}
	return out
}

// The schedule is a function of what was observed: ticks in between, as many
// as one likes, change nothing.
func TestTicksDoNotMatter(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := randomScript(rng, 600)
		end := s.inputs[len(s.inputs)-1].at.Add(time.Duration(rng.Int64N(int64(2 * time.Hour))))
		want := dumpAll(run(t, Options{}, s.inputs, end))
		var ticked []input
		last := epoch
		for _, in := range s.inputs {
			for range rng.IntN(4) {
				if in.at-last > 1 {
					last += capture.Time(1 + rng.Int64N(int64(in.at-last)))
					ticked = append(ticked, input{at: last, tick: true})
				}
			}
			ticked = append(ticked, in)
			last = in.at
		}
		got := dumpAll(run(t, Options{}, ticked, end))
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: with ticks %d findings, without %d; first difference:\n%s", seed, len(got), len(want), firstDifference(got, want))
		}
	}
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("%d\ngot  %s\nwant %s", i, got[i], want[i])
		}
	}
	return "one is longer"
}

// Findings come in order of time, incidents fire before they are resolved and
// severity only rises, a resolved alert is never resolved again.
func TestLifecycleOfRandomStreams(t *testing.T) {
	for seed := range uint64(8) {
		s := randomScript(rand.New(rand.NewPCG(seed, 2)), 800)
		live := make(map[string]Severity)
		last := capture.Time(0)
		for _, f := range run(t, Options{}, s.inputs, s.end.Add(time.Hour)) {
			if f.At < last {
				t.Fatalf("seed %d: %s comes after %d", seed, dump(f), last)
			}
			last = f.At
			if f.Kind != AlertChanged {
				continue
			}
			id := f.Alert.Name + "|" + f.Alert.Subject
			was, fires := live[id]
			switch {
			case f.Alert.State == Firing && f.Alert.Repeat != (fires && f.Alert.Severity == was):
				t.Fatalf("seed %d: %s fired again without escalation", seed, dump(f))
			case f.Alert.State == Resolved && !fires:
				t.Fatalf("seed %d: %s resolved without firing", seed, dump(f))
			}
			if f.Alert.Summary == "" || f.Alert.Why == "" || f.Alert.Unit == "" {
				t.Fatalf("seed %d: %s lacks words", seed, dump(f))
			}
			if live[id] = f.Alert.Severity; f.Alert.State == Resolved {
				delete(live, id)
			}
		}
	}
}

// When everything that was opened is over, nothing is left behind.
func TestNothingLeaks(t *testing.T) {
	for seed := range uint64(8) {
		s := randomScript(rand.New(rand.NewPCG(seed, 3)), 1000)
		e, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.inputs {
			feed(e, nil, &s.inputs[i])
		}
		at := s.inputs[len(s.inputs)-1].at
		for _, name := range sortedNames(s) {
			c := s.conns[name]
			n := len(s.inputs)
			at += 2 * capture.Time(second)
			must(s.act(at, "close", []string{name}, nil))
			for i := n; i < len(s.inputs); i++ {
				s.inputs[i].event.At = s.inputs[i].at
				feed(e, nil, &s.inputs[i])
			}
			_ = c
		}
		v := e.view
		if g := &v.legs; g.records.inUse() != 0 || g.chains.inUse() != 0 || len(g.by) != 0 || len(g.waiting) != 0 {
			t.Fatalf("seed %d: %d legs, %d chains are left", seed, g.records.inUse(), g.chains.inUse())
		}
		if v.calls.inUse() != 0 || v.conns.inUse() != 0 || slices.ContainsFunc(v.slots, func(ci int32) bool { return ci != none }) {
			t.Fatalf("seed %d: %d calls, %d connections left, slots %v", seed, v.calls.inUse(), v.conns.inUse(), v.slots)
		}
		v.each(func(n *node) {
			if !n.idle() || n.half != 0 || n.held != 0 || n.doubted != 0 || n.serverClosed != 0 {
				t.Fatalf("seed %d: node %s is left with %+v", seed, n.name(), v.state(n, at))
			}
			for _, c := range n.cells {
				if c.overWarn != 0 || c.overCritical != 0 || c.list.n != 0 || c.doubted.n != 0 {
					t.Fatalf("seed %d: cell %+v is not empty", seed, c)
				}
			}
		})
	}
}

func sortedNames(s *script) []string {
	var names []string
	for n := range s.conns {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Far more of everything than there is room for: the bounds hold, and say so.
func TestBounds(t *testing.T) {
	o := Options{MaxCalls: 100, MaxConns: 200, MaxNodes: 4, MaxIncidents: 3}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{conns: make(map[string]*client), ports: 1}
	for i := range 20000 {
		at := epoch.Add(time.Duration(i) * 20 * time.Millisecond)
		name := fmt.Sprint(i)
		must(s.act(at, "open", []string{name}, map[string]string{"to": fmt.Sprintf("10.%d.%d.1:80", i%7, i%11)}))
		must(s.act(at+1, "call", []string{name, commands[i%len(commands)].Name}, nil))
		if i%3 == 0 {
			must(s.act(at+2, "leave", []string{name}, nil))
		}
	}
	for i := range s.inputs {
		s.inputs[i].event.At = s.inputs[i].at
		feed(e, nil, &s.inputs[i])
	}
	v, st := e.view, e.Stats()
	if v.calls.inUse() > 100 || v.conns.inUse() > 200 || len(v.nodes) > 4 || len(e.life.order) > 3 {
		t.Errorf("%d calls, %d connections, %d nodes, %d incidents", v.calls.inUse(), v.conns.inUse(), len(v.nodes), len(e.life.order))
	}
	if st.CallsNotFollowed == 0 || st.ConnsNotFollowed == 0 || st.NodesFolded == 0 || st.IncidentsSuppressed == 0 {
		t.Errorf("a bound was passed in silence: %+v", st)
	}
}

// A clock that jumps a century, with a call in flight, is no loop.
func TestJumps(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, 24 * 365 * time.Hour, 100 * 365 * 24 * time.Hour, 1<<63 - 1} {
		t.Run(jump.String(), func(t *testing.T) {
			s := &script{conns: make(map[string]*client), ports: 1}
			must(s.do(epoch, "open", []string{"a"}, nil))
			must(s.do(epoch+1, "call", []string{"a", "getBalances"}, nil))
			at := epoch.Add(jump)
			if at < epoch {
				at = never
			}
			for i := range s.inputs {
				s.inputs[i].event.At = s.inputs[i].at
			}
			fs := run(t, Options{}, s.inputs, at)
			if len(fs) > 1000 {
				t.Errorf("%d findings for one call", len(fs))
			}
			if last := fs[len(fs)-1]; last.Kind != CallPending || !last.Pending.Final {
				t.Errorf("the last finding is %s, want the call at the end", dump(last))
			}
		})
	}
}

// One server under its addresses is one node once the host names them.
func TestHostJoinsAddresses(t *testing.T) {
	s, err := parseScript("0 open a to=127.0.0.1:14265\n0.1 call a getBalances\n0.2 open b to=10.0.0.5:14265\n0.3 call b getTrytes\n0.4 leave b\n0.5 open c to=10.0.0.5:80\n1 sample fds=20 limit=100 close_wait=1")
	if err != nil {
		t.Fatal(err)
	}
	e, _ := New(Options{})
	for i := range s.inputs {
		feed(e, nil, &s.inputs[i])
	}
	var snap Snapshot
	e.Snapshot(&snap)
	if len(snap.Nodes) != 2 || snap.Nodes[0].InFlight != 2 || snap.Nodes[0].CloseWait != 1 || !snap.Nodes[0].Host || snap.Nodes[1].Host {
		t.Errorf("got nodes %+v, want two, the first with both calls, the CLOSE_WAIT and the host", snap.Nodes)
	}
	if snap.FDs != 20 || snap.FDLimit != 100 || snap.LimitAssumed || snap.CloseWaitKernel != 1 || snap.Connections[httpreassembly.StateHalfClosed] != 1 {
		t.Errorf("got %+v", snap)
	}
}

func TestOptionsSayWhatIsWrong(t *testing.T) {
	if _, err := New(Options{FDLimit: -1, Descriptors: DescriptorOptions{Warn: 0.99}}); err == nil {
		t.Fatal("nonsense was taken")
	} else if got, want := err.Error(), "detect options: FDLimit must be greater than 0\nDescriptors.Warn is 0.99: it must be greater than 0 and at most Descriptors.Critical, which is 0.95"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
