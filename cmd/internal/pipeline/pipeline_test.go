package pipeline

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/vtime"
	"stallwatch/cmd/internal/synth"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// log is a Sink that writes down everything it may read.
type log struct {
	strings.Builder
	kinds map[string]int
}

func (l *log) count(kind string) {
	if l.kinds == nil {
		l.kinds = map[string]int{}
	}
	l.kinds[kind]++
}

func (l *log) Event(ev *httpreassembly.Event, v *rules.Verdict) {
	l.count(fmt.Sprint(ev.Kind))
	fmt.Fprintf(l, "%d event %v %v %v %v %v %v %v %d %v %v %d %s", ev.At, ev.Kind, ev.By, ev.How, ev.Dir, ev.Odd, ev.Due, ev.MidStream, ev.Conn, ev.Flow.Client, ev.Flow.Server, ev.Bytes, ev.Detail)
	if x := ev.Exchange; x != nil {
		fmt.Fprintf(l, " depth=%d start=%d", x.Depth, x.RequestStart)
		if ev.Kind == httpreassembly.RequestSeen || ev.Kind == httpreassembly.ExchangeDone {
			fmt.Fprintf(l, " %q %q %d %d", x.Method, x.Target, x.RequestBody, x.RequestEnd)
		}
		if ev.Kind == httpreassembly.ExchangeDone {
			fmt.Fprintf(l, " %d %d %d %d %v", x.Status, x.ResponseStart, x.ResponseEnd, x.ResponseBody, x.Outcome)
		}
	}
	if v != nil {
		fmt.Fprintf(l, " command=%s shape=%v", v.Command.Name, v.Shape.String())
	}
	if ev.Summary != nil {
		fmt.Fprintf(l, " %+v", *ev.Summary)
	}
	l.WriteByte('\n')
}

func (l *log) Finding(f *detect.Finding) {
	l.count(fmt.Sprint("finding ", f.Kind))
	fmt.Fprintf(l, "%d finding %v", f.At, f.Kind)
	if f.Alert != nil {
		fmt.Fprintf(l, " %+v", *f.Alert)
	}
	if p := f.Pending; p != nil {
		fmt.Fprintf(l, " %d %d %s %v %v", p.Conn, p.Depth, p.Call.Command.Name, p.Age, p.Final)
	}
	if f.Node != nil {
		fmt.Fprintf(l, " %+v", *f.Node)
	}
	l.WriteByte('\n')
}

func (l *log) Loss(at capture.Time, n capture.Loss) { fmt.Fprintf(l, "%d loss %+v\n", at, n) }

// tape is a recorded run: Items that own their bytes.
func tape(t testing.TB, p synth.Profile, seed uint64) []capture.Item {
	t.Helper()
	g := synth.New(p, seed)
	var items []capture.Item
	var strict vtime.Strict
	rnd := rand.New(rand.NewPCG(seed, 9))
	var paused time.Duration
	for {
		var it capture.Item
		if err := g.Next(&it); err == io.EOF {
			return append(items, capture.Item{At: items[len(items)-1].At.Add(90 * time.Second)})
		} else if err != nil {
			t.Fatal(err)
		}
		it.At = strict.Next(it.At.Add(paused))
		it.Packet.Data = append([]byte(nil), it.Packet.Data...)
		items = append(items, it)
		switch rnd.IntN(2000) {
		case 0:
			items = append(items, capture.Item{At: strict.Next(it.At), Kind: capture.PacketsLost, Loss: capture.Loss{Kernel: 3}})
		case 1:
			d := time.Duration(1 + rnd.Int64N(int64(time.Minute)))
			items = append(items, capture.Item{At: strict.Next(it.At), Kind: capture.PacketsLost, Loss: capture.Loss{Kernel: 9, Unwatched: d, Why: capture.Stopped}})
			paused += d
		case 2:
			items = append(items, capture.Item{At: strict.Next(it.At), Kind: capture.HostSampled, Sample: &capture.Sample{PID: 7, FDs: 100 + len(items)/100, FDLimit: 256,
				Listen: []capture.Backlog{{Queue: 1, Max: 128}}}})
		}
	}
}

func play(t testing.TB, items []capture.Item, shards, round int, apart bool, ticks *rand.Rand) *log {
	t.Helper()
	set := rules.Default()
	var l log
	p, err := New(Options{Rules: set, Shards: shards, Round: round, Apart: apart, Tracker: httpreassembly.Options{Ports: []uint16{synth.ServerPort}}}, &l)
	if err != nil {
		t.Fatal(err)
	}
	for i := range items {
		p.Item(&items[i])
		if ticks != nil && i+1 < len(items) && ticks.IntN(20) == 0 {
			if room := int64(items[i+1].At - items[i].At); room > 1 {
				p.Item(&capture.Item{At: items[i].At + capture.Time(1+ticks.Int64N(room-1))})
			}
		}
	}
	p.Finish(items[len(items)-1].At)
	return &l
}

// TestDeterminism is the promise that a replay says what the live run said:
// neither how the work is divided nor how often the clock is told changes a
// byte of the output.
func TestDeterminism(t *testing.T) {
	p := synth.Hostile
	if testing.Short() {
		p.Packets = 4000
	}
	for seed := range uint64(3) {
		items := tape(t, p, seed)
		want := play(t, items, 1, 0, false, nil)
		if want.kinds[fmt.Sprint(httpreassembly.ExchangeDone)] < 100 || want.kinds[fmt.Sprint("finding ", detect.CallPending)] == 0 {
			t.Fatalf("seed %d: the run proves nothing: %v", seed, want.kinds)
		}
		rnd := rand.New(rand.NewPCG(seed, 1))
		for _, shards := range []int{1, 2, 3, 8} {
			for _, round := range []int{1, 7, 1 + rnd.IntN(3000)} {
				apart := shards == 1 && round != 1
				got := play(t, items, shards, round, apart, rnd)
				if got.String() != want.String() {
					t.Fatalf("seed %d, %d shards, rounds of %d, apart %v: %s", seed, shards, round, apart, firstDifference(got.String(), want.String()))
				}
			}
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d of %d/%d\n got %s\nwant %s", i, len(g), len(w), g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

type discard struct{}

func (discard) Event(*httpreassembly.Event, *rules.Verdict) {}
func (discard) Finding(*detect.Finding)                     {}
func (discard) Loss(capture.Time, capture.Loss)             {}

func BenchmarkPipeline(b *testing.B) {
	for _, profile := range synth.Profiles {
		for _, shards := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/shards=%d", profile.Name, shards), func(b *testing.B) {
				profile.Packets = 200_000
				items := tape(b, profile, 1)
				b.ReportAllocs()
				for b.Loop() {
					p, err := New(Options{Rules: rules.Default(), Shards: shards, Tracker: httpreassembly.Options{Ports: []uint16{synth.ServerPort}}}, discard{})
					if err != nil {
						b.Fatal(err)
					}
					for i := range items {
						p.Item(&items[i])
					}
					p.Finish(items[len(items)-1].At)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(items)), "ns/packet")
			})
		}
	}
}
