package detect

import (
	"fmt"
	"strings"

	"stallwatch/capture"
)

// descriptorExhaustion fires when a node's descriptors are near their limit,
// or will be.
//
// The level is what is open; the slope is the growth of what is STUCK alone.
// The slope of everything open warns a few seconds sooner and alarms on every
// honest pool that fills.
type descriptorExhaustion struct{}

func (descriptorExhaustion) name() string { return "DescriptorExhaustion" }

// forecastState is since when each window has led to the limit; zero: it does
// not.
type forecastState struct {
	fast, slow capture.Time
}

func (d descriptorExhaustion) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.Descriptors
	u := v.use(n, at)
	f := &n.forecast
	if n.sight.blind && !u.host {
		return // what closes is not seen: the wire's count only grows
	}
	fast := !n.sight.blind && f.holds(&f.fast, &o.Fast, o, n, u, n.ramp.fastSlope.slope, at) && n.ramp.fast.grows(at, o.Fast.Window, n.ramp.fastSlope.slope)
	slow := !n.sight.blind && f.holds(&f.slow, &o.Slow, o, n, u, n.ramp.slowSlope.slope, at) && n.ramp.slow.grows(at, o.Slow.Window, n.ramp.slowSlope.slope)
	level := float64(u.used) / float64(u.limit)
	var sev Severity
	switch {
	case level >= o.Critical, fast:
		sev = Critical
	case level >= o.Warn, slow:
		sev = Warning
	default:
		return
	}
	a := v.raise(l, n, n.incident(d), sev, measured{float64(u.used), float64(u.limit), "descriptors"}, at)
	if a == nil {
		return
	}
	if !u.host {
		a.Confidence *= 0.7 // connections only, and the limit may be another
	}
	if !u.host {
		a.Evidence.FDs = u.used
	}
	if !u.limitKnown {
		a.Evidence.FDLimit = u.limit
	}
	v.holders(a, n, at)
	if len(a.Evidence.Calls) == 0 {
		calls := v.appendCalls(nil, n, everyCell)
		v.sortByAge(calls)
		v.addCalls(a, calls, none, at)
	}
	if len(a.Evidence.Clients) == 0 {
		v.hoarders(a, n, at)
	}
	d.describe(a, v, n, u, fast, slow, at)
	d.leg(a, v, n)
	l.remember(n.incident(d), a)
}

// holds reports whether a window has led to the limit for its hold.
func (*forecastState) holds(since *capture.Time, w *Forecast, o *DescriptorOptions, n *node, u use, slope float64, at capture.Time) bool {
	if n.ramp.now.total() < o.MinStuck || slope <= o.MinSlope || timeTo(u, slope) >= w.Horizon {
		*since = 0
		return false
	}
	if *since == 0 {
		*since = at
	}
	return at.Sub(*since) >= w.Hold
}

func (d descriptorExhaustion) describe(a *Alert, v *view, n *node, u use, fast, slow bool, at capture.Time) {
	o := &v.o.Descriptors
	a.Summary = fmt.Sprintf("%s has %d of %d descriptors open", n.name(), u.used, u.limit)
	if !u.host {
		a.Summary = fmt.Sprintf("%s has at least %d of %d descriptors open", n.name(), u.used, u.limit)
	}
	if a.Evidence.HasETA {
		a.Summary += fmt.Sprintf("; at the present growth they run out in %s", etaWords(&a.Evidence))
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%s of the limit (warning at %s, critical at %s)", percent(float64(u.used)/float64(u.limit)), percent(o.Warn), percent(o.Critical))
	if fast {
		d.growth(&s, n.ramp.fast.since(at, o.Fast.Window), n.ramp.fastSlope.slope, o.Fast)
	} else if slow {
		d.growth(&s, n.ramp.slow.since(at, o.Slow.Window), n.ramp.slowSlope.slope, o.Slow)
	}
	if !u.host {
		s.WriteString("; counted on the wire: connections, and calls whose client reset; files and other sockets are not seen")
	}
	if k := v.host.sample.Processes; u.host && k > 1 {
		fmt.Fprintf(&s, "; of the %d processes that listen this one is nearest to its limit", k)
	}
	if !u.limitKnown {
		fmt.Fprintf(&s, "; the limit of %d is assumed", u.limit)
	}
	a.Why = s.String()
}

// etaWords prints an ETA, and between which it lies.
func etaWords(e *Evidence) string {
	eta, low, high := inSeconds(e.ETA), inSeconds(e.ETALow), inSeconds(e.ETAHigh)
	switch {
	case e.ETAHigh == 0:
		return eta + " (" + low + " or more)"
	case low == high:
		return eta
	}
	return eta + " (" + low + " to " + high + ")"
}

// leg says on which side of a proxy the descriptors go.
func (descriptorExhaustion) leg(a *Alert, v *view, n *node) {
	l := &a.Evidence.Leg
	a.Summary = l.prefix() + a.Summary
	if l.Side != NoLeg {
		l.Leaks = n.half > 0
		a.Why += l.words(n.inFlight)
	}
	if l.Side == NodeLeg && n.half > 0 {
		a.Why += fmt.Sprintf("; %s in CLOSE_WAIT are to the proxy", partOf(v.toProxy(n), n.half, "socket"))
	}
}

// growth prints a slope and its causes.
func (descriptorExhaustion) growth(s *strings.Builder, points []stuckPoint, slope float64, w Forecast) {
	fmt.Fprintf(s, "; stuck descriptors grew by %.2f a second over %s, which leads to the limit within %s", slope, inSeconds(w.Window), inSeconds(w.Horizon))
	if len(points) < 2 {
		return
	}
	first, last := &points[0], &points[len(points)-1]
	parts := []struct {
		what string
		n    int32
	}{
		{"half closed by clients", last.closeWait - first.closeWait},
		{"reset by clients, call unanswered", last.zombie - first.zombie},
		{"waiting for an answer", last.waiting - first.waiting},
		{"connected and silent", last.silent - first.silent},
		{"with part of a request", last.slow - first.slow},
		{"kept after one request", last.once - first.once},
	}
	var sum int32
	for _, p := range parts {
		sum += max(p.n, 0)
	}
	sep := ": "
	for _, p := range parts {
		if p.n > 0 {
			fmt.Fprintf(s, "%s%d %% %s", sep, 100*p.n/sum, p.what)
			sep = ", "
		}
	}
}
