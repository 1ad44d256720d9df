package detect

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/decode"
	"stallwatch/capture/replay"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// TestPairsOfRealProxies: nginx and HAProxy say for whom they ask. Without
// that header, by contents and order alone, the same clients must come out,
// on pooled connections, with retries, and while the node hangs and dies.
func TestPairsOfRealProxies(t *testing.T) {
	for _, row := range []struct {
		name  string
		ports []uint16
		alone int // calls at most that are not paired
	}{
		{"nginx_proxy", []uint16{14265, 14267}, 10},
		{"haproxy_proxy", []uint16{14265, 14267}, 10},
		{"honest_pool", []uint16{14265, 14267, 14268}, 70}, // all of HAProxy's ask for one thing: that proves nothing
	} {
		t.Run(row.name, func(t *testing.T) {
			e, err := New(Options{Rules: rules.Default()})
			if err != nil {
				t.Fatal(err)
			}
			right, without := 0, 0
			eachEvent(t, "../testdata/captures/"+row.name+".pcap.zst", row.ports, everyPacket, func(ev *httpreassembly.Event, v *rules.Verdict) {
				if ev.Kind != httpreassembly.RequestSeen || len(ev.Exchange.ForwardedFor) == 0 {
					e.Observe(nil, ev, v)
					return
				}
				said := netip.MustParseAddr(string(ev.Exchange.ForwardedFor))
				unsaid := *ev.Exchange.Head
				unsaid.ForwardedFor = nil
				ev.Exchange.Head = &unsaid
				e.Observe(nil, ev, v)
				switch client, known := clientBehind(e.view.legs.find(ev.Exchange)); {
				case !known:
					without++
				case client == said:
					right++
				default:
					t.Errorf("%s: a call for %s was taken for one of %s", ev.At, said, client)
				}
			})
			if right < 200 || without > row.alone {
				t.Errorf("%d calls were paired, %d were not", right, without)
			}
			t.Logf("%d calls paired, %d before the proxy was proven or not at all", right, without)
		})
	}
}

// TestLegsOfDamagedCaptures: packets are missing, or the capture begins in the
// middle of the attack; the stall is the node's all the same, and nobody
// else's.
func TestLegsOfDamagedCaptures(t *testing.T) {
	for _, name := range []string{"nginx_proxy", "haproxy_proxy", "nginx_gives_up"} {
		for _, row := range []struct {
			damage string
			loss   float64
			skip   time.Duration
		}{{"one in a hundred is lost", 0.01, 0}, {"five in a hundred are lost", 0.05, 0}, {"the first 18 s are missing", 0, 18 * second}} {
			t.Run(name+", "+row.damage, func(t *testing.T) {
				e, err := New(Options{Rules: rules.Default()})
				if err != nil {
					t.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(1, 2))
				var begun capture.Time
				keep := func(at capture.Time) bool {
					if begun == 0 {
						begun = at
					}
					return at.Sub(begun) >= row.skip && rng.Float64() >= row.loss
				}
				var out []Finding
				eachEvent(t, "../testdata/captures/"+name+".pcap.zst", []uint16{14265, 14267}, keep, func(ev *httpreassembly.Event, v *rules.Verdict) {
					out = e.Observe(out, ev, v)
				})
				stalls := 0
				for _, f := range out {
					if f.Kind != AlertChanged || f.Alert.Name != "CallStalled" {
						continue
					}
					stalls++
					if a := f.Alert; a.Server.Port() != 14265 || a.Evidence.Leg.Side != NodeLeg || 10*a.Evidence.Leg.Paired < 6*a.Evidence.InFlight {
						t.Errorf("%s: %s, leg %+v of %d in flight", f.At, a.Summary, a.Evidence.Leg, a.Evidence.InFlight)
					}
				}
				if stalls == 0 {
					t.Error("nothing stalled")
				}
			})
		}
	}
}

func everyPacket(capture.Time) bool { return true }

// eachEvent reads a capture and tells what happened in it, by the packets that
// are to be kept.
func eachEvent(t *testing.T, path string, ports []uint16, keep func(capture.Time) bool, tell func(*httpreassembly.Event, *rules.Verdict)) {
	t.Helper()
	src, err := replay.Open([]string{path}, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	set := rules.Default()
	dec, tracker := decode.New(decode.Options{}), httpreassembly.New(httpreassembly.Options{Ports: ports})
	verdicts := make(map[exchangeID]*rules.Verdict)
	var events []httpreassembly.Event
	var it capture.Item
	for {
		if err := src.Next(&it); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		var s capture.Segment
		if it.Kind != capture.PacketSeen || !keep(it.At) || !dec.Segment(&it.Packet, it.At, &s) {
			continue
		}
		events = tracker.Segment(events[:0], &s)
		for i := range events {
			x := events[i].Exchange
			if x == nil {
				tell(&events[i], nil)
				continue
			}
			id := exchangeID{x.Conn, x.Depth}
			if events[i].Kind == httpreassembly.RequestSeen {
				verdicts[id] = &rules.Verdict{}
				set.Judge(verdicts[id], &rules.Request{Method: x.Method, Target: x.Target, ContentType: x.ContentType,
					ContentEncoding: x.ContentEncoding, Body: x.Body, BodyBytes: x.RequestBody})
			}
			tell(&events[i], verdicts[id])
		}
		tracker.Recycle()
	}
}
