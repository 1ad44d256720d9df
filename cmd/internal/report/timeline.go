package report

import (
	"fmt"
	"net/netip"
	"strings"

	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
)

func (r *Report) timeline(p *page, st *pipeline.Stats) {
	p.line("")
	p.line("# Alerts")
	if len(r.alerts) == 0 {
		p.line("None.")
	}
	for i := range r.alerts {
		printAlert(p, &r.alerts[i], st)
	}
	if r.dropped > 0 {
		p.line("and %s not shown (--json has them all)", plural(r.dropped, "change"))
	}
}

const indent = "                     "

func printAlert(p *page, a *detect.Alert, st *pipeline.Stats) {
	mark := strings.ToUpper(text.Severity(a.Severity))
	if a.State == detect.Resolved {
		mark = "RESOLVED"
	}
	p.line("%10s %-9s %s  %s", offset(a.At, st.First), mark, a.Name, a.Subject)
	p.line("%s%s", indent, stamp(a.At))
	if a.Summary != "" {
		p.wrap(indent, indent, a.Summary)
	}
	if a.State == detect.Resolved {
		return
	}
	for _, s := range evidence(a) {
		p.wrap(indent, indent+"            ", s)
	}
}

// evidence lists what backs an alert, one line a kind.
func evidence(a *detect.Alert) []string {
	e := &a.Evidence
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if a.Why != "" {
		add("why         %s", a.Why)
	}
	lines = append(lines, callLines(a)...)
	if e.InFlight > 0 {
		add("in flight   %d", e.InFlight)
	}
	if len(e.Clients) > 0 {
		add("clients     %s", clients(e))
	}
	if e.Leg.Side != detect.NoLeg {
		add("leg         %s", leg(&e.Leg))
	}
	if s := sockets(e); s != "" {
		add("CLOSE_WAIT  %s", s)
	}
	if e.FDs >= 0 && (e.FDs > 0 || e.FDLimit > 0) {
		add("descriptors %s", descriptors(e))
	}
	if e.LostPackets > 0 || e.GapBytes > 0 {
		add("capture     %s lost, %s in holes; confidence %.2f", plural(e.LostPackets, "packet"), size(e.GapBytes), a.Confidence)
	}
	return lines
}

// end prints one end of a connection, of which perhaps only the address is
// known.
func end(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

// leg draws both legs of a proxy; the one that the alert is about stands in
// brackets.
func leg(l *detect.Leg) string {
	s := fmt.Sprintf("clients -> proxy %s [-> node %s]", l.Proxy, l.Node)
	if l.Side == detect.FrontLeg {
		s = fmt.Sprintf("[clients -> proxy %s] -> node %s", l.Proxy, l.Node)
	}
	if l.Paired > 0 {
		s += fmt.Sprintf("; %s on both", plural(uint64(l.Paired), "call"))
	}
	if l.Queued > 0 {
		s += fmt.Sprintf(", %d wait in the proxy", l.Queued)
	}
	if l.Left > 0 {
		s += fmt.Sprintf(", client gone from %d", l.Left)
	}
	if l.GaveUp > 0 {
		s += fmt.Sprintf(", proxy gave up on %d (%d after %s)", l.GaveUp, l.Status, duration(l.Patience))
	}
	return s
}

func sockets(e *detect.Evidence) string {
	var parts []string
	if e.CloseWait > 0 {
		parts = append(parts, fmt.Sprintf("%d on the wire", e.CloseWait))
	}
	if e.CloseWaitKernel > 0 {
		parts = append(parts, fmt.Sprintf("%d in the kernel", e.CloseWaitKernel))
	}
	if e.Unaccepted > 0 {
		parts = append(parts, fmt.Sprintf("%d not accepted yet", e.Unaccepted))
	}
	return strings.Join(parts, ", ")
}

func descriptors(e *detect.Evidence) string {
	s := fmt.Sprintf("%d open", e.FDs)
	if e.FDLimit > 0 {
		s += fmt.Sprintf(" of %d (%.0f%%)", e.FDLimit, 100*float64(e.FDs)/float64(e.FDLimit))
	}
	if e.HasETA {
		s += ", run out in " + duration(e.ETA)
	}
	return s
}
