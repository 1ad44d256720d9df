package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"stallwatch/cmd/internal/demo"
	"stallwatch/detect"
)

// Expectation is what stallwatch must say of a capture, and what else it may
// say. Any other alert of severity warning or critical is a false one; those of
// severity info are not judged.
type Expectation struct {
	Capture string // name of the scenario
	// Start is the attack's, counted from the first packet, where events.json
	// has none.
	Start   time.Duration
	Ports   []uint16 // those to be watched; none: IRI's, 14265
	Healthy uint16   // the port of a node of which no alert may tell; 0: none
	// Leaks is the side of the proxy, both of which are captured, on which
	// sockets are left over; calls stall on the node's side only. NoLeg: the
	// sides are not looked at.
	Leaks     detect.LegSide
	Perimeter bool     // ports nobody serves and that of SSH must be watched too
	Want      []Want   // none: honest traffic, or tests of a parser
	May       []string // alerts that are true as well, whenever they come
}

// Want is an alert that must fire.
type Want struct {
	Alert    string          // a name of the closed list
	AtLeast  detect.Severity // reached within the deadline
	Within   time.Duration   // the deadline, after the attack's start
	Before   Event           // and not after this, unless Whenever
	NeedHost bool            // needs the host's evidence: NAME.truth.jsonl as NAME.host.jsonl
}

// Event is an instant of a capture that an alert must not come after.
type Event uint8

// The events. HalfWay is the middle between the attack's start and the instant
// at which the node has no descriptor left.
const (
	Whenever     Event = iota
	FirstFailure       // an honest call that failed began
	HalfWay
	EMFILE
)

// Thresholds of production, as the deadlines below count on them: what a call,
// a half-closed socket, a silent connection, a request or a reader is given,
// and by how much an alert may come after its condition holds.
const (
	given = 30 * time.Second
	grace = 2 * time.Second
)

// Expectations has a line for each capture, in the order of Scenarios.
//
// A deadline is the instant at which the condition of the alert holds for the
// first time by the thresholds above and the capture's own pace, and grace.
func Expectations() []Expectation {
	const info, warning, critical = detect.Info, detect.Warning, detect.Critical
	s := func(n float64) time.Duration { return time.Duration(n*float64(time.Second)) + grace }
	// The attack makes 1.9 calls a second and each client leaves after 3 s:
	// three calls hang for their time after 1.1 s more, five are half closed
	// for that long after 3 s and 2.1 s more.
	attack := []Want{
		{"CallStalled", warning, given + s(1.1), FirstFailure, false},
		{"CloseWaitBuildup", warning, given + s(3+2.1), FirstFailure, false},
		{"DescriptorExhaustion", warning, s(19), HalfWay, true},
	}
	consequences := []string{"NodeUnresponsive", "NodeDown", "AcceptQueueFull", "SuspectParameters", "LatencyRegression"}
	onNode := attack[:2]
	bothPorts := []uint16{nodePort, proxyPort}
	return []Expectation{
		{Capture: "iri2018", Want: attack, May: consequences},
		// The lock group hangs at once, and the node is dead after 19.5 s: only
		// the budget of its ordinary members is shorter than that.
		{Capture: "iri2018_monitor", Want: []Want{{"CallStalled", warning, s(12), EMFILE, false}},
			May: append([]string{"CloseWaitBuildup", "DescriptorExhaustion"}, consequences...)},
		{Capture: "iri2018_netns", Want: attack, May: consequences},
		{Capture: "honest_mix"},
		{Capture: "nginx_proxy", Ports: bothPorts, Leaks: detect.NodeLeg, Want: onNode, May: append([]string{"DescriptorExhaustion"}, consequences...)},
		// HAProxy keeps both sides open: no CLOSE_WAIT on the node's leg, on its
		// own there is.
		{Capture: "haproxy_proxy", Ports: bothPorts, Leaks: detect.FrontLeg, Want: onNode, May: append([]string{"DescriptorExhaustion"}, consequences...)},
		// nginx leaves the node after 8 s, and the pool is full soon after five
		// of those have aged.
		{Capture: "nginx_gives_up", Ports: bothPorts, Leaks: detect.NodeLeg, Want: []Want{onNode[0], {"CloseWaitBuildup", warning, given + s(8+2.1), EMFILE, false}},
			May: append([]string{"DescriptorExhaustion"}, consequences...)},
		// Two wallets a second, some of which keep their connection.
		{Capture: "proxy_leaks", Ports: bothPorts, Leaks: detect.FrontLeg, Want: []Want{{"CloseWaitBuildup", warning, given + s(3), Whenever, false}}},
		{Capture: "curl_mix", May: []string{"OversizedRequest", "MalformedRequests", "AdminCommand", "SuspectParameters"}},
		{Capture: "wrk_load", May: []string{"RequestFlood"}},
		{Capture: "slowhttptest_headers", Start: 3 * time.Second, Want: []Want{{"SlowRequest", warning, given + s(1), Whenever, false}}},
		// The node reads bodies inside its workers: honest calls hang from the
		// first second on.
		{Capture: "slowhttptest_body", Start: 3 * time.Second, Want: []Want{{"SlowRequest", warning, given + s(1), Whenever, false}},
			May: append([]string{"CallStalled", "CloseWaitBuildup", "DescriptorExhaustion", "ConnectionFlood"}, consequences...)},
		{Capture: "slowhttptest_read", Want: []Want{{"SlowReader", warning, given + s(2), Whenever, false}}},

		// Three calls after 7 s, five half closed after 3 s and 14 s. What fills
		// the descriptors in the end is the queue behind a full pool.
		{Capture: "slow_ramp", Want: []Want{
			{"CallStalled", warning, given + s(7), FirstFailure, false},
			{"CloseWaitBuildup", warning, given + s(3+14), FirstFailure, false},
			{"DescriptorExhaustion", warning, s(63), EMFILE, true},
		}, May: consequences},
		{Capture: "distributed", Want: attack, May: consequences},
		// Two calls a second; what a client resets is in no socket table, and
		// CLOSE_WAIT never appears.
		{Capture: "reset_clients", Want: []Want{
			{"CallStalled", warning, given + s(1), FirstFailure, false},
			{"DescriptorExhaustion", warning, s(20), HalfWay, true},
		}, May: append([]string{"CloseWaitBuildup"}, consequences...)},
		// Descriptors grow by 2.2 a second from idle connections; nothing hangs.
		{Capture: "leak_keepalive", Want: []Want{{"DescriptorExhaustion", warning, s(22), HalfWay, true}}, May: append([]string{"ConnectionFlood"}, consequences...)},
		{Capture: "conn_flood", Want: []Want{
			{"ConnectionFlood", warning, given + s(1), FirstFailure, false},
			{"DescriptorExhaustion", warning, s(44), EMFILE, true},
		}, May: consequences},
		{Capture: "syn_flood", Want: []Want{{"SynFlood", warning, s(3.4), Whenever, false}}, May: []string{"AcceptQueueFull"}},
		// 250 SYNs take 2.8 s, those that are dropped are counted half a second later.
		{Capture: "syn_drops", Want: []Want{{"SynFlood", warning, s(4.3), Whenever, false}}, May: []string{"AcceptQueueFull"}},
		// Three connections a second fill 33 places in 11 s.
		{Capture: "accept_queue", Want: []Want{
			{"NodeUnresponsive", warning, s(12), Whenever, false},
			{"AcceptQueueFull", warning, s(16), Whenever, false},
		}, May: append([]string{"CallStalled", "CloseWaitBuildup"}, consequences...)},
		{Capture: "pow_burst", Want: []Want{{"PowAbuse", warning, s(1.1), Whenever, false}}},
		// The first command that is not refused comes after 6 s.
		{Capture: "admin_probe", Want: []Want{{"AdminCommand", info, s(0), Whenever, false}, {"AdminCommand", critical, s(6), Whenever, false}}},
		{Capture: "oversized", Want: []Want{{"OversizedRequest", warning, s(0), Whenever, false}}, May: []string{"SuspectParameters"}},
		{Capture: "request_flood", Want: []Want{{"RequestFlood", warning, s(5), Whenever, false}}},
		{Capture: "malformed", Want: []Want{{"MalformedRequests", warning, s(5), Whenever, false}}},
		// Ten names after 5 s, but some of the first are commands of other nodes.
		{Capture: "random_commands", Want: []Want{{"UnknownCommands", warning, s(8), Whenever, false}}, May: []string{"MalformedRequests"}},
		{Capture: "port_scan", Perimeter: true, Want: []Want{{"PortScan", warning, s(1.6), Whenever, false}}, May: []string{"SynFlood", "LoginProbe"}},
		{Capture: "suspect_parameters", Want: []Want{{"SuspectParameters", info, s(10), Whenever, false}}, May: []string{"SuspectParameters", "OversizedRequest", "PowAbuse"}},
		{Capture: "flood_ipv6", Want: []Want{{"RequestFlood", warning, s(5), Whenever, false}}, May: []string{"ConnectionFlood"}},
		// Three calls after 5 s; the pool of the second node is full after 38 s.
		{Capture: "two_nodes", Ports: []uint16{nodePort, secondPort}, Healthy: nodePort, Want: []Want{{"CallStalled", warning, given + s(5), FirstFailure, false}},
			May: append([]string{"CloseWaitBuildup"}, consequences...)},
		{Capture: "login_probe", Perimeter: true, Want: []Want{{"LoginProbe", warning, s(15), Whenever, false}}},
		{Capture: "kill_restart", Want: []Want{{"NodeDown", warning, s(2), Whenever, false}, {"NodeRestarted", info, s(5), Whenever, false}},
			May: []string{"NodeRestarted", "SuspectParameters"}},
		// From the eleventh minute on ten ask, and each is answered after 3 s: of the
		// last 32 answers most are so slow after 17 of them.
		{Capture: "slower", Start: 11 * time.Minute, Want: []Want{{"LatencyRegression", warning, s(3 + 17*0.3), Whenever, false}}},
		// Five connections take three seconds, and five more than one that ends at
		// the same time somewhat longer.
		{Capture: "blind_tls", Want: []Want{{"CaptureBlind", warning, s(3), Whenever, false}}},
		{Capture: "blind_to_node", Want: []Want{{"CaptureBlind", warning, s(3), Whenever, false}}},
		{Capture: "blind_from_node", Want: []Want{{"CaptureBlind", warning, s(3), Whenever, false}}},
		{Capture: "blind_interface", Want: []Want{{"CaptureBlind", warning, s(8), Whenever, true}}},
		// The first big answer comes after 2 s, and a hole is one after a second.
		{Capture: "lossy", Start: 2 * time.Second, Want: []Want{{"CaptureLoss", warning, s(3), Whenever, false}}},
		// The capture begins 30 s after the attack: what it finds standing is
		// enough to count after 10 s, what comes then is seen on the wire.
		{Capture: "late_start", Want: []Want{
			{"CloseWaitBuildup", warning, given + s(10+1), Whenever, true},
			{"CallStalled", warning, given + given + s(2+2), Whenever, false},
		}, May: consequences},
		// Three calls after 1.6 s.
		{Capture: "proxy_v1", Want: []Want{{"CallStalled", warning, given + s(1.6), Whenever, false}}, May: append([]string{"CloseWaitBuildup"}, consequences...)},
		{Capture: "proxy_v2", Want: []Want{{"CallStalled", warning, given + s(1.6), Whenever, false}}, May: append([]string{"CloseWaitBuildup"}, consequences...)},

		{Capture: "honest_slow"}, {Capture: "honest_restart"}, {Capture: "honest_rush"}, {Capture: "honest_checks"}, {Capture: "honest_idle"}, {Capture: "honest_aborts"},
		{Capture: "honest_expired"}, {Capture: "honest_pool", Ports: []uint16{nodePort, proxyPort, 14268}}, {Capture: "honest_big_answers"}, {Capture: "honest_growth"}, {Capture: "honest_pause"}, {Capture: "honest_half_close"},
	}
}

// Fired is an alert as a run of stallwatch told of it: its first firing with
// this severity.
type Fired struct {
	Time     time.Time
	Alert    string
	Severity detect.Severity
	Server   netip.AddrPort // of whom it tells; zero: of none
	Leg      detect.LegSide // of a proxy, where both are captured
}

// Judge holds what fired in a capture against what was expected of it and
// returns what is wrong, a sentence each. first is the time of the capture's
// first packet; host says whether the run had the host's evidence.
func (x *Expectation) Judge(ev *Events, first time.Time, fired []Fired, host bool) []string {
	var wrong []string
	start := x.start(ev, first)
	for _, w := range x.Want {
		if !w.NeedHost || host {
			wrong = append(wrong, w.judge(ev, start, fired)...)
		}
	}
	for _, f := range fired {
		if f.Severity > detect.Info && (!x.expects(f.Alert) || x.Healthy != 0 && f.Server.Port() == x.Healthy) {
			wrong = append(wrong, fmt.Sprintf("%s (%s) of %s fired %s after the start, and must not", f.Alert, f.Severity, f.Server, f.Time.Sub(start)))
		}
		if leg := x.legOf(f.Alert); leg != detect.NoLeg && f.Leg != leg {
			wrong = append(wrong, fmt.Sprintf("%s of %s tells of the leg %q, and must of %q", f.Alert, f.Server, f.Leg, leg))
		}
	}
	return wrong
}

// legOf is the leg that an alert must tell of; NoLeg: of any.
func (x *Expectation) legOf(alert string) detect.LegSide {
	switch {
	case x.Leaks == detect.NoLeg:
	case alert == "CloseWaitBuildup":
		return x.Leaks
	case alert == "CallStalled":
		return detect.NodeLeg
	}
	return detect.NoLeg
}

func (x *Expectation) start(ev *Events, first time.Time) time.Time {
	if ev.Play != nil && !ev.Play.AttackStart.IsZero() {
		return ev.Play.AttackStart
	}
	return first.Add(x.Start)
}

func (x *Expectation) expects(alert string) bool {
	return slices.Contains(x.May, alert) || slices.ContainsFunc(x.Want, func(w Want) bool { return w.Alert == alert })
}

// judge looks at the first time the alert was severe enough.
func (w *Want) judge(ev *Events, start time.Time, fired []Fired) []string {
	var at []time.Time
	for _, f := range fired {
		if f.Alert == w.Alert && f.Severity >= w.AtLeast {
			at = append(at, f.Time)
		}
	}
	if len(at) == 0 {
		return []string{fmt.Sprintf("%s (%s) did not fire, due %s after the attack's start", w.Alert, w.AtLeast, w.Within)}
	}
	after := slices.MinFunc(at, time.Time.Compare).Sub(start)
	if after < 0 {
		return []string{fmt.Sprintf("%s (%s) fired %s before the attack", w.Alert, w.AtLeast, -after)}
	}
	if due := w.Due(ev, start); after > due {
		return []string{fmt.Sprintf("%s (%s) fired %s after the attack's start, due after %s", w.Alert, w.AtLeast, after, due)}
	}
	return nil
}

// Due is the deadline after the attack's start: Within, or the event if that
// came earlier.
func (w *Want) Due(ev *Events, start time.Time) time.Duration {
	until, ok := w.Before.of(ev, start)
	if !ok {
		return w.Within
	}
	return min(w.Within, until)
}

// of is when the event happened, after the attack's start; ok is false if it
// did not.
func (e Event) of(ev *Events, start time.Time) (d time.Duration, ok bool) {
	if ev.Play == nil {
		return 0, false
	}
	switch {
	case e == FirstFailure && ev.Play.FirstFailure != nil:
		return earliest(ev).Sub(start), true
	case e == EMFILE && !ev.Play.EMFILE.IsZero():
		return ev.Play.EMFILE.Sub(start), true
	case e == HalfWay && !ev.Play.EMFILE.IsZero():
		return ev.Play.EMFILE.Sub(start) / 2, true
	}
	return 0, false
}

// earliest is when the first of the failed calls began that events.json has.
func earliest(ev *Events) time.Time {
	return slices.MinFunc(append(slices.Clone(ev.Failures), *ev.Play.FirstFailure),
		func(a, b demo.Call) int { return a.Start.Compare(b.Start) }).Start
}
