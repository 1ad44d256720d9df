package detect

import (
	"fmt"
	"strings"

	"stallwatch/capture"
)

// closeWaitBuildup fires when sockets that clients have half closed pile up
// because the node does not notice.
//
// Half closing is legal: a client may send FIN after its request and still
// read the answer. From the packets this cannot be told from leaving, so no
// count of young ones says anything; only the age without any reaction of the
// server does. What the kernel counts is shown beside what the wire shows,
// and judged by itself: the wire knows nothing of connections that stood
// before the capture.
type closeWaitBuildup struct{}

func (closeWaitBuildup) name() string { return "CloseWaitBuildup" }

// closeWaits is what there is to judge.
type closeWaits struct {
	aged     int // on the wire, older than Age
	standing int // in the kernel since before the capture, older than Age
	counted  int // on the wire, older than CountAge
	stood    int // in the kernel since before the capture, older than CountAge
	kernel   int // the least that the kernel counted over Age; -1: not known
	now      int // on the wire, or in the kernel if there are more
	limit    int
	growing  float64 // sockets a second over GrowthFor
	min      int
	count    int // from which a count is a warning
	crit     int // from which it is critical
}

func (d closeWaitBuildup) look(v *view, n *node, at capture.Time) closeWaits {
	o := &v.o.CloseWait
	w := closeWaits{kernel: -1, now: n.half, min: o.Min, limit: v.use(n, at).limit}
	if n.half > 0 && !n.sight.blind { // who sees one side only sees no end of them
		w.aged = v.stuckHalf(n, at.Add(-o.Age))
		w.counted = v.stuckHalf(n, at.Add(-o.CountAge))
		if grown, ok := n.cwHistory.growth(at, o.GrowthFor); ok {
			w.growing = float64(grown) / o.GrowthFor.Seconds()
		}
	}
	if v.host.of(n, at) {
		w.now = max(w.now, v.host.sample.Sockets[capture.CloseWait])
		w.standing, w.stood = v.standing(n, at.Add(-o.Age)), v.standing(n, at.Add(-o.CountAge))
		if least, ok := v.host.closeWait.least(at, o.Age); ok {
			w.kernel = int(least)
		}
	}
	if v.loss.ratio() > v.o.CaptureLoss.Warn {
		w.min = o.MinLossy
	}
	w.count = max(w.min, min(o.Count, int(o.Share*float64(w.limit))))
	w.crit = max(w.count, int(o.CritShare*float64(w.limit)))
	return w
}

func (w *closeWaits) severity(o *CloseWaitOptions) Severity {
	most := max(w.counted+w.stood, w.kernel)
	switch fires := w.aged+w.standing >= w.min || most >= w.count; {
	case !fires:
		return 0
	case most >= w.crit, w.growing >= o.Growth && w.counted >= w.min:
		return Critical
	}
	return Warning
}

func (d closeWaitBuildup) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	if n.half == 0 && n != v.host.node {
		return
	}
	w := d.look(v, n, at)
	sev := w.severity(&v.o.CloseWait)
	if sev == 0 {
		return
	}
	a := v.raise(l, n, n.incident(d), sev, measured{float64(w.now), float64(w.min), "sockets"}, at)
	if a == nil {
		return
	}
	d.describe(a, v, n, &w, at)
	l.remember(n.incident(d), a)
}

func (d closeWaitBuildup) describe(a *Alert, v *view, n *node, w *closeWaits, at capture.Time) {
	held := v.holders(a, n, at)
	var s strings.Builder
	leg := &a.Evidence.Leg
	if leg.Side != NoLeg {
		leg.Leaks = true
	}
	behind := 0
	if leg.Side == FrontLeg {
		behind = v.waitBehind(n)
	}
	s.WriteString(leg.holdsCloseWait(n.name(), w.now, v.toProxy(n), behind))
	if held != "" {
		fmt.Fprintf(&s, "; held by %s", held)
	}
	a.Summary = s.String()
	o := &v.o.CloseWait
	s.Reset()
	fmt.Fprintf(&s, "on the wire %d, %d of them without reaction for %s (fires at %d) and %d for %s (fires at %d, critical at %d)",
		n.half, w.aged, inSeconds(o.Age), w.min, w.counted, inSeconds(o.CountAge), w.count, w.crit)
	if k := a.Evidence.CloseWaitKernel; k >= 0 {
		fmt.Fprintf(&s, "; the kernel counts %d", k)
	}
	if w.stood > 0 {
		fmt.Fprintf(&s, ", of which %d stood before the capture saw them", w.stood)
	}
	if behind > 0 {
		fmt.Fprintf(&s, "; %d are held by calls that wait at %s behind it", behind, leg.Node)
	}
	if w.growing > 0 {
		fmt.Fprintf(&s, "; growing by %.1f a second (critical at %g)", w.growing, o.Growth)
	}
	if leg.Side == NodeLeg {
		s.WriteString(leg.words(n.inFlight))
	}
	a.Why = s.String()
}
