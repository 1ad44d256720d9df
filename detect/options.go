package detect

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"stallwatch/rules"
)

// Options configure an Engine. The zero value of a field takes the default.
type Options struct {
	Rules   *rules.Set
	FDLimit int // assumed limit of open files without host evidence (0: 4096, the hard default of 2018)
	Workers int // calls the node works on at once (0: 16, Undertow's pool on two cores)

	MaxCalls     int // calls in flight followed one by one (0: 65536)
	MaxConns     int // connections of interest (0: 131072)
	MaxLegs      int // calls that are followed over a reverse proxy, each side by itself (0: 32768)
	MaxVisitors  int // clients told apart, over all nodes (0: 65536)
	MaxNodes     int // servers told apart (0: 512)
	MaxIncidents int // incidents firing or remembered (0: 1000)
	MaxRuleKeys  int // clients, commands and servers that free rules count over, all together (0: 16384)

	NodeEvery  time.Duration // between two NodeSeen of a busy node (0: 10 s)
	KeepFiring time.Duration // an incident is over when its signal was gone for so long (0: 15 s)
	// FlapMemory is how long a resolved incident is remembered: one that
	// comes back within it holds twice as long before it is resolved again
	// (0: 10 min, which bounds the hold as well).
	FlapMemory time.Duration

	CallStalled  CallStalledOptions
	CloseWait    CloseWaitOptions
	Descriptors  DescriptorOptions
	CaptureLoss  CaptureLossOptions
	Unresponsive UnresponsiveOptions
	AcceptQueue  AcceptQueueOptions

	NodeDown          NodeDownOptions
	NodeRestarted     NodeRestartedOptions
	ConnectionFlood   ConnectionFloodOptions
	RequestFlood      RequestFloodOptions
	SynFlood          SynFloodOptions
	SlowRequest       SlowRequestOptions
	SlowReader        SlowReaderOptions
	PowAbuse          PowAbuseOptions
	AdminCommand      AdminCommandOptions
	OversizedRequest  OversizedRequestOptions
	SuspectParameters SuspectParametersOptions
	MalformedRequests MalformedRequestsOptions
	UnknownCommands   UnknownCommandsOptions
	PortScan          PortScanOptions
	LoginProbe        LoginProbeOptions
	LatencyRegression LatencyRegressionOptions
	CaptureBlind      CaptureBlindOptions

	// Trusted are the networks of the operator's own pollers and proxies. They
	// are not judged one by one, and what they say about the clients behind
	// them is believed (nil: 127.0.0.1 and ::1, as HORNET's own whitelist).
	Trusted []netip.Prefix

	// Ports are those that the operator watches, so that a node may be taken
	// to be there before it was seen at work (nil: not known).
	Ports []uint16

	Off []string // names of detectors that raise nothing
}

// CallStalledOptions set when calls in flight are an incident. Budgets come
// with the commands.
type CallStalledOptions struct {
	MinCalls      int // calls over the warn budget that fire (0: 3); one over the critical budget fires alone
	CriticalCalls int // calls over the warn budget that are critical (0: 8)
	CriticalAge   int // the oldest over so many times its critical budget is critical (0: 10)
	// WarnFloor and CriticalFloor keep the alert, not the pending record, from
	// budgets shorter than an honest pause: a full garbage collection of 5 s
	// stalls everything and heals by itself (0: 8 s, 10 s).
	WarnFloor, CriticalFloor time.Duration
	// OtherGET counts GET requests of no known command: off, since long
	// polling looks just like a stall.
	OtherGET bool
}

// CloseWaitOptions set when half-closed sockets are an incident.
type CloseWaitOptions struct {
	Age       time.Duration // half closed by the client without reaction for (0: 30 s)
	Min       int           // such sockets that fire (0: 5)
	MinLossy  int           // the same when more than 1 % was lost (0: 10)
	CountAge  time.Duration // age of the sockets that the counts below look at (0: 10 s)
	Count     int           // sockets (0: 50)
	Share     float64       // of the descriptor limit (0: 0.10)
	CritShare float64       // of the descriptor limit, critical (0: 0.25)
	Growth    float64       // sockets a second, over GrowthFor, critical (0: 1)
	GrowthFor time.Duration // (0: 30 s)
}

// DescriptorOptions set when the descriptors are an incident.
type DescriptorOptions struct {
	Warn, Critical float64       // level, of the limit (0: 0.80, 0.95)
	StuckAfter     time.Duration // a half-closed socket or unanswered call counts as stuck after (0: 3 s)
	OnceAfter      time.Duration // a connection that asked once and then nothing counts as leaked after (0: 6 s)
	MinStuck       int           // (0: 8)
	MinSlope       float64       // stuck a second (0: 0.05)
	Fast, Slow     Forecast      // (0: 15 s, 60 s, 5 s; 5 min, 20 min, 60 s)
}

// Forecast is one window of a forecast: the slope over Window must lead to
// the limit within Horizon, for Hold on end.
type Forecast struct {
	Window, Horizon, Hold time.Duration
}

// CaptureLossOptions set when the capture itself is an incident, as shares of
// the last minute.
type CaptureLossOptions struct {
	Info, Warn float64 // (0: 0.001, 0.01)
	MinPackets uint64  // fewer lost packets are no incident (0: 10)
	MinBytes   uint64  // fewer bytes in holes are no incident (0: 16 KiB)
}

// UnresponsiveOptions set when a node counts as silent.
type UnresponsiveOptions struct {
	Calls  int           // calls that wait (0: 5)
	Silent time.Duration // for so long, without any answer of the node meanwhile (0: 10 s)
}

// AcceptQueueOptions set when the accept queue counts as full.
type AcceptQueueOptions struct {
	Syns   int           // SYNs without answer (0: 5)
	Within time.Duration // (0: 10 s, at most 30 s)
}

func (o *Options) setDefaults() {
	def(&o.FDLimit, 4096)
	def(&o.Workers, 16)
	def(&o.MaxCalls, 1<<16)
	def(&o.MaxConns, 1<<17)
	def(&o.MaxLegs, 1<<15)
	def(&o.MaxVisitors, 1<<16)
	def(&o.MaxNodes, 512)
	def(&o.MaxIncidents, 1000)
	def(&o.MaxRuleKeys, 16384)
	def(&o.NodeEvery, 10*time.Second)
	def(&o.KeepFiring, 15*time.Second)
	def(&o.FlapMemory, 10*time.Minute)
	s := &o.CallStalled
	def(&s.MinCalls, 3)
	def(&s.CriticalCalls, 8)
	def(&s.CriticalAge, 10)
	def(&s.WarnFloor, 8*time.Second)
	def(&s.CriticalFloor, 10*time.Second)
	c := &o.CloseWait
	def(&c.Age, 30*time.Second)
	def(&c.Min, 5)
	def(&c.MinLossy, 10)
	def(&c.CountAge, 10*time.Second)
	def(&c.Count, 50)
	def(&c.Share, 0.10)
	def(&c.CritShare, 0.25)
	def(&c.Growth, 1)
	def(&c.GrowthFor, 30*time.Second)
	d := &o.Descriptors
	def(&d.Warn, 0.80)
	def(&d.Critical, 0.95)
	def(&d.StuckAfter, 3*time.Second)
	def(&d.OnceAfter, 6*time.Second)
	def(&d.MinStuck, 8)
	def(&d.MinSlope, 0.05)
	d.Fast.setDefaults(15*time.Second, time.Minute, 5*time.Second)
	d.Slow.setDefaults(5*time.Minute, 20*time.Minute, time.Minute)
	def(&o.CaptureLoss.Info, 0.001)
	def(&o.CaptureLoss.Warn, 0.01)
	def(&o.CaptureLoss.MinPackets, 10)
	def(&o.CaptureLoss.MinBytes, 16<<10)
	def(&o.Unresponsive.Calls, 5)
	def(&o.Unresponsive.Silent, 10*time.Second)
	o.setPolicyDefaults()
	def(&o.AcceptQueue.Syns, 5)
	def(&o.AcceptQueue.Within, 10*time.Second)
}

func (f *Forecast) setDefaults(window, horizon, hold time.Duration) {
	def(&f.Window, window)
	def(&f.Horizon, horizon)
	def(&f.Hold, hold)
}

func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Validate reports every setting that makes no sense, with its name.
func (o *Options) Validate() error {
	d := *o
	d.setDefaults()
	var errs []error
	positive := func(name string, ok bool) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s must be greater than 0", name))
		}
	}
	ordered := func(low string, a float64, high string, b float64) {
		if !(a > 0 && a <= b) {
			errs = append(errs, fmt.Errorf("%s is %g: it must be greater than 0 and at most %s, which is %g", low, a, high, b))
		}
	}
	positive("FDLimit", d.FDLimit > 0)
	positive("Workers", d.Workers > 0)
	positive("MaxCalls", d.MaxCalls > 0)
	positive("MaxConns", d.MaxConns > 0)
	positive("MaxLegs", d.MaxLegs > 0)
	positive("MaxNodes", d.MaxNodes > 0)
	positive("MaxVisitors", d.MaxVisitors > 0)
	positive("MaxIncidents", d.MaxIncidents > 0)
	positive("MaxRuleKeys", d.MaxRuleKeys > 0)
	positive("NodeEvery", d.NodeEvery > 0)
	positive("KeepFiring", d.KeepFiring > 0)
	positive("FlapMemory", d.FlapMemory > 0)
	positive("CallStalled", d.CallStalled.MinCalls > 0 && d.CallStalled.CriticalCalls > 0 && d.CallStalled.CriticalAge > 0 &&
		d.CallStalled.WarnFloor > 0 && d.CallStalled.CriticalFloor > 0)
	positive("CloseWait", d.CloseWait.Age > 0 && d.CloseWait.Min > 0 && d.CloseWait.MinLossy > 0 && d.CloseWait.CountAge > 0 &&
		d.CloseWait.Count > 0 && d.CloseWait.Growth > 0 && d.CloseWait.GrowthFor > 0)
	positive("Unresponsive", d.Unresponsive.Calls > 0 && d.Unresponsive.Silent > 0)
	positive("Descriptors", d.Descriptors.StuckAfter > 0 && d.Descriptors.OnceAfter > 0 && d.Descriptors.MinStuck > 0 && d.Descriptors.MinSlope > 0)
	positive("AcceptQueue.Syns", d.AcceptQueue.Syns > 0)
	ordered("Descriptors.Warn", d.Descriptors.Warn, "Descriptors.Critical", d.Descriptors.Critical)
	ordered("CloseWait.Share", d.CloseWait.Share, "CloseWait.CritShare", d.CloseWait.CritShare)
	ordered("CaptureLoss.Info", d.CaptureLoss.Info, "CaptureLoss.Warn", d.CaptureLoss.Warn)
	ordered("AcceptQueue.Within in seconds", d.AcceptQueue.Within.Seconds(), "its bound", synWindow)
	for _, f := range []Forecast{d.Descriptors.Fast, d.Descriptors.Slow} {
		positive("Descriptors.Fast and Slow", f.Window > 0 && f.Horizon > 0 && f.Hold > 0)
	}
	errs = append(errs, d.checkPolicy()...)
	return errors.Join(errs...)
}
