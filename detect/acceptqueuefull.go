package detect

import (
	"fmt"
	"strings"

	"stallwatch/capture"
)

// acceptQueueFull fires when connections are turned away: the process does
// not accept, because it is out of descriptors, stopped, or too slow. It comes
// after exhaustion, not before: proof, not warning.
type acceptQueueFull struct{}

func (acceptQueueFull) name() string { return "AcceptQueueFull" }

func (d acceptQueueFull) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.AcceptQueue
	syns := n.turnedAway(at, o.Within)
	var queue capture.Backlog
	full, overflows := false, int64(0)
	if v.host.of(n, at) {
		// Linux holds one more than the backlog before it is full
		// (include/net/sock.h, sk_acceptq_is_full).
		b, ok := v.host.queue()
		queue, full = b, ok && b.Max > 0 && b.Queue >= b.Max
		overflows = v.host.grownOverflows(at, o)
	}
	var sev Severity
	switch {
	case n.opened == 0 && syns >= o.Syns && !full:
		sev = Warning // it was never seen to let anybody in: a firewall may be all there is
	case syns >= o.Syns, full && overflows > 0:
		sev = Critical
	case full:
		sev = Warning
	default:
		return
	}
	a := v.raise(l, n, n.incident(d), sev, measured{float64(max(syns, queue.Queue)), float64(o.Syns), "connections"}, at)
	if a == nil {
		return
	}
	a.Summary = fmt.Sprintf("%s does not accept connections: new clients wait or are turned away", n.name())
	var s strings.Builder
	fmt.Fprintf(&s, "%d SYNs without answer within %s (fires at %d)", syns, inSeconds(o.Within), o.Syns)
	if v.host.of(n, at) {
		fmt.Fprintf(&s, "; %d connections wait in a queue of %d; %d overflows in the same time", queue.Queue, queue.Max, overflows)
	}
	if half := n.phases[opening]; half >= v.o.SynFlood.Few {
		fmt.Fprintf(&s, "; %s that clients do not complete may be what takes the room", plural(half, "handshake"))
	}
	if n.opened == 0 && !full {
		a.Confidence *= 0.7
		s.WriteString("; it was not seen to accept anybody since the capture began, so it may be down, or a firewall drops what comes")
	}
	a.Why = s.String()
	l.remember(n.incident(d), a)
}

// grownOverflows is by how much ListenOverflows grew. The counter is the
// whole machine's: alone it says nothing about this node.
func (h *host) grownOverflows(at capture.Time, o *AcceptQueueOptions) int64 {
	grown, _ := h.overflows.growth(at, o.Within)
	return max(grown, 0)
}
