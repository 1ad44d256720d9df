package notify

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/detect"
)

var family = []Kind{Discord, Slack, Alertmanager, Webhook, Ntfy, Telegram, PagerDuty}

// everyKind runs a test for each kind of receiver, in parallel.
func everyKind(t *testing.T, test func(t *testing.T, f *fake, b *bench)) {
	t.Parallel()
	for _, k := range family {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			f := newFake(t, k)
			test(t, f, newBench(t, f))
		})
	}
}

// bench is a Notifier with a fake receiver, and all that it says.
type bench struct {
	t       *testing.T
	dir     string
	c       Config
	logs    logs
	n       *Notifier
	tune    func(*limits)
	timeout time.Duration
}

// quick takes the waits out that have nothing to do with the network.
func quick(l *limits) { l.settle, l.group = 0, 0 }

func newBench(t *testing.T, fakes ...*fake) *bench {
	b := &bench{t: t, dir: t.TempDir(), tune: quick, timeout: patience}
	b.c = Config{Spool: filepath.Join(b.dir, "spool"), Instance: "node-1", Proxy: "haproxy", Node: "iri",
		Links: Links{"https://status.example/", "https://runbook.example/alerts"}}
	for _, f := range fakes {
		b.c.Receivers = append(b.c.Receivers, f.receiver())
	}
	t.Cleanup(b.leaks)
	return b
}

func (b *bench) start() {
	b.t.Helper()
	n, err := New(&b.c, Options{Version: "1.0", Log: b.logs.logger(), Timeout: b.timeout, tune: b.tune})
	if err != nil {
		b.t.Fatal(err)
	}
	b.n = n
	b.t.Cleanup(func() { b.stop(0) })
}

func (b *bench) stop(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return b.n.Close(ctx)
}

// leaks fails the test when a secret is in anything that others may read.
func (b *bench) leaks() {
	out := b.logs.String()
	if b.n != nil {
		out += fmt.Sprintf("%+v %#v %+v %#v", b.n.Stats(), b.n.Stats(), b.c, b.c)
	}
	files, _ := filepath.Glob(filepath.Join(b.c.Spool, "*"))
	for _, path := range files {
		data, _ := os.ReadFile(path)
		out += string(data)
	}
	if i := strings.Index(out, token); i >= 0 {
		b.t.Errorf("a secret leaked: ...%s", out[max(i-200, 0):i])
	}
	if strings.ContainsFunc(b.logs.String(), func(r rune) bool { return r < ' ' && r != '\n' || r > '~' }) {
		b.t.Errorf("unescaped bytes in the log: %q", b.logs.String())
	}
}

// patience is for what happens at once on an idle machine: only a test that
// fails waits so long.
const patience = time.Minute

// until waits for a condition that other goroutines bring about over real
// sockets.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting for: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (b *bench) took(f *fake, n int) []seen {
	b.t.Helper()
	until(b.t, fmt.Sprintf("%d messages to %s; log:\n%s", n, f.kind, b.logs.String()), func() bool {
		_, took := f.counts()
		return took >= n
	})
	_, took := f.requests()
	return took
}

func (b *bench) find(alerts ...*detect.Alert) {
	for _, a := range alerts {
		b.n.Finding(&detect.Finding{At: a.At, Kind: detect.AlertChanged, Alert: a})
	}
}

// at is the instant s seconds into the attack.
func at(s float64) capture.Time {
	return capture.At(time.Date(2018, 1, 25, 8, 58, 0, 0, time.UTC)).Add(time.Duration(s * float64(time.Second)))
}

var server = netip.MustParseAddrPort("192.0.2.10:14265")

func stalled(s float64, state detect.State, sev detect.Severity) *detect.Alert {
	return &detect.Alert{At: at(s), State: state, Name: "CallStalled", Severity: sev, Subject: server.String() + " getTransactionsToApprove",
		Since: at(1), Server: server, Client: detect.ClientOf(netip.MustParseAddr("203.0.113.66")), Command: "getTransactionsToApprove",
		Value: 61, Limit: 10, Unit: "seconds", Summary: "7 calls of getTransactionsToApprove in flight, the oldest unanswered for 61 s",
		Why: "7 calls over the budget of 10 s (fires at 3)", Confidence: 0.9,
		Evidence: detect.Evidence{InFlight: 7, CloseWait: 12, CloseWaitKernel: 11, Unaccepted: -1, FDs: 300, FDLimit: 4096, ETA: 4 * time.Minute, HasETA: true,
			Clients: []detect.ClientCount{{Client: detect.ClientOf(netip.MustParseAddr("203.0.113.66")), N: 5}},
			Calls: []detect.CallRef{{Client: netip.MustParseAddrPort("203.0.113.66:40000"), Command: "getTransactionsToApprove", Shape: "depth=15 reference=hash",
				Age: 61 * time.Second, Verdict: detect.CauseApp}}}}
}

// hostile is an alert in which every text is an attack on whoever shows it.
func hostile(i int) *detect.Alert {
	evil := "@everyone <!channel> <@1> `x` **b** [l](https://evil.example) | \x1b[2J\r\nX-Evil: 1\x00\xff\xfe\u202e ![i](http://e.example/)</b>&amp; "
	long := strings.Repeat(evil, 200)
	a := stalled(float64(10+i), detect.Firing, detect.Critical)
	a.Name, a.Subject, a.Command, a.Unit = "Call"+evil, fmt.Sprint(i, long), long, long
	a.Summary, a.Why = long, long
	a.Value = 1e308
	for range 30 {
		a.Evidence.Calls = append(a.Evidence.Calls, detect.CallRef{Command: long, Raw: long, Shape: long, Verdict: detect.Cause(long), Age: time.Hour,
			Client: netip.AddrPortFrom(netip.MustParseAddr("fe80::1%"+"evil\n"), 1)})
		a.Evidence.Clients = append(a.Evidence.Clients, detect.ClientCount{Client: detect.ClientOf(netip.MustParseAddr("fe80::1%" + "evil\n")), N: 1})
	}
	a.Evidence.Calls[0] = a.Evidence.Calls[3]
	return a
}

func TestFamilyLimitsAndHostileText(t *testing.T) {
	everyKind(t, func(t *testing.T, f *fake, b *bench) {
		b.start()
		for i := range 40 {
			b.find(hostile(i))
		}
		b.took(f, 1)
		until(t, "all of them", func() bool { return b.n.Stats().Receivers[0].Queue == 0 })
		s := b.n.Stats().Receivers[0]
		if s.Failed+s.Dropped > 0 || s.Stopped {
			t.Errorf("got %+v, want nothing refused", s)
		}
		_, took := f.requests()
		for _, s := range took {
			for _, bad := range []string{"\x1b", "\x00", "\u202e", `\u0000`, `\u001b`, `\ufffd`, "%evil"} {
				if strings.Contains(string(s.body), bad) {
					t.Errorf("the message contains %q: %s", bad, s.body)
				}
			}
			if s.header.Get("X-Evil") != "" {
				t.Error("a header was injected")
			}
		}
	})
}

func TestFamilyLifeOfAnIncident(t *testing.T) {
	everyKind(t, func(t *testing.T, f *fake, b *bench) {
		b.start()
		b.find(stalled(1, detect.Firing, detect.Warning))
		b.took(f, 1)
		b.find(stalled(30, detect.Firing, detect.Critical))
		escalation := 1 // requests of the escalation
		if f.kind == Discord || f.kind == Telegram {
			escalation = 2
		}
		b.took(f, 1+escalation)
		b.find(stalled(90, detect.Resolved, detect.Critical))
		took := b.took(f, 2+escalation)
		if err := b.stop(patience); err != nil {
			t.Fatal(err)
		}
		if s := b.n.Stats().Receivers[0]; s.Sent != 3 || s.Queue != 0 || s.Failed+s.Dropped != 0 {
			t.Errorf("got %+v, want three sent", s)
		}
		if f.kind == Discord {
			if m := []string{took[0].method, took[1].method, took[2].method, took[3].method}; fmt.Sprint(m) != "[POST PATCH POST PATCH]" {
				t.Errorf("requests %v, want the message edited and one that rings", m)
			}
			if took[1].path != took[3].path {
				t.Errorf("edits of %s and %s, want one message", took[1].path, took[3].path)
			}
			if !strings.Contains(string(took[3].body), fmt.Sprint(colourOver)) {
				t.Errorf("the last edit is not green: %s", took[3].body)
			}
		}
	})
}

func TestFamilyTooManyRequests(t *testing.T) {
	everyKind(t, func(t *testing.T, f *fake, b *bench) {
		f.set(nil, status(429, `{"message":"slow down","retry_after":1.2,"global":false}`, "Retry-After", "1"))
		b.start()
		b.find(stalled(1, detect.Firing, detect.Warning))
		b.took(f, 1)
		tried, _ := f.requests()
		if gap := tried[1].at.Sub(tried[0].at); gap < 1200*time.Millisecond {
			t.Errorf("tried again after %s, want 1.2 s at least", gap)
		}
	})
}

func TestFamilyRetries(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		snag snag
		log  string
	}{
		{"server error", status(503, "busy\x1b[31m"), `HTTP 503: busy\\x1b[31m`},
		{"hang", hang, "no answer in time"},
		{"reset", reset, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			everyKind(t, func(t *testing.T, f *fake, b *bench) {
				f.set(nil, row.snag)
				if row.name == "hang" {
					b.timeout = 2 * time.Second
				}
				b.start()
				b.find(stalled(1, detect.Firing, detect.Warning))
				b.took(f, 1)
				tried, _ := f.requests()
				if gap := tried[1].at.Sub(tried[0].at); gap < backoffBase/2 {
					t.Errorf("tried again after %s, want half a second at least", gap)
				}
				if len(tried) == 2 && string(tried[0].body) != string(tried[1].body) && f.kind != Alertmanager {
					t.Errorf("the second attempt says something else:\n%s\n%s", tried[0].body, tried[1].body)
				}
				if !strings.Contains(b.logs.String(), row.log) {
					t.Errorf("the log does not say %q:\n%s", row.log, b.logs.String())
				}
			})
		})
	}
}

func TestFamilyRefused(t *testing.T) {
	everyKind(t, func(t *testing.T, f *fake, b *bench) {
		f.set(nil, status(400, `{"message": "Invalid Form Body `+token+`"}`), status(400, "still not"))
		b.start()
		b.find(stalled(1, detect.Firing, detect.Warning))
		until(t, "a drop", func() bool { return b.n.Stats().Receivers[0].Dropped == 1 })
		if !strings.Contains(b.logs.String(), "Invalid Form Body "+hidden) {
			t.Errorf("the receiver's words are not in the log:\n%s", b.logs.String())
		}
		tried, _ := f.requests()
		if len(tried) != 2 || len(tried[1].body) >= len(tried[0].body) {
			t.Errorf("%d attempts, want a long one and a short one", len(tried))
		}
		// What comes next is delivered, and tells of the loss.
		next := stalled(50, detect.Firing, detect.Critical)
		next.Name = "CloseWaitBuildup"
		b.find(next)
		took := b.took(f, 1)
		if f.kind.forPeople() && !strings.Contains(string(took[0].body), "1 earlier changes of alerts were dropped") {
			t.Errorf("nothing is said about what was dropped: %s", took[0].body)
		}
	})
}

func TestFamilyDeleted(t *testing.T) {
	t.Parallel()
	for _, code := range []int{401, 403, 404, 410} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			everyKind(t, func(t *testing.T, f *fake, b *bench) {
				other := newFake(t, Webhook)
				r := other.receiver()
				r.Name, r.MinSeverity = "other", detect.Critical
				b.c.Receivers = append(b.c.Receivers, r)
				f.set(status(code, `{"message":"Unknown Webhook","code":10015}`))
				b.start()
				b.find(stalled(1, detect.Firing, detect.Warning), stalled(2, detect.Firing, detect.Critical))
				until(t, "the other to hear of it", func() bool {
					_, took := other.requests()
					for _, s := range took {
						if strings.Contains(string(s.body), receiverStopped) {
							return true
						}
					}
					return false
				})
				b.find(stalled(9, detect.Resolved, detect.Critical))
				b.stop(time.Second)
				if s := b.n.Stats().Receivers[0]; !s.Stopped || s.Queue == 0 {
					t.Errorf("got %+v, want stopped, and the queue kept", s)
				}
				if tried, _ := f.counts(); tried != 1 {
					t.Errorf("%d requests, want one and no more", tried)
				}
			})
		})
	}
}

func TestFamilyRedirect(t *testing.T) {
	everyKind(t, func(t *testing.T, f *fake, b *bench) {
		trap := newFake(t, f.kind)
		f.set(status(302, "", "Location", trap.srv.URL+"/"+token))
		b.start()
		b.find(stalled(1, detect.Firing, detect.Warning))
		until(t, "a word in the log", func() bool { return strings.Contains(b.logs.String(), "redirects are not followed") })
		if tried, _ := trap.counts(); tried != 0 {
			t.Error("the redirect was followed")
		}
	})
}

func TestFamilyWrongCertificate(t *testing.T) {
	everyKind(t, func(t *testing.T, f *fake, b *bench) {
		b.c.Receivers[0].CAFile = ""
		b.start()
		b.find(stalled(1, detect.Firing, detect.Warning))
		until(t, "a word in the log", func() bool { return strings.Contains(b.logs.String(), "certificate") })
		if tried, _ := f.counts(); tried != 0 {
			t.Error("something was sent to a server that could not prove who it is")
		}
	})
}

func TestFamilyDrain(t *testing.T) {
	everyKind(t, func(t *testing.T, f *fake, b *bench) {
		f.set(hang)
		b.timeout = time.Hour // an end that waited for the answer would take as long
		b.start()
		b.n.grace = patience
		b.find(stalled(1, detect.Firing, detect.Warning))
		until(t, "an attempt", func() bool { tried, _ := f.counts(); return tried > 0 })
		if err := b.stop(200 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		// The next process delivers what this one could not.
		f.set(nil)
		b.start()
		if b.took(f, 1); b.n.Stats().Lost > 0 {
			t.Error("something was lost")
		}
		if err := b.stop(patience); err != nil {
			t.Fatal(err)
		}
	})
}
