package records

import (
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
)

func (r *Writer) alert(a *detect.Alert) {
	l := &r.l
	l.begin("alert")
	l.time("time", a.At)
	l.word("state", text.AlertState(a.State))
	l.text("alert", a.Name)
	l.word("severity", text.Severity(a.Severity))
	if a.Repeat {
		l.key("repeat")
		l.b = append(l.b, "true"...)
	}
	l.text("subject", a.Subject)
	l.time("since", a.Since)
	l.addrPort("server", a.Server)
	l.text("client", a.Client.String())
	l.text("command", a.Command)
	l.float("value", a.Value)
	l.float("limit", a.Limit)
	l.text("unit", a.Unit)
	l.text("summary", a.Summary)
	l.text("why", a.Why)
	l.float("confidence", a.Confidence)
	r.evidence(&a.Evidence)
	r.done()
}

func (r *Writer) evidence(e *detect.Evidence) {
	l := &r.l
	l.open("evidence", '{')
	if len(e.Calls) > 0 {
		l.open("calls", '[')
		for i := range e.Calls {
			r.callRef(&e.Calls[i])
		}
		l.shut(']')
	}
	l.int("in_flight", int64(e.InFlight))
	if len(e.Clients) > 0 {
		l.open("clients", '[')
		for _, c := range e.Clients {
			l.comma()
			l.b = append(l.b, '{')
			l.text("client", c.Client.String())
			l.int("n", int64(c.N))
			l.shut('}')
		}
		l.shut(']')
	}
	l.known("close_wait", e.CloseWait)
	l.known("close_wait_kernel", e.CloseWaitKernel)
	l.known("unaccepted", e.Unaccepted)
	l.known("fds", e.FDs)
	l.known("fd_limit", e.FDLimit)
	if e.HasETA {
		l.seconds("fd_eta_seconds", e.ETA)
		l.seconds("fd_eta_low_seconds", e.ETALow)
		if e.ETAHigh > 0 {
			l.seconds("fd_eta_high_seconds", e.ETAHigh)
		}
	}
	l.uint("lost_packets", e.LostPackets)
	l.uint("gap_bytes", e.GapBytes)
	if e.Leg.Side != detect.NoLeg {
		r.leg(&e.Leg)
	}
	l.shut('}')
}

func (r *Writer) leg(g *detect.Leg) {
	l := &r.l
	l.open("leg", '{')
	l.word("side", g.Side.String())
	l.addrPort("proxy", g.Proxy)
	l.addrPort("node", g.Node)
	if g.Leaks {
		l.key("leaks")
		l.b = append(l.b, "true"...)
	}
	l.int("paired", int64(g.Paired))
	if g.Side == detect.NodeLeg {
		l.int("queued", int64(g.Queued))
		l.int("client_left", int64(g.Left))
		l.int("proxy_gave_up", int64(g.GaveUp))
		if g.GaveUp > 0 {
			l.int("proxy_status", int64(g.Status))
			l.seconds("proxy_patience_seconds", g.Patience)
		}
	}
	l.shut('}')
}

func (r *Writer) callRef(c *detect.CallRef) {
	l := &r.l
	l.comma()
	l.b = append(l.b, '{')
	l.conn(c.Conn)
	l.int("depth", int64(c.Depth))
	r.end("client", c.Client)
	if c.From != c.Client {
		l.addrPort("from", c.From)
	}
	l.text("command", c.Command)
	if c.Raw != "" {
		r.scratch = text.AppendClean(r.scratch[:0], c.Raw, text.MaxField)
		r.quote("raw", r.scratch)
	}
	l.text("shape", c.Shape)
	l.time("since", c.Since)
	l.seconds("age_seconds", c.Age)
	l.word("verdict", string(c.Verdict))
	l.shut('}')
}
