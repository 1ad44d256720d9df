package status

import (
	"fmt"
	"net/netip"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/metrics"
	"stallwatch/cmd/internal/notify"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
)

// Scenes are what a pipeline tells, at times of their own: the page of each
// is a golden file.

var noon = time.Date(2018, 1, 25, 12, 0, 0, 0, time.UTC)

const sec = time.Second

var (
	iri   = netip.MustParseAddrPort("192.0.2.1:14265")
	proxy = netip.MustParseAddrPort("192.0.2.1:80")
)

// scene is a Status with a clock that moves by hand.
type scene struct {
	*Status
	now    time.Time
	health metrics.Health
	stats  pipeline.Stats
	snap   detect.Snapshot
	asked  uint64
}

func newScene(o Options) *scene {
	s := &scene{now: noon, health: metrics.Health{Status: "ok"}}
	o.Build, o.Rules = "stallwatch 0.1.0 go1.26 linux/amd64", "0123456789abcdef"
	if o.Instance == "" {
		o.Instance = "node-1"
	}
	o.Interfaces, o.Ports = []string{"any"}, []uint16{14265}
	o.Now = func() time.Time { return s.now }
	o.Health = func() metrics.Health { return s.health }
	s.Status = New(o)
	return s
}

// second lets a second go by and publishes nodes. Node.Calls is how many
// there were since the last time.
func (s *scene) second(nodes ...detect.Node) {
	s.now = s.now.Add(sec)
	s.snap.At = capture.At(s.now)
	s.snap.Nodes = s.snap.Nodes[:0]
	for _, n := range nodes {
		s.asked += n.Calls
		n.Calls = s.asked
		s.snap.Nodes = append(s.snap.Nodes, n)
		s.stats.Tracker.Conns[httpreassembly.StateOpen] = n.Connections - n.CloseWait
		s.stats.Tracker.Conns[httpreassembly.StateHalfClosed] = n.CloseWait
	}
	s.stats.Packets += 40
	s.stats.Bytes += 9000
	s.stats.Last = s.snap.At.Add(-300 * time.Millisecond)
	s.Publish(s.stats, &s.snap)
}

func (s *scene) sees(fds int) {
	sample := &capture.Sample{PID: 4711, Process: "java", FDs: fds, FDLimit: 4096, Listen: []capture.Backlog{{Queue: 3, Max: 128}}}
	sample.Sockets[capture.Established], sample.Sockets[capture.CloseWait], sample.Sockets[capture.Listen] = 12, 40, 1
	s.Sampled(sample)
}

func (s *scene) alert(name string, state detect.State, sev detect.Severity, change func(*detect.Alert)) {
	at := capture.At(s.now)
	a := &detect.Alert{At: at, State: state, Name: name, Severity: sev, Subject: iri.String(), Since: at, Server: iri, Confidence: 1,
		Summary: name + " on " + iri.String(), Why: "17 of 16 (fires at 16)", Evidence: detect.Evidence{CloseWait: -1, CloseWaitKernel: -1, Unaccepted: -1, FDs: -1, FDLimit: -1}}
	if change != nil {
		change(a)
	}
	s.Finding(&detect.Finding{At: at, Kind: detect.AlertChanged, Alert: a})
}

func onHost(n detect.Node, fds int) detect.Node {
	n.Host, n.CloseWaitKernel, n.Unaccepted, n.FDs, n.FDLimit = true, n.CloseWait, 0, fds, 4096
	return n
}

func healthy(s *scene) {
	s.sees(100)
	for i := range 90 {
		s.second(onHost(detect.Node{Server: iri, Connections: 12, Calls: uint64(10 + i%7), InFlight: i % 3, Oldest: time.Duration(i%3) * 40 * time.Millisecond}, 100+i%5))
	}
}

func client(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i%4)}), uint16(40000+i))
}

// attack is that of 2018: calls hang, clients leave, descriptors run out.
func attack(s *scene) {
	healthy(s)
	begun := s.now
	for i := range 60 {
		if i == 2 {
			s.alert("SuspectParameters", detect.Firing, detect.Warning, nil)
		}
		if i == 30 {
			s.alert("CallStalled", detect.Firing, detect.Warning, func(a *detect.Alert) {
				a.Subject += " getTransactionsToApprove"
				a.Command, a.Client = "getTransactionsToApprove", detect.ClientOf(client(0).Addr())
				a.Summary = "60 calls of getTransactionsToApprove in flight on 192.0.2.1:14265, the oldest unanswered for 30 s"
				a.Evidence.Clients = []detect.ClientCount{{Client: detect.ClientOf(client(0).Addr()), N: 50}, {Client: detect.ClientOf(client(1).Addr()), N: 10}}
				a.Evidence.Calls = []detect.CallRef{{Client: client(0), Command: a.Command, Shape: "depth=15 reference(81)", Age: 30 * sec, Verdict: detect.CauseGone}}
			})
		}
		if i == 45 {
			s.alert("DescriptorExhaustion", detect.Firing, detect.Critical, func(a *detect.Alert) {
				a.Summary = "192.0.2.1:14265 has 1900 of 4096 descriptors open; at the present growth they run out in 55 s"
			})
			s.alert("SuspectParameters", detect.Resolved, detect.Warning, func(a *detect.Alert) {
				a.Since = capture.At(begun.Add(2 * sec))
				a.Summary = "SuspectParameters on 192.0.2.1:14265 is over after 43 s; at worst 9 calls"
			})
		}
		s.snap.Calls = s.snap.Calls[:0]
		for k := range min(2*i, detect.MaxOpenCalls) {
			since := begun.Add(time.Duration(k) * 500 * time.Millisecond)
			s.snap.Calls = append(s.snap.Calls, detect.OpenCall{Server: iri, CallRef: detect.CallRef{Conn: httpreassembly.ConnID(since.UnixNano()), Depth: 1,
				Client: client(k), From: client(k), Command: "getTransactionsToApprove", Shape: "depth=15 reference(81)",
				Since: capture.At(since), Age: s.now.Add(sec).Sub(since), Verdict: detect.CauseApp}})
		}
		n := onHost(detect.Node{Server: iri, Connections: 12 + 2*i, Calls: 12, InFlight: 2*i + i/20, Doubted: i / 20, Oldest: time.Duration(i+1) * sec, CloseWait: i}, 100+40*i)
		n.ETA, n.ETALow, n.ETAHigh, n.HasETA = time.Duration(100-i)*sec, time.Duration(90-i)*sec, time.Duration(130-i)*sec, i > 40
		s.sees(100 + 40*i)
		s.second(n)
	}
	s.now = s.now.Add(700 * time.Millisecond) // the page is asked for between two snapshots
}

func dead(s *scene) {
	healthy(s)
	s.Sampled(&capture.Sample{Err: "nothing on this machine listens on TCP port 14265"})
	s.snap.Calls = nil
	s.second(detect.Node{Server: iri})
	s.alert("NodeDown", detect.Firing, detect.Critical, func(a *detect.Alert) {
		a.Summary = "192.0.2.1:14265 refuses connections since 2.5 s: the process is gone; 3 calls in flight when it went"
	})
	for range 20 {
		s.second(detect.Node{Server: iri})
	}
}

// gone is a node that is away before anybody asked it: no alert fires.
func gone(s *scene) {
	healthy(s)
	s.Sampled(&capture.Sample{Err: "nothing on this machine listens on TCP port 14265"})
	s.second(detect.Node{Server: iri})
}

// untold is a node that is well, while nobody is told.
func untold(s *scene) {
	healthy(s)
	s.Receivers(func() (uint64, []metrics.Receiver) {
		return 2, []metrics.Receiver{{Name: "discord", Sent: 1204, Failed: 3, Queue: 0}, {Name: "oncall", Sent: 7, Failed: 1, Queue: 4, Dropped: 9, Stopped: true}}
	})
	s.Records(func() metrics.RecordStats {
		return metrics.RecordStats{Failing: true, Dropped: 31_000, Failures: 4, Waiting: 8 << 20}
	})
	n := onHost(detect.Node{Server: iri, Connections: 40, Calls: 12}, 200)
	n.ETA, n.ETALow, n.HasETA = 300*sec, 120*sec, true
	s.second(n)
}

func noNode(s *scene) {
	s.Sampled(&capture.Sample{Err: "nothing on this machine listens on TCP port 14265"})
	s.snap.At = capture.At(s.now)
	s.Publish(s.stats, &s.snap)
	s.now = s.now.Add(7 * sec)
}

func nothingYet(s *scene) {
	s.sees(60)
	s.snap.At = capture.At(s.now)
	s.Publish(s.stats, &s.snap)
	s.now = s.now.Add(3 * sec)
}

func starting(s *scene) {
	s.health = metrics.Health{Status: "degraded", Reasons: []string{"nothing was published yet: the capture is starting"}}
}

func stuck(s *scene) {
	healthy(s)
	s.now = s.now.Add(40 * sec)
	s.health = metrics.Health{Status: "degraded", Reasons: []string{"the analysis has not moved for 40 s"}}
}

func idle(s *scene) {
	healthy(s)
	for range 400 {
		s.second(onHost(detect.Node{Server: iri, Connections: 3}, 90))
	}
}

// bothLegs is a proxy with its node, each with its own state, and an alert
// about the capture.
func bothLegs(s *scene) {
	for i := range 30 {
		s.second(onHost(detect.Node{Server: iri, Connections: 40, Calls: 5, InFlight: i, Oldest: time.Duration(i) * sec, CloseWait: 2}, 80),
			detect.Node{Server: proxy, Connections: 60, Calls: 5, InFlight: 1, Oldest: sec})
	}
	s.alert("CaptureLoss", detect.Firing, detect.Info, func(a *detect.Alert) {
		a.Server, a.Subject, a.Summary = netip.AddrPort{}, "capture", "0.4 % of the packets of the last minute were lost"
	})
	s.alert("CallStalled", detect.Firing, detect.Warning, func(a *detect.Alert) {
		a.Evidence.Leg = detect.Leg{Side: detect.NodeLeg, Proxy: proxy, Node: iri, Leaks: true, Paired: 20}
	})
	s.snap.Calls = []detect.OpenCall{{Server: iri, CallRef: detect.CallRef{Conn: 7, Depth: 2, Client: client(1), From: proxy, Command: "getTransactionsToApprove",
		Since: capture.At(s.now.Add(-29 * sec)), Age: 29 * sec, Verdict: detect.CauseHost}}}
	s.stats.Loss = capture.Loss{Kernel: 30}
	s.stats.Tracker.EvictedIdle, s.stats.Tracker.GapBytes = 12, 4096
	s.second(onHost(detect.Node{Server: iri, Connections: 40, Calls: 5, InFlight: 30, Oldest: 30 * sec}, 80), detect.Node{Server: proxy, Connections: 60, Calls: 5})
}

// hostileWord is what an attacker would write.
func hostileWord(n int) string {
	word := "</style></title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202egnp.exe\x1b[2J\x00\xff{{.}}`"
	for len(word) < n {
		word += word
	}
	return word[:max(n, 120)]
}

// hostile puts it wherever a text may come from the wire, the host, or a rule
// file.
func hostile(s *scene) {
	word := hostileWord(10_000)
	for i := range 40 {
		s.alert(fmt.Sprint(word[:90], i), detect.Firing, detect.Critical, func(a *detect.Alert) {
			a.Subject, a.Command, a.Summary, a.Why, a.Unit = fmt.Sprint(i, word), word, word, word, word
			a.Client = detect.ClientOf(netip.MustParseAddr("fe80::1").WithZone(word))
			a.Evidence.Calls = []detect.CallRef{{Client: netip.AddrPortFrom(a.Client.Addr().WithZone(word), 1), Command: word, Raw: word, Shape: word, Verdict: detect.Cause(word), Age: sec}}
			a.Evidence.Clients = []detect.ClientCount{{Client: a.Client, N: 4}}
		})
		s.alert(fmt.Sprint(word[:90], i), detect.Resolved, detect.Critical, func(a *detect.Alert) { a.Subject, a.Summary = word, word })
	}
	for range detect.MaxOpenCalls {
		s.snap.Calls = append(s.snap.Calls, detect.OpenCall{Server: netip.AddrPortFrom(netip.MustParseAddr("fe80::2").WithZone(word), 1),
			CallRef: detect.CallRef{Client: netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone(word), 1), Command: word, Raw: word, Shape: word, Verdict: detect.Cause(word)}})
	}
	s.Sampled(&capture.Sample{PID: 1, Process: word})
	s.second(onHost(detect.Node{Server: iri, InFlight: 50}, 9))
	s.Sampled(&capture.Sample{Err: word})
}

var scenes = []struct {
	name  string
	play  func(*scene)
	o     Options
	state string
}{
	{"healthy", healthy, Options{}, Fine},
	{"attack", attack, Options{Proxy: "haproxy", Node: "iri", Links: notify.Links{Runbook: "https://node.example/runbook"}}, Critical},
	{"dead", dead, Options{}, Critical},
	{"gone", gone, Options{}, Warning},
	{"untold", untold, Options{}, Warning},
	{"no_node", noNode, Options{}, Unknown},
	{"nothing_yet", nothingYet, Options{}, Idle},
	{"starting", starting, Options{}, Unknown},
	{"stuck", stuck, Options{}, Unknown},
	{"idle", idle, Options{}, Idle},
	{"both_legs", bothLegs, Options{}, Warning},
}
