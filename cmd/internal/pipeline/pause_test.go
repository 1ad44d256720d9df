package pipeline_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/vtime"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/ruletest"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// paused is traffic with a pause in it.
type paused struct {
	ruletest.Wire
	from time.Duration // since the epoch
	d    time.Duration
	lost bool // what the wire holds of the pause was not captured; else the clock was set, and all after from is later by d
}

var (
	node   = netip.MustParseAddrPort("192.0.2.1:14265")
	second = time.Second
)

func at(d time.Duration) capture.Time { return ruletest.Epoch.Add(d) }

func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}) }

func request(command string) []byte {
	body := fmt.Sprintf(`{"command":%q}`, command)
	return fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: n\r\nX-IOTA-API-Version: 1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

var answer = []byte("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"duration\":12}")

// call asks on a connection of its own at start and is answered and closed
// after wait; 0: never.
func (w *paused) call(i int, command string, start, wait time.Duration) {
	c := w.Open(at(start), addr(i), node)
	c.Send(at(start+time.Millisecond), capture.ToServer, request(command))
	if wait > 0 {
		end := at(start + wait)
		c.Send(end, capture.ToClient, answer)
		c.Fin(end.Add(time.Millisecond), capture.ToClient)
		c.Fin(end.Add(2*time.Millisecond), capture.ToServer)
	}
}

// honest is a node's ordinary day until end: quick calls, and always some
// that take seconds.
func (w *paused) honest(end time.Duration) {
	n := 0
	for t := 100 * time.Millisecond; t < end; t += 250 * time.Millisecond {
		n++
		w.call(n, "getNodeInfo", t, 5*time.Millisecond)
		if n%2 == 0 {
			w.call(1000+n, "getTransactionsToApprove", t, 3*second)
			w.call(2000+n, "getTrytes", t+20*time.Millisecond, 800*time.Millisecond)
		}
	}
}

// items cuts the pause out of the wire, or puts it in, and tells of it if
// told.
func (w *paused) items(end time.Duration, told bool) (items []capture.Item) {
	var strict vtime.Strict
	from, till := at(w.from), at(w.from+w.d)
	done := !told
	for _, it := range w.Items(at(end)) {
		if !done && it.At > from {
			done = true
			l := capture.Loss{Unwatched: w.d, Why: capture.ClockSet}
			if w.lost {
				l.Kernel, l.Why = 5000, capture.Stopped
			}
			items = append(items, capture.Item{At: strict.Next(from), Kind: capture.PacketsLost, Loss: l})
		}
		switch {
		case !w.lost && it.At > from:
			it.At = it.At.Add(w.d)
		case w.lost && it.At > from && it.At < till && it.Kind == capture.PacketSeen:
			continue
		}
		it.At = strict.Next(it.At)
		items = append(items, it)
	}
	return items
}

// alerts plays items and returns what fired, CaptureLoss aside: it is true.
func alerts(t *testing.T, items []capture.Item) (names []string, line *ruletest.Timeline, st pipeline.Stats) {
	t.Helper()
	line = &ruletest.Timeline{}
	p, err := pipeline.New(pipeline.Options{Rules: rules.Default(), Tracker: httpreassembly.Options{Ports: []uint16{14265}}}, line)
	if err != nil {
		t.Fatal(err)
	}
	for i := range items {
		p.Item(&items[i])
	}
	p.Finish(items[len(items)-1].At)
	for _, a := range line.Changes {
		if a.State == detect.Firing && a.Name != "CaptureLoss" && !slices.Contains(names, a.Name) {
			names = append(names, a.Name)
		}
	}
	return names, line, p.Stats()
}

// TestPauseRaisesNothing: honest traffic stays quiet over a pause that is told
// of. Untold it would not: that shows that each row is a trap.
func TestPauseRaisesNothing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		w      paused
		wire   func(*paused)
		untold string // an alert that comes without it
	}{
		{"clock set forward by an hour", paused{from: 60 * second, d: time.Hour}, nil, "CallStalled"},
		{"clock set forward by 12 s", paused{from: 60 * second, d: 12 * second}, nil, "CallStalled"},
		{"stopped for 40 s, the ring overflowed", paused{from: 60 * second, d: 40 * second, lost: true}, nil, "CallStalled"},
		{"stopped for a second", paused{from: 60 * second, d: second, lost: true}, nil, "CallStalled"},
		{"clients about to leave, closed after", paused{from: 60 * second, d: time.Hour}, func(w *paused) {
			for i := range 20 { // half closed, as clients do that read on
				c := w.Open(at(57*second), addr(5000+i), node)
				c.Send(at(57*second+second/10), capture.ToServer, request("getNodeInfo"))
				c.Fin(at(58*second), capture.ToServer)
				c.Send(at(62*second), capture.ToClient, answer)
				c.Fin(at(62*second+second/10), capture.ToClient)
			}
		}, "CloseWaitBuildup"},
		{"connections about to ask", paused{from: 60 * second, d: time.Hour}, func(w *paused) {
			for i := range 60 {
				c := w.Open(at(59*second), addr(6000), node)
				c.Send(at(61*second), capture.ToServer, request("getNodeInfo"))
				c.Send(at(61*second+time.Duration(i+1)*time.Millisecond), capture.ToClient, answer)
				c.Fin(at(63*second), capture.ToClient)
				c.Fin(at(63*second+second/10), capture.ToServer)
			}
		}, "ConnectionFlood"},
		{"requests on their way", paused{from: 60 * second, d: 10 * time.Minute}, func(w *paused) {
			for i := range 30 {
				r := request("getNodeInfo")
				c := w.Open(at(59*second), addr(7000+i), node)
				c.Send(at(59*second+second/2), capture.ToServer, r[:40])
				c.Send(at(61*second), capture.ToServer, r[40:])
				c.Send(at(61*second+second/10), capture.ToClient, answer)
				c.Fin(at(62*second), capture.ToClient)
				c.Fin(at(62*second+second/10), capture.ToServer)
			}
		}, "SlowRequest"},
		{"a node that is being restarted", paused{from: 62 * second, d: time.Hour}, func(w *paused) {
			for i := range 8 {
				w.Syn(at(61*second+time.Duration(i)*100*time.Millisecond), addr(8000+i), node, true)
			}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := tt.w
			end := w.from + 120*second
			if w.lost {
				end += w.d
			}
			w.honest(end - 20*second)
			if tt.wire != nil {
				tt.wire(&w)
			}
			got, line, st := alerts(t, w.items(end, true))
			if len(got) > 0 {
				t.Errorf("%v fired: %+v", got, line.Changes)
			}
			if st.Pauses != 1 || st.Loss.Unwatched != w.d || st.Tracker.Unwatched == 0 {
				t.Errorf("%d pauses of %v, %d connections given up; want 1 of %v and some", st.Pauses, st.Loss.Unwatched, st.Tracker.Unwatched, w.d)
			}
			if untold, _, _ := alerts(t, w.items(end, false)); tt.untold != "" && !slices.Contains(untold, tt.untold) {
				t.Errorf("untold %v fires: no trap for %s", untold, tt.untold)
			}
		})
	}
}

// TestPauseHidesNoStall: a call that hung before a pause shorter than it has
// waited hangs after it, and one that comes after it is seen to hang.
func TestPauseHidesNoStall(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begin time.Duration // of twelve calls that are never answered
		fires time.Duration // at the latest
		gone  bool          // it is said to be over meanwhile
	}{
		{"it hung for longer than the pause lasted", 10 * second, 45 * second, false},
		{"it came after the pause", 95 * second, 130 * second, false},
		{"it came into the pause, and more came after it", 63 * second, 140 * second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := paused{from: 60 * second, d: 20 * second, lost: true}
			w.honest(180 * second)
			for i := range 12 {
				w.call(9000+i, "getTransactionsToApprove", tt.begin+time.Duration(i)*3*second, 0)
			}
			_, line, _ := alerts(t, w.items(200*second, true))
			fired := slices.IndexFunc(line.Changes, func(a detect.Alert) bool { return a.Name == "CallStalled" && a.State == detect.Firing })
			if fired < 0 || line.Changes[fired].At > at(tt.fires) {
				t.Fatalf("not told by %v: %+v", tt.fires, line.Changes)
			}
			over := slices.ContainsFunc(line.Changes, func(a detect.Alert) bool { return a.Name == "CallStalled" && a.State == detect.Resolved })
			if over != tt.gone {
				t.Errorf("over: %v, want %v: %+v", over, tt.gone, line.Changes)
			}
		})
	}
}

// TestPauseEndsDoubtfully: an incident that is not seen again after a pause may
// have ended in it, and that is what is said.
func TestPauseEndsDoubtfully(t *testing.T) {
	w := paused{from: 60 * second, d: time.Hour, lost: true}
	for i := range 12 {
		w.call(9000+i, "getTransactionsToApprove", 20*second, 0)
	}
	end := w.from + w.d + 100*second
	for s := w.from + w.d; s < end; s += second {
		w.call(int(s/second), "getNodeInfo", s, 5*time.Millisecond)
	}
	_, line, _ := alerts(t, w.items(end, true))
	i := slices.IndexFunc(line.Changes, func(a detect.Alert) bool { return a.Name == "CallStalled" && a.State == detect.Resolved })
	if i < 0 || !strings.Contains(line.Changes[i].Why, "a pause of 60 min in which nothing was watched") || line.Changes[i].At < at(w.from+w.d) {
		t.Errorf("%+v", line.Changes)
	}
}
