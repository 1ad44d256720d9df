package report

import (
	"fmt"
	"slices"
	"strings"

	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
)

// Who opens a report at night reads its first ten lines: what fired when, and
// who is to blame, stand there; the evidence comes below.

// headline lists what fired, each alert once, by the time it first did.
func (r *Report) headline(p *page, st *pipeline.Stats) {
	if len(r.alerts) == 0 {
		p.line("# Alerts:      none")
		return
	}
	var names []string
	var words strings.Builder
	for i := range r.alerts {
		a := &r.alerts[i]
		if slices.Contains(names, a.Name) || a.State != detect.Firing {
			continue
		}
		if names = append(names, a.Name); len(names) > 1 {
			words.WriteString(", ")
		}
		words.WriteString(a.Name + " " + offset(a.At, st.First) + r.grade(a, st))
	}
	p.wrap("# Alerts:      ", under, words.String())
}

// under is below the words of the header.
const under = "#              "

// grade says what an alert that began with first came to.
func (r *Report) grade(first *detect.Alert, st *pipeline.Stats) string {
	if first.Severity == detect.Critical {
		return " (critical)"
	}
	for i := range r.alerts {
		if a := &r.alerts[i]; a.Name == first.Name && a.State == detect.Firing && a.Severity == detect.Critical {
			return fmt.Sprintf(" (critical %s)", offset(a.At, st.First))
		}
	}
	if first.Severity <= detect.Info {
		return " (info)"
	}
	return ""
}

// innocent are the alerts whose calls and clients were only there: they
// suffered, or the capture did.
var innocent = []string{"NodeDown", "NodeRestarted", "CaptureLoss", "CaptureBlind", "ReceiverStopped"}

// crowds are the alerts about clients that take all workers or sockets: calls
// that stall after one fired may be its victims, whatever their command.
var crowds = []string{"SlowRequest", "SlowReader", "ConnectionFlood", "RequestFlood", "SynFlood"}

// blamed returns the alerts that name the culprit best: CallStalled, else
// another that holds calls responsible, else one that names a client, else one
// that counts them; of these the gravest and latest. Where calls stalled after
// a crowd came, the crowd goes before them.
func (r *Report) blamed() []*detect.Alert {
	var best, crowd *detect.Alert
	rank := 0
	for i := range r.alerts {
		a := &r.alerts[i]
		if a.State != detect.Firing || a.Severity < detect.Warning || slices.Contains(innocent, a.Name) {
			continue
		}
		if slices.Contains(crowds, a.Name) && rank < 200 {
			crowd = a
		}
		if n := weight(a); n >= rank && n > 0 {
			best, rank = a, n
		}
	}
	switch {
	case best == nil:
		return nil
	case crowd == nil || crowd.Name == best.Name || rank < 200:
		return []*detect.Alert{best}
	}
	return []*detect.Alert{crowd, best}
}

// weight is how well an alert names who is to blame; 0 is not at all.
func weight(a *detect.Alert) int {
	n := int(a.Severity)
	switch {
	case a.Name == "CallStalled" && len(a.Evidence.Calls) > 0:
		return n + 300
	case hangs(a) && !slices.Contains(crowds, a.Name):
		return n + 200
	case a.Client.IsValid():
		return n + 100
	case len(a.Evidence.Clients) > 0:
		return n
	}
	return 0
}

// hangs reports whether a is about calls that wait: a call of another alert is
// an example of what was asked, and perhaps long answered.
func hangs(a *detect.Alert) bool {
	return len(a.Evidence.Calls) > 0 && (a.Name == "CallStalled" || a.Evidence.Calls[0].Verdict != detect.CauseUnknown)
}

// culprit names who is to blame, with the words of the alerts that know best.
func (r *Report) culprit(p *page) {
	label := "# Culprit:     "
	for _, a := range r.blamed() {
		words := a.Summary
		switch who := r.who(a); {
		case r.stuck(a):
			words = "perhaps the node itself, cheap calls hang: " + words
		case !strings.Contains(words, who):
			words = who + ": " + words
		}
		if len(a.Evidence.Clients) > 0 {
			words += "; clients " + clients(&a.Evidence)
		}
		p.wrap(label, under, words)
		label = "# or:          "
	}
}

// who is the command or the client that an alert is about, "" if several are.
func (r *Report) who(a *detect.Alert) string {
	switch {
	case hangs(a) && a.Evidence.Calls[0].Command != "":
		return named(&a.Evidence.Calls[0])
	case a.Client.Addr().Is6() && a.Client.Prefix().IsSingleIP():
		return "[" + a.Client.String() + "]"
	}
	return a.Client.String()
}

// stuck reports whether what hangs longest is a call that costs a node
// nothing: no client is to blame for it.
func (r *Report) stuck(a *detect.Alert) bool {
	if !hangs(a) {
		return false
	}
	for _, c := range r.commands {
		if c != nil && c.canary && c.name == a.Evidence.Calls[0].Command {
			return true
		}
	}
	return false
}

// named is a call's command, and what it was asked as if no rule knows it.
func named(c *detect.CallRef) string {
	switch {
	case c.Raw != "":
		return c.Command + " " + c.Raw
	case c.Command == "":
		return "request"
	}
	return c.Command
}

func clients(e *detect.Evidence) string {
	names := make([]string, len(e.Clients))
	for i, c := range e.Clients {
		names[i] = fmt.Sprintf("%s (%d)", c.Client, c.N)
	}
	return strings.Join(names, ", ")
}

// next says how to go on against the culprit: lines for the shell.
func (r *Report) next(p *page) {
	list := r.blamed()
	if len(list) > 0 {
		p.line("What to do:")
	}
	for _, a := range list {
		r.advise(p, a)
	}
}

func (r *Report) advise(p *page, a *detect.Alert) {
	line := "  stallwatch advise --alert " + quoted(a.Name)
	add := func(flag string) {
		if len(line)+len(flag)+len(` \`) > width {
			p.line("%s", line+` \`)
			line = "   "
		}
		line += flag
	}
	if c := a.Evidence.Calls; hangs(a) && c[0].Command != "" && c[0].Raw == "" && !r.stuck(a) {
		add(" --command " + quoted(c[0].Command))
	}
	if a.Client.IsValid() {
		add(" --client " + a.Client.String())
	}
	p.line("%s", line)
}

// quoted is a name as a shell takes it whole.
func quoted(name string) string {
	if strings.ContainsFunc(name, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_-./:", c))
	}) {
		return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	return name
}

// causes are the verdicts on a call in the words of a line that is read in
// haste; the records have the closed words.
var causes = map[detect.Cause]string{
	detect.CauseApp:          ", node silent",
	detect.CauseGone:         ", client gone",
	detect.CauseCaptureGap:   ", hole in the capture",
	detect.CauseHost:         ", machine silent",
	detect.CauseNetwork:      ", packets lost on the way",
	detect.CauseClientUpload: ", client still sends",
	detect.CauseClientRead:   ", client does not read",
	detect.CauseUnaccepted:   ", not accepted yet",
}

// callLines lists the calls of an alert's evidence: whom it blames and who
// waits too, or only examples.
func callLines(a *detect.Alert) []string {
	var lines []string
	for i := range a.Evidence.Calls[:min(len(a.Evidence.Calls), maxCalls)] {
		c := &a.Evidence.Calls[i]
		role := "call"
		switch {
		case hangs(a) && i == 0:
			role = "culprit"
		case hangs(a):
			role = "waits too"
		}
		lines = append(lines, fmt.Sprintf("%-11s %s %s from %s%s %s", role, named(c), duration(c.Age), end(c.Client), causes[c.Verdict], c.Shape))
	}
	return lines
}

// maxCalls bounds the calls that are shown of an alert.
const maxCalls = 4
