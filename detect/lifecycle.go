package detect

import (
	"fmt"
	"net/netip"
	"time"

	"stallwatch/capture"
	"stallwatch/rules"
)

// The life of an incident:
//
//	          raised                    raised, worse
//	(unknown) ──────> firing, hold ────────────────> firing, escalated
//	    ^                │   ^
//	    │ FlapMemory     │   │ raised: hold doubles
//	    │                v   │
//	    └──────────── resolved  <── not raised for hold
//
// Severity only rises while an incident fires. A signal that crosses its
// threshold and back is one incident as long as it comes back within hold,
// and hold grows each time that it was too short.

// incidentKey is an incident's identity without its words: the detector, the
// node, and the command and the clients, if it is about some.
type incidentKey struct {
	detector string
	node     int32
	command  *rules.Command
	clients  netip.Prefix
}

type incident struct {
	key     incidentKey
	alert   Alert // as last reported
	node    *node
	raised  capture.Time // when a detector last said so
	ended   capture.Time // valid iff !firing
	hold    time.Duration
	value   float64 // as last raised
	peak    float64
	repeats int // how often it was told again
	firing  bool
}

// lifecycle turns what the detectors raise, second by second, into changes.
type lifecycle struct {
	o     *Options
	stats *Stats
	legs  *legs
	by    map[incidentKey]*incident
	order []*incident // in order of first appearance
	out   []Finding   // the dst of the call in progress

	skipped capture.Time  // the end of the last time when nobody watched; zero: there was none
	pause   time.Duration // how long that was
}

// raise says that a signal holds at an instant. It returns the Alert to fill
// when that is news, else nil: words and evidence cost something, and are
// only made for what is reported.
func (l *lifecycle) raise(at capture.Time, key incidentKey, n *node, sev Severity, value float64) *Alert {
	if l.o.isOff(key.detector) {
		return nil
	}
	in := l.by[key]
	if l.inhibited(key.detector, n) || l.legs.echoes(l, key.detector, n) {
		if in != nil {
			in.raised = at
		}
		return nil
	}
	if in == nil {
		if len(l.order) >= l.o.MaxIncidents {
			l.stats.IncidentsSuppressed++
			return nil
		}
		in = &incident{key: key, node: n, hold: l.o.KeepFiring}
		l.by[key] = in
		l.order = append(l.order, in)
	}
	in.raised, in.value, in.peak = at, value, max(in.peak, value)
	repeat := false
	switch {
	case !in.firing:
		if in.ended != 0 {
			in.hold = min(2*in.hold, l.o.FlapMemory)
		}
		in.firing, in.peak, in.repeats = true, value, 0
		n.fires(key.detector, 1)
		in.alert = blank(key, n)
		in.alert.Since = at
	case sev > in.alert.Severity && l.worsens(at, in):
	case at.Sub(in.alert.Since) >= repeatAfter(in.repeats):
		in.repeats = repeatsBy(at.Sub(in.alert.Since))
		repeat, sev = true, in.alert.Severity
	default:
		return nil
	}
	in.alert.Severity = sev
	a := in.alert
	a.At, a.State, a.Value, a.Repeat = at, Firing, value, repeat
	return l.report(in, &a)
}

// repeatSteps are when an incident that goes on is told once more, and then
// daily: ever more rarely, since whoever could act on it knows.
var repeatSteps = [...]time.Duration{5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 12 * time.Hour}

const day = 24 * time.Hour

// repeatAfter is when the n-th repeat is due; it does not overflow.
func repeatAfter(n int) time.Duration {
	if n < len(repeatSteps) {
		return repeatSteps[n]
	}
	return time.Duration(min(n-len(repeatSteps)+1, 100_000)) * day
}

// repeatsBy is how many repeats are due by an age.
func repeatsBy(age time.Duration) int {
	n := 0
	for n < len(repeatSteps) && age >= repeatSteps[n] {
		n++
	}
	return n + int(age/day)
}

// fires counts the incidents of a node that fire.
func (n *node) fires(name string, by int) {
	if n == nil {
		return
	}
	n.firing += by
	if name == (callStalled{}).name() {
		n.stalls += by
	}
}

// inhibits says which incidents of a node make others no news: their cause is
// told already. What is inhibited keeps its own life, but is reported only if
// it outlives its cause.
var inhibits = map[string][]string{
	"CallStalled":          {"NodeDown", "NodeUnresponsive", "CaptureBlind"},
	"NodeUnresponsive":     {"NodeDown", "CaptureBlind"},
	"AcceptQueueFull":      {"NodeDown", "CaptureBlind"},
	"CloseWaitBuildup":     {"NodeDown"},
	"DescriptorExhaustion": {"NodeDown"},
	"LatencyRegression":    {"NodeDown", "NodeUnresponsive", "CallStalled", "CaptureBlind"},
	"SlowRequest":          {"NodeDown", "CaptureBlind"},
	"SlowReader":           {"CaptureBlind"},
	"ConnectionFlood":      {"CaptureBlind"},
	"SynFlood":             {"CaptureBlind"},
	"MalformedRequests":    {"CaptureBlind"},
}

// overshadows says which incidents of a node make it no news that others get
// worse: what those lead to is told already.
var overshadows = map[string][]string{
	"CallStalled":      {"DescriptorExhaustion", "NodeUnresponsive"},
	"CloseWaitBuildup": {"DescriptorExhaustion", "NodeUnresponsive"},
}

// worsenAfter is how long after it was told an incident that overshadowing is
// possible for gets worse at the earliest.
const worsenAfter = 10 * second

// worsens reports whether it is news that an incident gets worse.
func (l *lifecycle) worsens(at capture.Time, in *incident) bool {
	over, ok := overshadows[in.key.detector]
	if !ok {
		return true
	}
	for _, name := range over {
		if o := l.by[incidentKey{detector: name, node: in.key.node}]; o != nil && o.firing {
			return false
		}
	}
	return at.Sub(in.alert.At) >= worsenAfter
}

// inhibited reports whether an incident's cause fires on its node.
func (l *lifecycle) inhibited(name string, n *node) bool {
	if n == nil || n.firing == 0 {
		return false
	}
	for _, cause := range inhibits[name] {
		if name == "CallStalled" && cause == "NodeUnresponsive" && n.stalls == 0 {
			continue // the culprit is news; the others are its victims
		}
		if in := l.by[incidentKey{detector: cause, node: n.id}]; in != nil && in.firing {
			return true
		}
	}
	return false
}

// report appends the Alert and leaves it to the caller to fill; settled
// copies it back when the step is over.
func (l *lifecycle) report(in *incident, a *Alert) *Alert {
	l.out = append(l.out, Finding{At: a.At, Kind: AlertChanged, Alert: a})
	if in.node != nil {
		in.node.changed = true
	}
	return a
}

// remember keeps the words of a firing Alert for its resolution.
func (l *lifecycle) remember(key incidentKey, a *Alert) { l.by[key].alert = *a }

// settle resolves what was not raised for its hold, and forgets what was
// resolved long ago.
func (l *lifecycle) settle(at capture.Time) {
	keep := l.order[:0]
	for _, in := range l.order {
		if in.firing && at.Sub(in.raised) >= in.hold {
			l.resolve(at, in)
		}
		if !in.firing && at.Sub(in.ended) >= l.o.FlapMemory {
			delete(l.by, in.key)
			continue
		}
		keep = append(keep, in)
	}
	clear(l.order[len(keep):])
	l.order = keep
}

func (l *lifecycle) resolve(at capture.Time, in *incident) {
	in.firing, in.ended = false, at
	in.node.fires(in.key.detector, -1)
	a := in.alert
	a.At, a.State, a.Value, a.Repeat = at, Resolved, in.value, false
	a.Summary = fmt.Sprintf("%s on %s is over after %s; at worst %s",
		in.key.detector, a.Subject, inSeconds(at.Sub(a.Since)), amount(in.peak, a.Unit))
	a.Why = fmt.Sprintf("not seen for %s", inSeconds(at.Sub(in.raised)))
	if l.skipped != 0 && in.raised <= l.skipped {
		a.Why = fmt.Sprintf("not seen again since a pause of %s in which nothing was watched: it may have ended then", inSeconds(l.pause))
	}
	a.Evidence = noEvidence()
	l.report(in, &a)
}

func blank(key incidentKey, n *node) Alert {
	a := Alert{Name: key.detector, Subject: "capture", Evidence: noEvidence(), Confidence: 1}
	if n != nil {
		a.Server = n.server
		a.Subject = n.name()
	}
	if key.command != nil {
		a.Command = key.command.Name
		a.Subject += " " + key.command.Name
	}
	if key.clients.IsValid() {
		a.Client = Client{key.clients.Addr(), !key.clients.IsSingleIP()}
		a.Subject += " " + NetworkName(key.clients)
	}
	return a
}

func noEvidence() Evidence {
	return Evidence{CloseWait: -1, CloseWaitKernel: -1, Unaccepted: -1, FDs: -1, FDLimit: -1}
}

// name is the node's part of a subject.
func (n *node) name() string {
	if !n.server.IsValid() {
		return "other servers"
	}
	return n.server.String()
}
