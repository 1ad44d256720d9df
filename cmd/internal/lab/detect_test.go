package lab

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// firing notes each alert's first firing with a severity, and every message.
type firing struct {
	fired    []Fired
	messages []string
	alerts   []*detect.Alert // those that began to fire
	unread   int             // requests on connections that the server had given up
	dropped  int             // calls that the server broke off
}

func (f *firing) Event(ev *httpreassembly.Event, _ *rules.Verdict) {
	switch {
	case ev.Kind == httpreassembly.Odd && ev.Odd == httpreassembly.RequestUnread:
		f.unread++
	case ev.Kind == httpreassembly.ExchangeDone && (ev.Exchange.Outcome == httpreassembly.ServerClosed || ev.Exchange.Outcome == httpreassembly.ServerReset):
		f.dropped++
	}
}
func (f *firing) Loss(capture.Time, capture.Loss) {}
func (f *firing) Finding(x *detect.Finding) {
	if a := x.Alert; x.Kind == detect.AlertChanged && a.State == detect.Firing {
		f.fired = append(f.fired, Fired{Time: a.At.Std(), Alert: a.Name, Severity: a.Severity, Server: a.Server, Leg: a.Evidence.Leg.Side})
		f.messages = append(f.messages, a.Severity.String()+" "+a.Name)
		f.alerts = append(f.alerts, a)
	}
}

// watchCapture replays a capture, with the host's evidence or without.
func watchCapture(t *testing.T, x *Expectation, host bool) *firing {
	t.Helper()
	return watchWith(t, x, host, detect.Options{})
}

func watchWith(t *testing.T, x *Expectation, host bool, o detect.Options) *firing {
	t.Helper()
	path := filepath.Join(captures, x.Capture+".pcap.zst")
	if host {
		dir := t.TempDir()
		for from, to := range map[string]string{path: x.Capture + ".pcap.zst", filepath.Join(captures, x.Capture+".truth.jsonl"): x.Capture + ".host.jsonl"} {
			b, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, to), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		path = filepath.Join(dir, x.Capture+".pcap.zst")
	}
	src, err := replay.Open([]string{path}, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ports := x.Ports
	if len(ports) == 0 {
		ports = []uint16{nodePort}
	}
	var f firing
	pipe, err := pipeline.New(pipeline.Options{Rules: rules.Default(), Detect: o, Tracker: httpreassembly.Options{Ports: ports, Perimeter: x.Perimeter}}, &f)
	if err != nil {
		t.Fatal(err)
	}
	var it capture.Item
	for {
		if err := src.Next(&it); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pipe.Item(&it)
	}
	pipe.Finish(it.At)
	return &f
}

// hasHost reports whether the truth of a capture is of one process, and so can
// stand for the host's evidence.
func hasHost(x *Expectation) bool {
	return !strings.Contains(x.Capture, "proxy") && !strings.Contains(x.Capture, "pool") && len(x.Ports) == 0 &&
		!strings.HasPrefix(x.Capture, "slowhttptest_read") && !strings.HasPrefix(x.Capture, "curl") && !strings.HasPrefix(x.Capture, "wrk")
}

// TestCaptures holds the detectors to the table: each attack raises its alert
// within its deadline, and honest traffic raises nothing.
func TestCaptures(t *testing.T) {
	for _, x := range Expectations() {
		for _, host := range []bool{false, true} {
			name := x.Capture
			if host {
				if !hasHost(&x) {
					continue
				}
				name += "/host"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ev, first, _ := committed(t, x.Capture)
				f := watchCapture(t, &x, host)
				for _, wrong := range x.Judge(&ev, first, f.fired, host) {
					t.Error(wrong)
				}
				if strings.HasPrefix(x.Capture, "honest") && len(f.messages) > 0 {
					t.Errorf("honest traffic raised %q, want nothing at all", f.messages)
				}
				if x.Capture == "iri2018" && len(f.messages) > 5 {
					t.Errorf("the attack of 2018 took %d messages, want at most 5: %q", len(f.messages), f.messages)
				}
			})
		}
	}
}

// TestForecastLead: on attacks that end without descriptors, the first forecast
// comes with at least half of the time from the attack to that end left.
func TestForecastLead(t *testing.T) {
	for _, x := range Expectations() {
		for _, w := range x.Want {
			if w.Alert != "DescriptorExhaustion" || w.Before != HalfWay {
				continue
			}
			t.Run(x.Capture, func(t *testing.T) {
				ev, first, _ := committed(t, x.Capture)
				start := x.start(&ev, first)
				half := ev.Play.EMFILE.Sub(start) / 2
				for _, f := range watchCapture(t, &x, true).fired {
					if f.Alert != w.Alert {
						continue
					}
					if after := f.Time.Sub(start); after > half {
						t.Errorf("the forecast came after %s of %s", after.Round(time.Second), 2*half.Round(time.Second))
					}
					return
				}
				t.Error("no forecast")
			})
		}
	}
}

// TestPreamble: the PROXY protocol names the attackers where HAProxy is
// trusted; where it is not, an alert names HAProxy itself, since anybody can
// send a preamble.
func TestPreamble(t *testing.T) {
	attackers := []netip.Addr{netip.MustParseAddr("127.0.66.1"), netip.MustParseAddr("127.0.66.2")}
	for _, tt := range []struct {
		name, capture string
		trusted       string // "": the default, loopback's own address
		want          []netip.Addr
	}{
		{"version 1 of a trusted peer", "proxy_v1", "", attackers},
		{"version 2 of a trusted peer", "proxy_v2", "", attackers},
		{"version 1 of a stranger", "proxy_v1", "192.0.2.0/24", []netip.Addr{nodeAddr.Addr()}},
		{"version 2 of a stranger", "proxy_v2", "192.0.2.0/24", []netip.Addr{nodeAddr.Addr()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var o detect.Options
			if tt.trusted != "" {
				o.Trusted = []netip.Prefix{netip.MustParsePrefix(tt.trusted)}
			}
			f := watchWith(t, &Expectation{Capture: tt.capture}, false, o)
			seen := false
			for _, a := range f.alerts {
				if a.Name != "CallStalled" && a.Name != "SuspectParameters" {
					continue
				}
				seen = seen || a.Name == "CallStalled"
				for _, c := range a.Evidence.Clients {
					if !slices.Contains(tt.want, c.Client.Addr()) {
						t.Errorf("%s names %s, want none but %v", a.Name, c.Client, tt.want)
					}
				}
				for _, c := range a.Evidence.Calls {
					if !slices.Contains(tt.want, c.Client.Addr()) {
						t.Errorf("a call of %s is of %s, want none but %v", a.Name, c.Client, tt.want)
					}
				}
				if len(a.Evidence.Clients) == 0 || len(a.Evidence.Calls) == 0 {
					t.Errorf("%s names nobody", a.Name)
				}
			}
			if !seen {
				t.Errorf("no CallStalled among %q", f.messages)
			}
		})
	}
}

// TestBlindWords: what makes the monitor blind is told with what helps.
func TestBlindWords(t *testing.T) {
	for _, tt := range []struct {
		capture     string
		host        bool
		cause, cure string
	}{
		{"blind_tls", false, "its clients speak TLS", "the leg between the proxy that ends TLS and the node"},
		{"blind_to_node", false, "only what clients send is captured", "capture both directions: the answers leave by another interface"},
		{"blind_from_node", false, "only what it sends is captured", "capture both directions: the requests come by another interface"},
		{"blind_interface", true, "its kernel has new connections of which no packet was captured", "capture on the interface that they come by"},
	} {
		t.Run(tt.capture, func(t *testing.T) {
			f := watchCapture(t, &Expectation{Capture: tt.capture}, tt.host)
			if len(f.alerts) != 1 || f.alerts[0].Name != "CaptureBlind" {
				t.Fatalf("got %q, want CaptureBlind alone", f.messages)
			}
			if got := f.alerts[0].Summary; !strings.Contains(got, tt.cause) || !strings.Contains(got, tt.cure) {
				t.Errorf("got %q, want %q and %q in it", got, tt.cause, tt.cure)
			}
		})
	}
}

// TestExpired: every call that a client had to make again, because the server
// had given up the connection, is told as such, and none as broken off.
func TestExpired(t *testing.T) {
	x := Expectation{Capture: "honest_expired"}
	ev, _, _ := committed(t, x.Capture)
	var calls, again, lost int
	if _, err := fmt.Sscanf(ev.Marks[0].What, "%d of %d calls were made a second time, %d were lost", &again, &calls, &lost); err != nil || again < 10 || lost != 0 {
		t.Fatalf("the clients said %q (%v), want some calls made again and none lost", ev.Marks[0].What, err)
	}
	if f := watchCapture(t, &x, false); f.unread != again || f.dropped != 0 {
		t.Errorf("%d requests were not read and %d were broken off, but the clients made %d calls again", f.unread, f.dropped, again)
	}
}

// TestLateStart: what stood before the capture began is told beside what came
// on the wire, and neither is counted twice.
func TestLateStart(t *testing.T) {
	f := watchCapture(t, &Expectation{Capture: "late_start"}, true)
	i := slices.IndexFunc(f.alerts, func(a *detect.Alert) bool { return a.Name == "CloseWaitBuildup" })
	if i < 0 {
		t.Fatalf("no CloseWaitBuildup among %q", f.messages)
	}
	a := f.alerts[i]
	if a.Value != 46 || a.Evidence.CloseWait != 6 || a.Evidence.CloseWaitKernel != 46 || !strings.Contains(a.Why, "of which 40 stood before the capture saw them") {
		t.Errorf("got %g sockets, %d on the wire, %d in the kernel, %q; want 46, 6, 46, 40 of them standing", a.Value, a.Evidence.CloseWait, a.Evidence.CloseWaitKernel, a.Why)
	}
}
