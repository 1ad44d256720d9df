package detect

import (
	"fmt"

	"stallwatch/capture"
)

// Detectors of what is asked, by policy: each raises when a deed happened
// often enough lately.

// raiseDeeds raises a detector's incident about deeds and fills in all but the
// words; nil: there is nothing to say.
func raiseDeeds(name string, v *view, n *node, k deed, sev Severity, value, limit float64, at capture.Time, l *lifecycle) *Alert {
	a := l.raise(at, incidentKey{detector: name, node: n.id}, n, sev, value)
	if a == nil {
		return nil
	}
	d := n.deeds[k]
	d.blame(a, v, n, at)
	a.Unit, a.Limit = "calls", limit
	if d.command != nil {
		a.Command = d.command.Name
	}
	return a
}

// remembered is raise's counterpart: it keeps the words.
func (l *lifecycle) remembered(name string, n *node, a *Alert) {
	l.remember(incidentKey{detector: name, node: n.id}, a)
}

// oversizedRequest fires at requests that no node needs to serve: the node
// reads them whole before it can refuse.
type oversizedRequest struct{}

func (oversizedRequest) name() string { return "OversizedRequest" }

func (d oversizedRequest) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.OversizedRequest
	r := Rate{o.Calls, o.Within}
	count := n.lately(oversized, at, &r)
	if count < o.Calls {
		return
	}
	a := raiseDeeds(d.name(), v, n, oversized, Warning, float64(count), float64(o.Calls), at, l)
	if a == nil {
		return
	}
	a.Summary = fmt.Sprintf("%s to %s beyond what a node serves, the last of %s", plural(count, "call"), n.name(), a.Command)
	a.Why = fmt.Sprintf("%d within %s (fires at %d) with more than %d list elements or %d bytes of content; the largest had %.0f",
		count, inSeconds(o.Within), o.Calls, o.Elements, o.Body, n.deeds[oversized].most)
	l.remembered(d.name(), n, a)
}

// malformedRequests fires at clients that do not speak the API's language.
type malformedRequests struct{}

func (malformedRequests) name() string { return "MalformedRequests" }

func (d malformedRequests) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.MalformedRequests
	r := Rate{o.Calls, o.Within}
	count := n.lately(malformed, at, &r)
	if count < o.Calls {
		return
	}
	a := raiseDeeds(d.name(), v, n, malformed, Warning, float64(count), float64(o.Calls), at, l)
	if a == nil {
		return
	}
	a.Unit = "requests"
	a.Summary = fmt.Sprintf("%s to %s that are no HTTP or no JSON", plural(count, "request"), n.name())
	a.Why = fmt.Sprintf("%d within %s (fires at %d)", count, inSeconds(o.Within), o.Calls)
	l.remembered(d.name(), n, a)
}

// unknownCommands fires when many different commands are asked for that no
// pack knows: somebody tries what the node can do.
type unknownCommands struct{}

func (unknownCommands) name() string { return "UnknownCommands" }

func (d unknownCommands) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.UnknownCommands
	if n.unknown == nil {
		return
	}
	count := n.unknown.distinct(at, o.Within)
	if count < o.Names || n.deeds[unknownName] == nil {
		return
	}
	a := raiseDeeds(d.name(), v, n, unknownName, Warning, float64(count), float64(o.Names), at, l)
	if a == nil {
		return
	}
	a.Unit = "names"
	a.Summary = fmt.Sprintf("%d different commands that nobody knows were asked of %s", count, n.name())
	a.Why = fmt.Sprintf("%d names within %s (fires at %d)", count, inSeconds(o.Within), o.Names)
	l.remembered(d.name(), n, a)
}
