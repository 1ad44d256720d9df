package live

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"stallwatch/capture"
)

// script is a reader that plays steps against a clock of its own.
type script struct {
	steps []step
	now   time.Time
	ahead time.Duration // of the clock that nobody sets
	slept time.Duration
	loss  capture.Loss
}

// step advances the clock, then gives a packet of time at (ms), or finds the
// ring empty (at < 0), or fails.
type step struct {
	clock int // ms since the start
	ahead int // ms by which the clock was set forward in all
	at    int
	err   error
	then  func()
}

var oneByte = []byte{1}

var start = time.Unix(1515672000, 0)

func ms(n int) capture.Time { return capture.At(start.Add(time.Duration(n) * time.Millisecond)) }

func (r *script) read(f *frame) (bool, capture.Time, error) {
	if len(r.steps) == 0 {
		r.now = r.now.Add(100 * time.Millisecond)
		return false, capture.At(r.now.Add(-250 * time.Millisecond)), nil
	}
	s := r.steps[0]
	r.steps = r.steps[1:]
	r.now, r.ahead = start.Add(time.Duration(s.clock)*time.Millisecond), time.Duration(s.ahead)*time.Millisecond
	if s.then != nil {
		s.then()
	}
	if s.err != nil {
		return false, 0, s.err
	}
	if s.at < 0 {
		return false, capture.At(r.now.Add(-250 * time.Millisecond)), nil
	}
	*f = frame{at: ms(s.at), data: oneByte, length: 1}
	return true, ms(s.at), nil
}

func (r *script) poll(time.Time, bool) (capture.Loss, error) {
	l := r.loss
	r.loss = capture.Loss{}
	return l, nil
}

func (r *script) close() {}

func scripted(steps ...step) (*Source, *script) {
	r := &script{steps: steps, now: start}
	s := &Source{opts: Options{}.withDefaults(), now: func() time.Time { return r.now }, reader: r, stopProbe: make(chan struct{})}
	s.watch.ran = func() time.Duration { return r.now.Sub(start) - r.ahead }
	s.watch.slept = func() time.Duration { return r.slept }
	s.raw = capture.At(start)
	return s, r
}

// items reads n items, or up to the error, as "packet 100" and the like.
func items(t *testing.T, s *Source, n int) (list []string, err error) {
	t.Helper()
	last := capture.Time(0)
	for range n {
		var it capture.Item
		if err := s.Next(&it); err != nil {
			return list, err
		}
		if it.At <= last {
			t.Fatalf("item %v at %v is not later than %v", it.Kind, it.At, last)
		}
		last = it.At
		what := fmt.Sprintf("%v %d", it.Kind, it.At.Sub(ms(0)).Milliseconds())
		if l := it.Loss; it.Kind == capture.PacketsLost && l.Unwatched > 0 {
			what += fmt.Sprintf(" %v %d of %d", l.Why, l.Unwatched.Round(time.Millisecond).Milliseconds(), l.Kernel)
		}
		list = append(list, what)
	}
	return list, nil
}

func TestNextOrder(t *testing.T) {
	var s *Source
	sample := func(at int) func() {
		return func() {
			s.extras.add(capture.Item{At: ms(at), Kind: capture.HostSampled, Sample: &capture.Sample{}})
		}
	}
	boom := errors.New("boom")
	for _, tt := range []struct {
		name  string
		steps []step
		want  []string
		err   error
	}{
		{
			name:  "a sample joins by its time, before a later packet",
			steps: []step{{clock: 10, at: 5}, {clock: 20, at: 8, then: sample(12)}, {clock: 30, at: 15}, {clock: 31, at: 16}, {err: boom}},
			want:  []string{"packet 5", "packet 8", "sample 12", "packet 15", "packet 16"}, err: boom,
		},
		{
			name:  "idle: ticks stay Grace behind the clock, a sample waits for them",
			steps: []step{{clock: 400, at: -1}, {clock: 500, at: -1, then: sample(240)}, {clock: 600, at: -1}, {err: boom}},
			want:  []string{"tick 150", "sample 240", "tick 350"}, err: boom,
		},
		{
			name:  "no tick in the past",
			steps: []step{{clock: 100, at: 90}, {clock: 200, at: -1}, {clock: 300, at: -1}, {clock: 400, at: -1}, {err: boom}},
			want:  []string{"packet 90", "tick 150"}, err: boom,
		},
		{
			name:  "clock set back a minute: what waits goes first, time goes on",
			steps: []step{{clock: 60000, at: 60000}, {clock: 60010, at: 60005, then: sample(60008)}, {clock: 10, at: 10}, {clock: 30, at: 30}, {err: boom}},
			want:  []string{"packet 60000", "packet 60005", "sample 60008", "packet 60008", "packet 60028"}, err: boom,
		},
		{
			name:  "stop: the ring is drained up to then, the rest is not wanted",
			steps: []step{{clock: 100, at: 90}, {clock: 200, at: 150, then: func() { s.Stop() }}, {clock: 210, at: 199}, {clock: 220, at: 205}, {clock: 230, at: 206}},
			want:  []string{"packet 90", "packet 150", "packet 199", "tick 200"}, err: io.EOF,
		},
		{
			name:  "stop when idle",
			steps: []step{{clock: 100, at: -1, then: func() { s.Stop() }}, {clock: 200, at: -1}, {clock: 300, at: -1}, {clock: 400, at: -1}},
			want:  []string{"tick 50", "tick 100"}, err: io.EOF,
		},
		{
			name:  "stop under load that never ends: a second, no more",
			steps: []step{{clock: 100, at: 1, then: func() { s.Stop() }}, {clock: 600, at: 2}, {clock: 1101, at: 3}, {clock: 1102, at: 4}},
			want:  []string{"packet 1", "packet 2", "tick 100"}, err: io.EOF,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ = scripted(tt.steps...)
			got, err := items(t, s, 20)
			if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v\nwant %q, %v", got, err, tt.want, tt.err)
			}
			if _, again := items(t, s, 1); again != err {
				t.Errorf("the error is not final: %v, then %v", err, again)
			}
		})
	}
}

func TestLossJoins(t *testing.T) {
	s, r := scripted(step{clock: 400, at: 1, then: func() {}}, step{clock: 500, at: -1}, step{clock: 800, at: -1})
	r.loss = capture.Loss{Kernel: 7, Interface: 2}
	var it capture.Item
	for it.Kind != capture.PacketsLost {
		if err := s.Next(&it); err != nil {
			t.Fatal(err)
		}
	}
	if it.Loss != (capture.Loss{Kernel: 7, Interface: 2}) || it.At != ms(500) {
		t.Errorf("got %+v at %v, want 7 and 2 at %v", it.Loss, it.At, ms(500))
	}
}

func TestExtrasAreBounded(t *testing.T) {
	var x extras
	for i := range 3 * maxExtras {
		if i%3 == 0 {
			x.add(capture.Item{At: ms(i), Kind: capture.HostSampled})
		} else {
			x.lost(ms(i), capture.Loss{Kernel: 1})
		}
	}
	if n := int(x.waiting.Load()); n != maxExtras {
		t.Errorf("%d wait, want %d", n, maxExtras)
	}
	var it capture.Item
	var lost uint64
	for last := capture.Time(0); x.pop(endOfTime, &it); last = it.At {
		if it.At < last {
			t.Errorf("%v after %v", it.At, last)
		}
		lost += it.Loss.Kernel
	}
	if lost != 2*maxExtras {
		t.Errorf("losses sum to %d, want %d: none may be forgotten", lost, 2*maxExtras)
	}
	if x.dropped.Load() != maxExtras {
		t.Errorf("%d samples dropped, want %d", x.dropped.Load(), maxExtras)
	}
}

func TestCountersWrap(t *testing.T) {
	c := counters{lastRecv: 1<<32 - 10, lastDrop: 1<<32 - 1}
	c.add(5, 1, 3)
	if got := c.take(); c.received.Load() != 15 || got != (capture.Loss{Kernel: 2, Interface: 3}) {
		t.Errorf("received %d, lost %+v; want 15, 2 and 3", c.received.Load(), got)
	}
	if got := c.take(); got != (capture.Loss{}) {
		t.Errorf("taken twice: %+v", got)
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	s, r := scripted()
	var it capture.Item
	n := 0
	steps := make([]step, 1)
	if got := testing.AllocsPerRun(1000, func() {
		n++
		steps[0] = step{clock: n, at: n}
		r.steps = steps
		if err := s.Next(&it); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations a packet", got)
	}
}

// TestMergeOrder feeds batches of three lanes by hand.
func TestMergeOrder(t *testing.T) {
	m := &merge{lanes: make([]lane, 3), in: make(chan *batch, 16), quit: make(chan struct{})}
	for i := range m.lanes {
		m.lanes[i].free = &pool{have: make(chan struct{}, 16)}
	}
	send := func(from int, until int, at ...int) {
		b := &batch{from: from, until: ms(until)}
		for _, t := range at {
			b.add(&frame{at: ms(t), data: []byte{byte(t)}, index: from})
		}
		m.in <- b
	}
	send(0, 30, 10, 20, 30)
	send(1, 26, 5, 25)
	send(2, 12) // empty until 12
	send(2, 100)
	send(1, 100)
	send(0, 90)
	m.in <- &batch{from: 0, until: ms(100), err: io.ErrUnexpectedEOF}
	var got []int
	for {
		var f frame
		ok, _, err := m.read(&f)
		if err != nil {
			if err != io.ErrUnexpectedEOF {
				t.Errorf("error %v", err)
			}
			break
		}
		if ok {
			got = append(got, int(f.data[0]))
		}
	}
	if want := []int{5, 10, 20, 25, 30}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// asked is a prober that counts how often the whole table was wanted.
type asked struct {
	fixed
	times int
}

func (a *asked) WantConns() { a.times++ }

// TestLossWantsTheTable: after a loss, and only then, the socket table is
// wanted anew.
func TestLossWantsTheTable(t *testing.T) {
	s, r := scripted(step{clock: 400, at: -1}, step{clock: 500, at: -1, then: func() {}}, step{clock: 900, at: -1})
	r.steps[1].then = func() { r.loss.Kernel = 7 }
	a := &asked{}
	s.opts.Prober = a
	if list, err := items(t, s, 2); err != nil || a.times != 1 {
		t.Errorf("%v, %v: the table was wanted %d times, want once", list, err, a.times)
	}
}

// TestSilentInterfaceThrottlesNothing: packets wait in memory until a silent
// interface has shown that it has no earlier ones. What a handle may keep must
// last for that long at half a million packets a second, or its ring overflows.
func TestSilentInterfaceThrottlesNothing(t *testing.T) {
	o := Options{Interfaces: []string{"busy", "silent"}}.withDefaults()
	f := frame{data: make([]byte, 300), length: 300}
	p, kept := newPool(0), 0
	for range batchesEach {
		b := p.get(nil)
		for b.room(len(f.data)) {
			b.add(&f)
			kept++
		}
	}
	if rate := float64(kept) / (o.Grace + o.Timeout).Seconds(); rate < 500_000 {
		t.Errorf("%d packets are kept for %v: %.0f a second", kept, o.Grace+o.Timeout, rate)
	}
}

// TestPoolReusesTheLast: with little traffic few batches ever hold memory.
func TestPoolReusesTheLast(t *testing.T) {
	p := newPool(0)
	first := p.get(nil)
	p.put(first)
	if again := p.get(nil); again != first {
		t.Error("another batch came out than was put in last")
	}
	quit := make(chan struct{})
	close(quit)
	for range batchesEach - 1 {
		p.get(nil)
	}
	if b := p.get(quit); b != nil {
		t.Error("a batch came out of an empty pool")
	}
}

// TestPauses: what is told when nobody looked, and when the clock was set.
func TestPauses(t *testing.T) {
	var s *Source
	var r *script
	lose := func(n int) func() { return func() { r.loss.Kernel += uint64(n) } }
	sample := func(at int) func() {
		return func() {
			s.extras.add(capture.Item{At: ms(at), Kind: capture.HostSampled, Sample: &capture.Sample{}})
		}
	}
	boom := errors.New("boom")
	const hour = 3600_000
	for _, tt := range []struct {
		name  string
		steps []step
		want  []string
	}{
		{
			name: "clock set forward under load: the hour did not pass",
			steps: []step{{clock: 100, at: 100}, {clock: 200, at: 200}, {clock: 300, at: 290},
				{clock: hour + 310, at: hour + 305, ahead: hour}, {clock: hour + 320, at: hour + 320, ahead: hour}, {err: boom}},
			want: []string{"packet 100", "packet 200", "packet 290", "loss 290 clock_set 3600015 of 0", "packet 3600305", "packet 3600320"},
		},
		{
			name: "set forward, found by a packet of before: it goes first, and so does a sample",
			steps: []step{{clock: 100, at: 100}, {clock: hour + 200, at: 150, ahead: hour, then: sample(180)}, {clock: hour + 250, at: -1, ahead: hour},
				{clock: hour + 300, at: 190, ahead: hour}, {clock: hour + 310, at: hour + 290, ahead: hour, then: sample(hour + 280)}, {err: boom}},
			want: []string{"packet 100", "packet 150", "sample 180", "packet 190", "loss 190 clock_set 3600090 of 0", "sample 3600280", "packet 3600290"},
		},
		{
			name: "the machine slept, idle before and after",
			steps: []step{{clock: 400, at: -1}, {clock: 420, at: -1}, {clock: 440, at: -1}, {clock: hour + 450, at: -1, ahead: hour, then: func() { r.slept = hour * time.Millisecond }},
				{clock: hour + 480, at: hour + 470, ahead: hour}, {clock: hour + 800, at: -1, ahead: hour}, {err: boom}},
			want: []string{"tick 150", "tick 170", "tick 190", "loss 190 asleep 3600280 of 0", "packet 3600470", "tick 3600550"},
		},
		{
			name: "a clock that runs fast, or is set by less than 2 s, is followed",
			steps: []step{{clock: 400, at: 390}, {clock: 950, at: 940, ahead: 50}, {clock: 1500, at: 1490, ahead: 100},
				{clock: 3400, at: 3390, ahead: 2050}, {err: boom}},
			want: []string{"packet 390", "packet 940", "packet 1490", "packet 3390"},
		},
		{
			name: "stopped for a minute, and the ring overflowed after two seconds",
			steps: []step{{clock: 100, at: 100}, {clock: 60100, at: 700, then: lose(9)}, {clock: 60110, at: 1900}, {clock: 60111, at: 2100},
				{clock: 60120, at: 60110}, {clock: 60400, at: -1}, {clock: 60500, at: 60490}, {err: boom}},
			want: []string{"packet 100", "packet 700", "packet 1900", "packet 2100", "loss 2100 stopped 58010 of 9", "packet 60110", "tick 60150", "packet 60490"},
		},
		{
			name:  "stopped for a minute, and nothing was lost: the ring has it all",
			steps: []step{{clock: 100, at: 100}, {clock: 60100, at: 700}, {clock: 60110, at: 59000}, {clock: 60120, at: 60110}, {clock: 60500, at: -1}, {err: boom}},
			want:  []string{"packet 100", "packet 700", "packet 59000", "packet 60110", "tick 60250"},
		},
		{
			name:  "stopped, and what was read first came after",
			steps: []step{{clock: 100, at: 100, then: lose(3)}, {clock: 60100, at: 60090}, {clock: 60500, at: -1}, {err: boom}},
			want:  []string{"packet 100", "loss 100 stopped 59990 of 3", "packet 60090", "tick 60250"},
		},
		{
			name: "set back an hour and forth again: the times are the wall's once more",
			steps: []step{{clock: hour, at: hour}, {clock: hour + 300, at: -1}, {clock: 310, at: 305, ahead: -hour}, {clock: 700, at: -1, ahead: -hour},
				{clock: hour + 720, at: hour + 715}, {clock: hour + 800, at: hour + 790}, {err: boom}},
			want: []string{"packet 3600000", "tick 3600050", "packet 3600050", "tick 3600195", "packet 3600715", "packet 3600790"},
		},
		{
			name: "set forward and back before anything came",
			steps: []step{{clock: 400, at: -1}, {clock: 420, at: -1}, {clock: hour + 430, at: -1, ahead: hour}, {clock: 440, at: -1},
				{clock: 500, at: -1}, {clock: 700, at: 690}, {err: boom}},
			want: []string{"tick 150", "tick 170", "packet 690"},
		},
		{
			name:  "stopped and ended: what was lost is told",
			steps: []step{{clock: 100, at: 100}, {clock: 60100, at: 700, then: func() { lose(9)(); s.Stop() }}, {clock: 60300, at: 60200}},
			want:  []string{"packet 100", "packet 700", "loss 700 stopped 59400 of 9", "tick 60100"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, r = scripted(tt.steps...)
			got, _ := items(t, s, 20)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
