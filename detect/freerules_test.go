package detect

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// ownRules loads a rule file over the packs.
func ownRules(t testing.TB, text string) *rules.Set {
	t.Helper()
	s, err := rules.Load(writeRules(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func writeRules(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// drive feeds an Engine with calls as the tracker would report them.
type drive struct {
	t     testing.TB
	set   *rules.Set
	e     *Engine
	at    capture.Time
	out   []Finding
	open  map[httpreassembly.ConnID]*httpreassembly.Event
	slots map[httpreassembly.ConnID]int32
	said  map[httpreassembly.ConnID]*rules.Verdict
	port  uint16

	forwarded string // X-Forwarded-For of the next call
}

func newDrive(t testing.TB, o Options) *drive {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &drive{t: t, set: o.Rules, e: e, at: epoch, open: map[httpreassembly.ConnID]*httpreassembly.Event{}, slots: map[httpreassembly.ConnID]int32{}, said: map[httpreassembly.ConnID]*rules.Verdict{}}
}

// call opens a connection from client and sends body.
func (d *drive) call(client, body string) httpreassembly.ConnID {
	d.at++
	d.port++
	id := httpreassembly.ConnID(d.at)
	flow := capture.Flow{Client: capture.EndpointOf(netip.AddrPortFrom(netip.MustParseAddr(client), d.port)), Server: capture.EndpointOf(netip.MustParseAddrPort("198.51.100.1:14265"))}
	v := d.set.Classify(&rules.Request{Method: []byte("POST"), Target: []byte("/"), Body: []byte(body), BodyBytes: int64(len(body))})
	x := &httpreassembly.Exchange{Conn: id, Flow: flow, Depth: 1, RequestStart: d.at, RequestEnd: d.at, RequestBody: int64(len(body)), Answer: &httpreassembly.Answer{}, Head: &httpreassembly.Head{Method: []byte("POST"), Target: []byte("/"), UserAgent: []byte("wallet")}}
	x.ForwardedFor, d.forwarded = []byte(d.forwarded), ""
	ev := &httpreassembly.Event{Kind: httpreassembly.RequestSeen, Conn: id, Flow: flow, Exchange: x}
	d.open[id], d.said[id] = ev, &v
	d.observe(&httpreassembly.Event{Kind: httpreassembly.Opened, Conn: id, Flow: flow}, nil)
	d.observe(ev, &v)
	return id
}

// answer ends a call.
func (d *drive) answer(id httpreassembly.ConnID, status int) {
	d.at++
	ev := *d.open[id]
	ev.Exchange.Status, ev.Exchange.ResponseStart, ev.Exchange.ResponseBytes, ev.Exchange.ResponseBody = status, d.at, 200, 100
	ev.Exchange.Outcome = httpreassembly.Answered
	ev.Kind = httpreassembly.ResponseSeen
	d.observe(&ev, d.said[id])
	done := ev
	done.Kind = httpreassembly.ExchangeDone
	d.observe(&done, d.said[id])
	d.observe(&httpreassembly.Event{Kind: httpreassembly.Closed, By: httpreassembly.Client, How: httpreassembly.ByFIN, Conn: id, Flow: ev.Flow,
		Summary: &httpreassembly.Connection{State: httpreassembly.StateClosed}}, nil)
}

func (d *drive) observe(ev *httpreassembly.Event, v *rules.Verdict) {
	d.at++
	slot, ok := d.slots[ev.Conn]
	if !ok {
		slot = int32(len(d.slots))
		d.slots[ev.Conn] = slot
	}
	ev.Slot = slot
	ev.At = d.at
	d.out = d.e.Observe(d.out, ev, v)
}

func (d *drive) wait(dur time.Duration) {
	d.at = d.at.Add(dur)
	d.out = d.e.Advance(d.out, d.at)
}

// alerts are the changes of free rules, a line each.
func (d *drive) alerts() []string {
	var lines []string
	for _, f := range d.out {
		if f.Kind != AlertChanged {
			continue
		}
		for _, r := range d.set.Alerts() {
			if r.Name == f.Alert.Name {
				lines = append(lines, fmt.Sprintf("%.0f %s %s %s %s", f.At.Sub(epoch).Seconds(), f.Alert.State, f.Alert.Severity, f.Alert.Name, f.Alert.Subject))
			}
		}
	}
	return lines
}

const (
	tipsBody = `{"command":"getTransactionsToApprove","depth":3}`
	infoBody = `{"command":"getNodeInfo"}`
)

func TestFreeRules(t *testing.T) {
	for _, tt := range []struct {
		name, rules string
		play        func(d *drive)
		want        []string
	}{
		{"a client counts on its own", `{alert: TooManyTips, by: client, more_than: 5 per 10s, when: 'command == "getTransactionsToApprove"', severity: critical}`,
			func(d *drive) {
				for range 6 {
					d.answer(d.call("192.0.2.1", tipsBody), 200)
					d.answer(d.call("192.0.2.2", infoBody), 200)
					d.wait(time.Second)
				}
				for range 5 {
					d.answer(d.call("192.0.2.3", tipsBody), 200)
				}
				d.wait(time.Minute)
			}, []string{"6 firing critical TooManyTips 198.51.100.1:14265 192.0.2.1", "25 resolved critical TooManyTips 198.51.100.1:14265 192.0.2.1"}},
		{"the window slides", `{alert: TooManyTips, by: client, more_than: 5 per 10s, when: 'command == "getTransactionsToApprove"'}`,
			func(d *drive) {
				for range 20 {
					d.answer(d.call("192.0.2.1", tipsBody), 200)
					d.wait(2 * time.Second)
				}
			}, nil},
		{"addresses of one IPv6 network are one client", `{alert: TooManyTips, by: client, more_than: 5 per 10s, when: 'command == "getTransactionsToApprove"'}`,
			func(d *drive) {
				for i := range 6 {
					d.answer(d.call(fmt.Sprintf("2001:db8::%d", i+1), tipsBody), 200)
				}
				d.wait(2 * time.Second)
			}, []string{"1 firing warning TooManyTips 198.51.100.1:14265 2001:db8::/64"}},
		{"one match is enough by default", `{alert: BigDepth, when: 'int("depth") > 2'}`,
			func(d *drive) { d.call("192.0.2.1", tipsBody); d.wait(2 * time.Second) },
			[]string{"1 firing warning BigDepth 198.51.100.1:14265"}},
		{"by command", `{alert: Busy, by: command, more_than: 1 per 10s, when: 'class != "job"', severity: info}`,
			func(d *drive) {
				for range 2 {
					d.answer(d.call("192.0.2.1", tipsBody), 200)
					d.answer(d.call("192.0.2.1", infoBody), 200)
				}
				d.wait(1 * time.Second)
			}, []string{"1 firing info Busy 198.51.100.1:14265 getTransactionsToApprove", "1 firing info Busy 198.51.100.1:14265 getNodeInfo"}},
		{"exchanges by their answer", `{alert: Errors, on: exchange, more_than: 2 per 10s, when: 'status >= 500 and response_bytes == 100 and wait_seconds >= 3'}`,
			func(d *drive) {
				var ids []httpreassembly.ConnID
				for range 3 {
					ids = append(ids, d.call("192.0.2.1", infoBody))
				}
				d.wait(3 * time.Second)
				for i, id := range ids {
					d.answer(id, 500+i)
				}
				d.wait(1 * time.Second)
			}, []string{"4 firing warning Errors 198.51.100.1:14265"}},
		{"calls in flight, for a while", `{alert: Late, on: pending, more_than: 2, for: 5s, when: 'age_seconds >= 3'}`,
			func(d *drive) {
				var ids []httpreassembly.ConnID
				for range 3 {
					ids = append(ids, d.call("192.0.2.1", infoBody))
				}
				d.wait(10 * time.Second)
				for _, id := range ids {
					d.answer(id, 200)
				}
				d.wait(20 * time.Second)
			}, []string{"9 firing warning Late 198.51.100.1:14265", "25 resolved warning Late 198.51.100.1:14265"}},
		{"a node", `{alert: Crowded, on: node, for: 2s, when: 'in_flight > 2 and oldest_seconds >= 1 and fds == -1'}`,
			func(d *drive) {
				for range 3 {
					d.call("192.0.2.1", infoBody)
				}
				d.wait(5 * time.Second)
			}, []string{"4 firing warning Crowded 198.51.100.1:14265"}},
		{"a condition that breaks off starts anew", `{alert: Crowded, on: node, for: 3s, when: 'in_flight > 0'}`,
			func(d *drive) {
				for range 5 {
					id := d.call("192.0.2.1", infoBody)
					d.wait(2 * time.Second)
					d.answer(id, 200)
					d.wait(2 * time.Second)
				}
			}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDrive(t, Options{Rules: ownRules(t, "alerts:\n  - "+tt.rules+"\n")})
			tt.play(d)
			if got := strings.Join(d.alerts(), "\n"); got != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestFreeRuleWords(t *testing.T) {
	d := newDrive(t, Options{Rules: ownRules(t, `
alerts:
  - alert: TooManyTips
    by: client
    more_than: 2 per 10s
    when: command == "getTransactionsToApprove" and user_agent != "x\u202e"
    summary: "{{client}} sent {{count}} of {{command}} ({{shape}})"
`)})
	for range 3 {
		d.call("192.0.2.1", tipsBody)
	}
	d.wait(time.Second)
	var a *Alert
	for _, f := range d.out {
		if f.Kind == AlertChanged {
			a = f.Alert
		}
	}
	if a == nil {
		t.Fatal("no alert")
	}
	if want := "192.0.2.1 sent 3 of getTransactionsToApprove (depth=3)"; a.Summary != want {
		t.Errorf("summary %q, want %q", a.Summary, want)
	}
	if want := `rule TooManyTips on request: command == "getTransactionsToApprove" and user_agent != "x\\u202e"; 3 in 10 s (fires at more than 2)`; a.Why != want {
		t.Errorf("why  %s\nwant %s", a.Why, want)
	}
	if a.Client.String() != "192.0.2.1" || a.Value != 3 || a.Limit != 2 || a.Unit != "calls" || len(a.Evidence.Clients) != 1 {
		t.Errorf("got %+v", a)
	}
}

// TestFreeRulesForget holds the keys to their bound, whatever the clients do,
// and the one that came back to its count.
func TestFreeRulesForget(t *testing.T) {
	d := newDrive(t, Options{MaxRuleKeys: 10, Rules: ownRules(t, "alerts:\n  - {alert: TooManyTips, by: client, more_than: 5 per 1m, when: 'calls > 0'}\n")})
	for i := range 200 {
		d.answer(d.call(fmt.Sprintf("10.0.%d.%d", i/100, i%100), tipsBody), 200)
		if i%8 == 0 && i < 48 {
			d.answer(d.call("192.0.2.1", tipsBody), 200)
		}
		if i == 45 {
			d.wait(time.Second)
		}
		if n := len(d.e.free.keys); n > 10 {
			t.Fatalf("%d keys", n)
		}
	}
	d.wait(time.Second)
	if got := d.alerts(); len(got) != 1 || !strings.HasSuffix(got[0], " 192.0.2.1") {
		t.Errorf("got %q", got)
	}
	if n := d.e.Stats().RuleKeysEvicted; n != 191 { // 201 clients, 10 kept
		t.Errorf("%d keys evicted", n)
	}
	d.wait(10 * time.Minute)
	if n := len(d.e.free.keys); n != 0 {
		t.Errorf("%d keys are kept of windows that are over", n)
	}
}

// TestFreeRulesBehindProxy: the one that a trusted proxy names is the client,
// and anybody else's word is not believed.
func TestFreeRulesBehindProxy(t *testing.T) {
	for trusted, want := range map[string]string{"192.0.2.0/24": "203.0.113.9", "10.0.0.0/8": "192.0.2.1"} {
		set := ownRules(t, "alerts:\n  - {alert: TooManyTips, by: client, more_than: 2 per 10s, when: 'from(\"0.0.0.0/0\")', summary: '{{client}}'}\n")
		d := newDrive(t, Options{Rules: set, Trusted: []netip.Prefix{netip.MustParsePrefix(trusted)}})
		for range 3 {
			d.forwarded = "203.0.113.9"
			d.answer(d.call("192.0.2.1", infoBody), 200)
		}
		d.wait(time.Second)
		if got := d.alerts(); len(got) != 1 || !strings.HasSuffix(got[0], " "+want) {
			t.Errorf("trusted %s: got %q, want the client %s", trusted, got, want)
		}
	}
}

// TestFreeRulesIgnoreTicks: how often the clock is told changes nothing.
func TestFreeRulesIgnoreTicks(t *testing.T) {
	set := ownRules(t, tenFreeRules+`
  - {alert: Late, on: pending, by: client, more_than: 1, for: 3s, when: age_seconds > 2}
  - {alert: Busy, by: command, more_than: 7 per 5s, when: 'calls > 0'}
  - {alert: Crowded, on: node, for: 4s, when: in_flight > 3}
`)
	play := func(ticks bool) string {
		rng, clock := rand.New(rand.NewPCG(3, 4)), rand.New(rand.NewPCG(5, 6))
		d := newDrive(t, Options{Rules: set, MaxRuleKeys: 20})
		var open []httpreassembly.ConnID
		for range 600 {
			body := infoBody
			if rng.IntN(2) == 0 {
				body = tipsBody
			}
			id := d.call(fmt.Sprintf("192.0.2.%d", rng.IntN(40)), body)
			if rng.IntN(4) > 0 {
				d.answer(id, 200+100*rng.IntN(4))
			} else if open = append(open, id); len(open) > 6 {
				d.answer(open[0], 200)
				open = open[1:]
			}
			next := d.at.Add(time.Duration(rng.IntN(900)) * time.Millisecond)
			for ticks && d.at < next && clock.IntN(3) > 0 {
				d.wait(min(next.Sub(d.at), time.Duration(clock.IntN(400))*time.Millisecond))
			}
			d.at = next
		}
		return strings.Join(d.alerts(), "\n")
	}
	want := play(false)
	for _, name := range []string{"Late", "Busy", "Crowded", "Rule5"} {
		if !strings.Contains(want, name) {
			t.Fatalf("%s does not fire: the run proves nothing:\n%s", name, want)
		}
	}
	if got := play(true); got != want {
		t.Errorf("with ticks\n%s\nwithout\n%s", got, want)
	}
}

// TestOff switches a detector off.
func TestOff(t *testing.T) {
	play := func(o Options) (fired int) {
		d := newDrive(t, o)
		for range 5 {
			d.call("192.0.2.1", tipsBody)
		}
		d.wait(2 * time.Minute)
		for _, f := range d.out {
			if f.Kind == AlertChanged && f.Alert.Name == "CallStalled" {
				fired++
			}
		}
		return fired
	}
	if play(Options{Rules: rules.Default()}) == 0 {
		t.Fatal("CallStalled does not fire")
	}
	o, err := Options{}.WithRules(ownRules(t, "detectors:\n  CallStalled: {enabled: false}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if n := play(o); n != 0 {
		t.Errorf("a detector that is off fired %d times", n)
	}
}

const tenFreeRules = `
alerts:
  - {alert: Rule0, more_than: 20 per 10s, by: client, when: 'command == "getTransactionsToApprove"'}
  - {alert: Rule1, when: 'len("addresses") > 500'}
  - {alert: Rule2, when: 'has("reference") and int("depth") > 10'}
  - {alert: Rule3, when: 'body_bytes > 100000'}
  - {alert: Rule4, when: 'command in ["getTips", "getTrytes"] and body_bytes > 5000'}
  - {alert: Rule5, on: exchange, when: 'status >= 500'}
  - {alert: Rule6, when: 'api == "jsonrpc" and calls > 50'}
  - {alert: Rule7, when: 'command == "getNodeInfo" and body_bytes > 1000'}
  - {alert: Rule8, on: exchange, when: 'wait_seconds > 30 and class != "job"'}
  - {alert: Rule9, when: 'command == "attachToTangle" and len("trytes") > 10'}
`

func BenchmarkFreeRules(b *testing.B) {
	for _, tt := range []struct {
		name string
		set  *rules.Set
	}{{"none", rules.Default()}, {"ten", ownRules(b, tenFreeRules)}} {
		b.Run(tt.name, func(b *testing.B) {
			d := newDrive(b, Options{Rules: tt.set})
			d.answer(d.call("192.0.2.1", tipsBody), 200)
			id := d.call("192.0.2.1", tipsBody)
			request, verdict := d.open[id], d.said[id]
			done := *request
			done.Kind = httpreassembly.ExchangeDone
			b.ReportAllocs()
			for b.Loop() {
				d.at += 1000
				request.At, done.At = d.at, d.at+1
				d.out = d.e.Observe(d.out[:0], request, verdict)
				d.out = d.e.Observe(d.out, &done, verdict)
			}
		})
	}
}
