package detect

import (
	"fmt"
	"net/netip"
	"reflect"
	"time"
)

// Rate is so many within so long.
type Rate struct {
	N      int
	Within time.Duration
}

// NodeDownOptions set when a node counts as away.
type NodeDownOptions struct {
	After  time.Duration // SYNs refused and none accepted for so long: shorter is an operator's restart (0: 2.5 s)
	Syns   int           // or SYNs without any sign of the node (0: 5)
	Within time.Duration // in so long, at most 30 s (0: 10 s)
}

// NodeRestartedOptions set when a node's return is news without a NodeDown.
type NodeRestartedOptions struct {
	Calls int // calls in flight when it went (0: 5)
}

// ConnectionFloodOptions set when connections are too many. The playbook's
// HAProxy waited 30 s for the first byte, and banned an address at 250
// connections in 3 s.
type ConnectionFloodOptions struct {
	Silent    int           // established and without a byte of a request (0: 20)
	Age       time.Duration // for so long (0: 30 s)
	Share     float64       // and such a share of the node's connections (0: 0.10)
	PerClient int           // connections of one client a second (0: 80)
	Seconds   int           // on end (0: 3)
}

// RequestFloodOptions set when requests are too many.
type RequestFloodOptions struct {
	PerClient int           // of one client a second (0: 100)
	Seconds   int           // on end (0: 5)
	All       int           // of all clients a second (0: 2000)
	Within    time.Duration // on average over so long, at most 30 s (0: 10 s)
}

// SynFloodOptions set when handshakes are too many. A kernel without SYN
// cookies keeps few of them and drops the other SYNs, an honest client's as
// well: then few that stand are as bad as many, if enough others knock.
type SynFloodOptions struct {
	HalfOpen  int           // answered and not completed (0: 100)
	Age       time.Duration // for so long (0: 3 s)
	Few       int           // or so many (0: 20)
	Brief     time.Duration // for so long (0: 1 s)
	PerSecond int           // while more than so many SYNs a second came (0: 50)
	Sources   int           // from more than so many addresses, IPv6 by /64 (0: 200, at most 1000)
	Within    time.Duration // both over so long, at most 30 s (0: 5 s)
}

// SlowRequestOptions set when requests that do not end are too many.
type SlowRequestOptions struct {
	Requests       int           // incomplete (0: 5)
	Age            time.Duration // for so long (0: 30 s)
	PoolAge        time.Duration // as many as the node has workers are news after (0: 3 s)
	BytesPerSecond int           // a request that brings as many is not slow, once its head is whole (0: 500)
}

// SlowReaderOptions set when answers that are not taken are too many.
type SlowReaderOptions struct {
	Readers        int           // whose window was closed (0: 5)
	Age            time.Duration // for so long (0: 30 s)
	BytesPerSecond int           // and who took less (0: 1000)
}

// PowAbuseOptions set when proof of work is too much. The playbook's HAProxy
// let an address have 10 calls in 20 s.
type PowAbuseOptions struct {
	InFlight  int           // calls at once (0: 5)
	PerClient int           // more than so many calls of one client (0: 10)
	Within    time.Duration // in so long, at most 30 s (0: 20 s)
}

// AdminCommandOptions set how long an admin command is news.
type AdminCommandOptions struct {
	Within time.Duration // (0: 10 s, at most 30 s)
}

// OversizedRequestOptions set what is more than a node serves: IRI's
// MAX_REQUESTS_LIST, and well below its MAX_BODY_LENGTH of a million.
type OversizedRequestOptions struct {
	Elements int           // of a list (0: 1000)
	Body     int           // bytes of content (0: 400 000)
	Calls    int           // (0: 1)
	Within   time.Duration // (0: 10 s, at most 30 s)
}

// SuspectParametersOptions set when odd arguments are an incident.
type SuspectParametersOptions struct {
	Calls         int           // with arguments beyond what the rules expect, see rules.Expect (0: 3)
	SameReference int           // with a reference that another client sent (0: 3)
	Within        time.Duration // (0: 30 s, at most 30 s)
}

// MalformedRequestsOptions set when what cannot be read is an incident.
type MalformedRequestsOptions struct {
	Calls  int           // (0: 5)
	Within time.Duration // (0: 30 s, at most 30 s)
}

// UnknownCommandsOptions set when names that nobody knows are an incident.
type UnknownCommandsOptions struct {
	Names  int           // different ones (0: 10)
	Within time.Duration // (0: 30 s)
}

// PortScanOptions set when tries at closed ports are an incident.
type PortScanOptions struct {
	Ports  int           // different ones, of one client (0: 15, at most 64)
	Within time.Duration // (0: 10 s)
}

// LoginProbeOptions set when connections to the SSH port are an incident.
type LoginProbeOptions struct {
	Connections int           // (0: 10)
	Within      time.Duration // (0: 30 s, at most 30 s)
}

// LatencyRegressionOptions set when answers count as slower than usual, and
// when enough is known to say so.
type LatencyRegressionOptions struct {
	Learn    int           // answers that make a baseline (0: 500)
	LearnFor time.Duration // over so long (0: 10 min)
	Factor   float64       // times the learned 95th percentile (0: 4)
	Floor    time.Duration // and at least (0: 2 s)
	Within   time.Duration // the latest 32 answers came in so long (0: 2 min)
	Freeze   time.Duration // nothing is learned for so long after a stall (0: 1 min)
}

// CaptureBlindOptions set when the capture counts as blind.
type CaptureBlindOptions struct {
	Connections int           // that could not be understood (0: 5)
	Silent      time.Duration // no packet for so long, while the kernel gets connections (0: 20 s)
}

func (o *Options) setPolicyDefaults() {
	merge(&o.NodeDown, NodeDownOptions{2500 * time.Millisecond, 5, 10 * second})
	merge(&o.NodeRestarted, NodeRestartedOptions{5})
	merge(&o.ConnectionFlood, ConnectionFloodOptions{20, 30 * second, 0.10, 80, 3})
	merge(&o.RequestFlood, RequestFloodOptions{100, 5, 2000, 10 * second})
	merge(&o.SynFlood, SynFloodOptions{100, 3 * second, 20, second, 50, 200, 5 * second})
	merge(&o.SlowRequest, SlowRequestOptions{5, 30 * second, 3 * second, 500})
	merge(&o.SlowReader, SlowReaderOptions{5, 30 * second, 1000})
	merge(&o.PowAbuse, PowAbuseOptions{5, 10, 20 * second})
	merge(&o.AdminCommand, AdminCommandOptions{10 * second})
	merge(&o.OversizedRequest, OversizedRequestOptions{1000, 400_000, 1, 10 * second})
	merge(&o.SuspectParameters, SuspectParametersOptions{3, 3, 30 * second})
	merge(&o.MalformedRequests, MalformedRequestsOptions{5, 30 * second})
	merge(&o.UnknownCommands, UnknownCommandsOptions{10, 30 * second})
	merge(&o.PortScan, PortScanOptions{15, 10 * second})
	merge(&o.LoginProbe, LoginProbeOptions{10, 30 * second})
	merge(&o.LatencyRegression, LatencyRegressionOptions{500, 10 * time.Minute, 4, 2 * second, 2 * time.Minute, time.Minute})
	merge(&o.CaptureBlind, CaptureBlindOptions{5, 20 * second})
	if o.Trusted == nil {
		o.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}
	}
}

// merge fills the zero fields of p with those of v.
func merge[T any](p *T, v T) {
	to, from := reflect.ValueOf(p).Elem(), reflect.ValueOf(v)
	for i := range to.NumField() {
		if to.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// checkPolicy reports the fields that make no sense: all must be positive, and
// a window is no longer than the counts go back.
func (o *Options) checkPolicy() (errs []error) {
	for _, s := range []struct {
		name    string
		options any
		bounded bool // Within is counted by second
	}{
		{"NodeDown", o.NodeDown, true}, {"NodeRestarted", o.NodeRestarted, false}, {"ConnectionFlood", o.ConnectionFlood, false},
		{"RequestFlood", o.RequestFlood, true}, {"SynFlood", o.SynFlood, true}, {"SlowRequest", o.SlowRequest, false},
		{"SlowReader", o.SlowReader, false}, {"PowAbuse", o.PowAbuse, true}, {"AdminCommand", o.AdminCommand, true},
		{"OversizedRequest", o.OversizedRequest, true}, {"SuspectParameters", o.SuspectParameters, true},
		{"MalformedRequests", o.MalformedRequests, true}, {"UnknownCommands", o.UnknownCommands, false},
		{"PortScan", o.PortScan, false}, {"LoginProbe", o.LoginProbe, true}, {"LatencyRegression", o.LatencyRegression, false},
		{"CaptureBlind", o.CaptureBlind, false},
	} {
		v := reflect.ValueOf(s.options)
		for i := range v.NumField() {
			f, name := v.Field(i), s.name+"."+v.Type().Field(i).Name
			if f.CanInt() && f.Int() <= 0 || f.CanFloat() && !(f.Float() > 0) {
				errs = append(errs, fmt.Errorf("%s must be greater than 0", name))
			}
			if d, ok := f.Interface().(time.Duration); ok && s.bounded && v.Type().Field(i).Name == "Within" && (d < second || d > synWindow*second) {
				errs = append(errs, fmt.Errorf("%s is %s: it must be from 1s to %s", name, d, synWindow*second))
			}
		}
	}
	if o.PortScan.Ports > maxTried {
		errs = append(errs, fmt.Errorf("PortScan.Ports is %d: it must be at most %d", o.PortScan.Ports, maxTried))
	}
	if o.SynFlood.Sources > maxSources-24 {
		errs = append(errs, fmt.Errorf("SynFlood.Sources is %d: it must be at most %d", o.SynFlood.Sources, maxSources-24))
	}
	return errs
}
