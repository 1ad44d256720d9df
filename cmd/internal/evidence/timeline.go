package evidence

import (
	"fmt"
	"slices"
	"time"

	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
)

// appendTimeline prints what was told, in order of time, a line each.
// Everything that may come from the wire or from a rule file is escaped.
func appendTimeline(dst []byte, a *detect.Alert, list []moment) []byte {
	slices.SortStableFunc(list, func(x, y moment) int {
		switch {
		case x.at < y.at:
			return -1
		case x.at > y.at:
			return 1
		}
		return 0
	})
	dst = fmt.Appendf(dst, "Timeline of %s %s; times are UTC\n", text.Escape(a.Name), text.Escape(a.Subject))
	for i := range list {
		m := &list[i]
		dst = fmt.Appendf(dst, "%s  ", m.at.Std().Format("2006-01-02 15:04:05.000"))
		switch {
		case m.alert != nil:
			dst = appendAlert(dst, m.alert, m.alert == a)
		case m.pending != nil:
			p := m.pending
			dst = fmt.Appendf(dst, "call   %s from %s unanswered for %s (%s)", text.Escape(commandOf(p)), plainEnd(p.Flow.Client.AddrPort()), p.Age.Round(time.Millisecond), p.Cause)
		case m.node != nil:
			dst = appendNode(dst, m.node)
		default:
			dst = fmt.Appendf(dst, "loss   %d packets by the kernel, %d by the interface", m.loss.Kernel, m.loss.Interface)
			if m.loss.Unwatched > 0 {
				cause, _ := text.Pause(m.loss.Why)
				dst = fmt.Appendf(dst, "; unwatched for %s: %s", m.loss.Unwatched.Round(time.Millisecond), cause)
			}
		}
		dst = append(dst, '\n')
	}
	return dst
}

func commandOf(p *detect.Pending) string {
	if p.Call.Command == nil {
		return "other"
	}
	return p.Call.Command.Name
}

func appendAlert(dst []byte, a *detect.Alert, this bool) []byte {
	mark := ""
	if this {
		mark = "  <- this bundle"
	}
	return fmt.Appendf(dst, "alert  %s %s %s: %s%s", a.Severity, text.Escape(a.Name), a.State, text.Escape(a.Summary), mark)
}

func appendNode(dst []byte, n *detect.Node) []byte {
	dst = fmt.Appendf(dst, "node   %s: %d connections, %d calls in flight, %d half closed by the client", plainEnd(n.Server), n.Connections, n.InFlight, n.CloseWait)
	if n.InFlight > 0 {
		dst = fmt.Appendf(dst, ", oldest %s", n.Oldest.Round(time.Millisecond))
	}
	if n.Host {
		dst = fmt.Appendf(dst, "; host: %s CLOSE_WAIT, %s not accepted, %s of %s descriptors",
			known(n.CloseWaitKernel), known(n.Unaccepted), known(n.FDs), known(n.FDLimit))
	}
	if n.HasETA {
		dst = fmt.Appendf(dst, ", which end in %s", n.ETA.Round(time.Second))
	}
	return dst
}

func known(n int) string {
	if n < 0 {
		return "?"
	}
	return fmt.Sprint(n)
}
