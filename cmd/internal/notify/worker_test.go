package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"stallwatch/capture"
	"stallwatch/detect"
)

// script is a destination without a network: it answers what it is told to,
// and remembers when it was asked.
type script struct {
	mu      sync.Mutex
	answers []outcome // for the next batches; then delivered
	always  verdict   // instead of delivered, if not 0
	at      []time.Duration
	got     []*batch
	begin   time.Time
}

func (s *script) calls(*batch) []call { return nil }

func (s *script) deliver(ctx context.Context, b *batch) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = append(s.at, time.Since(s.begin).Round(time.Second))
	s.got = append(s.got, b)
	if len(s.answers) > 0 {
		out := s.answers[0]
		s.answers = s.answers[1:]
		return out
	}
	if s.always != 0 {
		return outcome{verdict: s.always, words: "no"}
	}
	return outcome{verdict: delivered, message: "1"}
}

// pass lets time go by until everybody waits again.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *script) batches() []*batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *script) instants() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.at)
}

func (s *script) times() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.at)
}

// scripted starts a Notifier in memory with one scripted receiver.
func scripted(t *testing.T, k Kind, o Options) (*Notifier, *script) {
	t.Helper()
	s := &script{begin: time.Now()}
	o.Log = zerolog.Nop()
	if o.dest == nil {
		o.dest = func(*Receiver) destination { return s }
	}
	n, err := New(&Config{Spool: NoSpool, Receivers: []Receiver{{Name: "s", Kind: k}}}, o)
	if err != nil {
		t.Fatal(err)
	}
	return n, s
}

func (n *Notifier) find(alerts ...*detect.Alert) {
	for _, a := range alerts {
		n.Finding(&detect.Finding{At: a.At, Kind: detect.AlertChanged, Alert: a})
	}
}

func named(a *detect.Alert, name string) *detect.Alert {
	c := *a
	c.Name = name
	return &c
}

func about(a *detect.Alert, command string) *detect.Alert {
	c := *a
	c.Subject, c.Command = a.Server.String()+" "+command, command
	return &c
}

// The first sign of an attack does not hold back the alert that names its
// culprit; more of the same waits.
func TestAnotherAlertGoesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := scripted(t, Slack, Options{})
		n.find(named(stalled(0, detect.Firing, detect.Warning), "SuspectParameters"))
		pass(10 * time.Second)
		n.find(stalled(10, detect.Firing, detect.Warning))
		pass(2 * time.Second)
		n.find(about(stalled(12, detect.Firing, detect.Warning), "getTips"))
		pass(time.Minute)
		if got, want := s.times(), "[1s 11s 41s]"; got != want {
			t.Errorf("messages at %s, want %s", got, want)
		}
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// The first message comes after a second, so that what fires at the same time
// is in it; then one in 30 s, but at once what is worse.
func TestGrouping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := scripted(t, Slack, Options{})
		n.find(stalled(1, detect.Firing, detect.Warning))
		pass(500 * time.Millisecond)
		n.find(named(stalled(1, detect.Firing, detect.Warning), "CloseWaitBuildup")) // in the first
		pass(4500 * time.Millisecond)
		n.find(about(stalled(5, detect.Firing, detect.Warning), "getTips")) // 5 s: the same of another command waits for the group
		pass(5 * time.Second)
		n.find(stalled(10, detect.Firing, detect.Critical)) // 10 s: worse, at once, and takes the other along
		pass(10 * time.Second)
		n.find(stalled(20, detect.Resolved, detect.Critical)) // 20 s: waits
		pass(10 * time.Minute)
		if got, want := s.times(), "[1s 10s 40s]"; got != want {
			t.Errorf("messages at %s, want %s", got, want)
		}
		if a, b := len(s.batches()[0].Changed), len(s.batches()[1].Changed); a != 2 || b != 2 {
			t.Errorf("%d and %d changes in the first two messages, want 2 and 2", a, b)
		}
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// However much happens, five messages a minute go out at most.
func TestFiveMessagesAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := scripted(t, Slack, Options{tune: quick})
		for i := range 100 {
			n.find(named(stalled(float64(i), detect.Firing, detect.Warning), fmt.Sprint("Alert", i)))
			pass(3 * time.Second)
		}
		pass(5 * time.Minute)
		times := s.instants()
		for i, at := range times {
			if i >= 5 && at-times[i-5] < time.Minute {
				t.Fatalf("six messages within %s: %v", at-times[i-5], times)
			}
		}
		if st := n.Stats().Receivers[0]; st.Queue != 0 || st.Dropped != 0 || len(s.batches()[len(s.batches())-1].All) != 100 {
			t.Errorf("got %+v and %d incidents in the last message, want all delivered", st, len(s.batches()[len(s.batches())-1].All))
		}
		n.Close(context.Background())
	})
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := scripted(t, PagerDuty, Options{})
		s.always = retry
		n.find(stalled(1, detect.Firing, detect.Warning))
		pass(24 * time.Hour)
		s.mu.Lock()
		for i := range len(s.at) - 1 {
			most := min(backoffBase<<min(i, 20), backoffMost)
			if gap := s.at[i+1] - s.at[i]; gap < most/2-time.Second || gap > most+time.Second {
				t.Errorf("attempt %d came %s after the one before, want between %s and %s", i+2, gap, most/2, most)
			}
			if s.got[i].ID != s.got[i+1].ID {
				t.Errorf("attempt %d has another id", i+2)
			}
		}
		s.always = 0
		s.mu.Unlock()
		pass(backoffMost)
		if st := n.Stats().Receivers[0]; st.Sent != 1 || st.Queue != 0 {
			t.Errorf("after a day of outage: %+v, want it delivered", st)
		}
		n.Close(context.Background())
	})
}

func TestRetryAfterIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := scripted(t, Slack, Options{})
		s.answers = []outcome{{verdict: retry, wait: 90 * time.Second, words: "HTTP 429"}, {verdict: delivered, wait: 200 * time.Second}}
		n.find(stalled(1, detect.Firing, detect.Warning))
		pass(100 * time.Second)
		n.find(stalled(100, detect.Firing, detect.Critical))
		pass(10 * time.Minute)
		if got, want := s.times(), "[1s 1m31s 4m51s]"; got != want {
			t.Errorf("attempts at %s, want %s: after 90 s, and after the limit was reset", got, want)
		}
		n.Close(context.Background())
	})
}

// When a disk holds up the queues, the packet path goes on, the oldest alerts
// are given up, and the next message tells how many.
func TestIntakeOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := scripted(t, Slack, Options{tune: quick})
		w := n.workers[0]
		const extra = 100
		w.mu.Lock() // as if a sync hung
		n.find(named(stalled(0, detect.Firing, detect.Warning), "First"))
		for { // until feed has it in its hands
			n.mu.Lock()
			taken := n.waiting == 0
			n.mu.Unlock()
			if taken {
				break
			}
			runtime.Gosched()
		}
		for i := range intakeSize + extra {
			n.find(named(stalled(float64(i), detect.Firing, detect.Warning), fmt.Sprint("A", i)))
		}
		w.mu.Unlock()
		pass(time.Minute)
		lost := n.Stats().Lost
		told := 0
		for _, b := range s.batches() {
			told += b.Dropped
		}
		if st := n.Stats().Receivers[0]; lost != extra || told != extra+int(st.Dropped) {
			t.Errorf("%d lost and %d dropped, the messages tell of %d; want %d lost", lost, st.Dropped, told, extra)
		}
		n.Close(context.Background())
		if w.q.untold != 0 {
			t.Errorf("%d still untold", w.q.untold)
		}
		n.find(stalled(9999, detect.Firing, detect.Warning))
		if after := n.Stats().Lost; after != lost+1 {
			t.Errorf("an alert after Close is not counted: %d, then %d", lost, after)
		}
	})
}

func TestCaptureBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var blind atomic.Bool
		n, s := scripted(t, Slack, Options{tune: quick, Healthy: func() error {
			if blind.Load() {
				return errors.New("no packets for 60 s\x1b[2J")
			}
			return nil
		}})
		pass(time.Minute)
		blind.Store(true)
		pass(healthEvery + time.Second) // one bad answer is no blindness
		if len(s.batches()) > 0 {
			t.Errorf("fired after one bad answer: %s", s.times())
		}
		pass(time.Minute)
		blind.Store(false)
		pass(time.Minute)
		if len(s.batches()) != 2 || s.batches()[0].Changed[0].Alert.Name != "CaptureBlind" || !s.batches()[1].Over {
			t.Fatalf("got %d messages, want CaptureBlind and its end", len(s.batches()))
		}
		if why := s.batches()[0].Changed[0].Alert.Why; why != `no packets for 60 s\x1b[2J` {
			t.Errorf("why: %q", why)
		}
		n.Close(context.Background())
	})
}

func TestMinimumSeverityAndChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := scripted(t, Slack, Options{tune: quick})
		n.workers[0].r.MinSeverity, n.workers[0].r.Alerts = detect.Critical, []string{"CallStalled"}
		n.find(stalled(1, detect.Firing, detect.Warning))
		n.find(named(stalled(2, detect.Firing, detect.Critical), "Other"))
		n.find(stalled(3, detect.Resolved, detect.Warning))
		pass(time.Minute)
		if len(s.batches()) != 0 {
			t.Fatalf("%d messages, want none: too low, not chosen, never fired", len(s.batches()))
		}
		n.find(stalled(4, detect.Firing, detect.Critical), stalled(5, detect.Resolved, detect.Warning))
		pass(time.Minute)
		if len(s.batches()) != 2 || !s.batches()[1].Over {
			t.Errorf("%d messages, want the incident and its end", len(s.batches()))
		}
		n.Close(context.Background())
	})
}

// tripper is an Alertmanager without a network.
type tripper struct {
	mu   sync.Mutex
	got  []postedAlert
	at   []time.Time
	down bool
}

func (r *tripper) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down && strings.HasPrefix(req.URL.Host, "down") {
		return nil, errors.New("connection refused")
	}
	var list []postedAlert
	if err := strict(body, &list); err != nil {
		return nil, err
	}
	for _, a := range list {
		if a.Labels["severity"] == "info" { // what the incident was not: see TestAlertmanagerEndsTheLessSevere
			continue
		}
		r.got = append(r.got, a)
		r.at = append(r.at, time.Now())
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(nil))}, nil
}

// Alertmanager forgets what it is not told: firing alerts are repeated, each
// time with an end four resends ahead, and resolved ones for five minutes. One
// of two that is up is enough.
func TestAlertmanagerIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &tripper{down: true}
		up, down := &url.URL{Scheme: "http", Host: "up"}, &url.URL{Scheme: "http", Host: "down"}
		m := &alertmanager{transport: transport{client: &http.Client{Transport: rt}}, urls: []*url.URL{down, up}, resend: time.Minute, now: time.Now}
		n, _ := scripted(t, Slack, Options{dest: func(*Receiver) destination { return m }, tune: func(l *limits) { quick(l); l.keep = keepResolved }})
		fires := *stalled(1, detect.Firing, detect.Warning)
		fires.At = capture.At(time.Now())
		fires.Since = fires.At
		n.find(&fires)
		pass(10*time.Minute + time.Second)
		rt.mu.Lock()
		if len(rt.got) != 11 {
			t.Errorf("told %d times in 10 minutes, want 11", len(rt.got))
		}
		for i, a := range rt.got {
			if want := rt.at[i].Add(4 * time.Minute).UTC().Format(time.RFC3339Nano); a.EndsAt != want {
				t.Errorf("endsAt %s, want %s", a.EndsAt, want)
			}
		}
		fired := len(rt.got)
		rt.mu.Unlock()
		ends := fires
		ends.At, ends.State = capture.At(time.Now()), detect.Resolved
		n.find(&ends)
		pass(time.Hour)
		n.Close(context.Background())
		over := rt.got[fired:]
		if len(over) < 5 || len(over) > 6 {
			t.Errorf("the end was told %d times, want for five minutes", len(over))
		}
		for _, a := range over {
			if a.EndsAt != ends.At.Std().Format(time.RFC3339Nano) {
				t.Errorf("endsAt %s of a resolved alert", a.EndsAt)
			}
		}
		if n.workers[0].q.known() != 0 {
			t.Error("the incident is still remembered")
		}
	})
}

// stuck is a destination that never answers.
type stuck struct{}

func (stuck) calls(*batch) []call { return nil }
func (stuck) deliver(ctx context.Context, _ *batch) outcome {
	<-ctx.Done()
	return outcome{verdict: retry}
}

// BenchmarkFinding shows that the packet path does not feel the receivers:
// hanging costs what none costs, for the findings that come with packets and
// for alerts.
func BenchmarkFinding(b *testing.B) {
	node := &detect.Finding{Kind: detect.NodeSeen, Node: &detect.Node{}}
	alert := &detect.Finding{Kind: detect.AlertChanged, Alert: stalled(1, detect.Firing, detect.Warning)}
	for _, row := range []struct {
		name      string
		receivers int
		f         *detect.Finding
	}{{"none/node", 0, node}, {"hanging/node", 8, node}, {"none/alert", 0, alert}, {"hanging/alert", 8, alert}} {
		b.Run(row.name, func(b *testing.B) {
			c := Config{Spool: NoSpool}
			for i := range row.receivers {
				c.Receivers = append(c.Receivers, Receiver{Name: fmt.Sprint("r", i), Kind: Slack})
			}
			n, err := New(&c, Options{Log: zerolog.Nop(), dest: func(*Receiver) destination { return stuck{} }})
			if err != nil {
				b.Fatal(err)
			}
			var sink interface{ Finding(*detect.Finding) } = n
			b.ReportAllocs()
			for b.Loop() {
				sink.Finding(row.f)
			}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			n.Close(ctx)
		})
	}
}

func TestFindingAllocatesNothing(t *testing.T) {
	n := &Notifier{workers: make([]*worker, 1), wake: make(chan struct{}, 1)}
	f := &detect.Finding{Kind: detect.AlertChanged, Alert: stalled(1, detect.Firing, detect.Warning)}
	if got := testing.AllocsPerRun(3*intakeSize, func() { n.Finding(f) }); got != 0 {
		t.Errorf("%v allocations a finding, also when the intake is full; want none", got)
	}
}
