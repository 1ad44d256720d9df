package rules

import (
	"time"

	"github.com/expr-lang/expr/vm"
)

// On says what a free rule looks at.
type On uint8

// What a free rule can look at.
const (
	OnRequest  On = iota // a request, when its last byte was seen
	OnExchange           // a call that ended, with its answer if it got one
	OnPending            // each call in flight, once a second
	OnNode               // the state of a node, once a second
	numOn
)

var onNames = [numOn]string{"request", "exchange", "pending", "node"}

// String returns the word that rule files use.
func (o On) String() string { return onNames[min(o, numOn-1)] }

// By says over what a free rule counts: each has its own count, and its own
// incident.
type By uint8

// What a free rule counts over; the server always counts on its own as well.
const (
	ByServer  By = iota
	ByClient     // an IPv4 address, or an IPv6 /64: whoever has one address there has them all
	ByCommand    // of the closed set
)

var byNames = [...]string{ByServer: "server", ByClient: "client", ByCommand: "command"}

// String returns the word that rule files use.
func (b By) String() string { return byNames[min(int(b), len(byNames)-1)] }

// Severity is how bad an operator thinks it is.
type Severity uint8

// The severities of free rules.
const (
	Info Severity = iota + 1
	Warning
	Critical
)

var severityNames = [...]string{"", "info", "warning", "critical"}

// String returns the word that rule files use.
func (s Severity) String() string { return severityNames[min(int(s), len(severityNames)-1)] }

// Bounds of free rules.
const (
	// maxAlerts bounds the free rules of a Set: each costs on every request.
	maxAlerts = 64
	// maxWindow and maxFor bound what must be remembered for each key.
	maxWindow = time.Hour
	maxFor    = 24 * time.Hour
	minWindow = time.Second
	// anyWindow is the window of a rule that fires at the first match.
	anyWindow = 10 * time.Second
	// maxWhen bounds an expression in bytes, and so the depth of its tree.
	maxWhen = 1000
	// maxNodes bounds the nodes of an expression: it has no loops, so they
	// bound its steps as well.
	maxNodes = 200
	// maxSteps bounds the instructions of the regular expressions of a rule,
	// and maxAllSteps those of all rules. Each may be taken once for each byte
	// of a text, of which there are at most maxFactPath: 200 of them cost a
	// millisecond at worst. A pattern as people write them has fifty.
	maxSteps    = 200
	maxAllSteps = 1000
	// maxMemory bounds what one evaluation may allocate, in the elements that
	// the expression library counts. Nothing that Compile lets pass allocates
	// any; this is the second lock on the same door.
	maxMemory = 1000
)

// AlertRule is a free rule: an alert that an operator wrote.
type AlertRule struct {
	Index    int    // position in Set.Alerts: dense, for arrays
	Name     string // CamelCase: the alert's name
	On       On
	By       By
	When     string        // the expression as it was written
	MoreThan int           // fires when more than so many matched …
	Within   time.Duration // … in so long; 0 for pending (how many wait now) and node
	For      time.Duration // and holds for so long
	Severity Severity
	Summary  string // the template as it was written; may be empty

	program *vm.Program
	summary template
	at      place
}

// Alerts returns the free rules, in order of first appearance.
func (s *Set) Alerts() []*AlertRule { return s.all.alerts }

// Errorf returns a FileError at the rule's name.
func (a *AlertRule) Errorf(hint, format string, args ...any) error {
	return a.at.errorf(hint, format, args...)
}

// overlayAlerts lays new rules over old ones: one of the same name replaces
// the whole, since half of one and half of another is what nobody wrote.
func overlayAlerts(old, add []*alertSpec) []*alertSpec {
	for _, n := range add {
		found := false
		for i := range old {
			if found = old[i].name == n.name; found {
				old[i] = n
				break
			}
		}
		if !found {
			old = append(old, n)
		}
	}
	return old
}

// alert compiles one free rule.
func (c *compiler) alert(spec *alertSpec) {
	a := &AlertRule{Index: len(c.set.alerts), Name: spec.name, On: OnRequest, Severity: Warning, When: spec.when.text, at: spec.at}
	if spec.on != nil {
		a.On = *spec.on
	}
	if spec.by != nil {
		a.By = *spec.by
	}
	if spec.severity != nil {
		a.Severity = *spec.severity
	}
	if spec.hold != nil {
		a.For = *spec.hold
	}
	c.moreThan(a, spec)
	if a.Index == maxAlerts {
		c.fail(spec.at, "", "more than %d free rules", maxAlerts)
	}
	if a.On == OnNode && a.By != ByServer {
		c.fail(spec.byAt, "drop by", "a rule on node counts by server alone")
	}
	a.program = c.expression(a.On, spec.when)
	if spec.summary != nil {
		a.Summary = spec.summary.text
		a.summary = c.template(a.On, *spec.summary)
	}
	c.set.alerts = append(c.set.alerts, a)
}

// moreThan checks that the count fits what is counted: requests come over
// time, calls in flight are there at once, and a node is one.
func (c *compiler) moreThan(a *AlertRule, spec *alertSpec) {
	m := spec.moreThan
	switch {
	case a.On == OnNode && m != nil:
		c.fail(m.at, "drop more_than; use for", "a rule on node does not count")
	case a.On == OnPending && m != nil && m.within != 0:
		c.fail(m.at, "write the number alone", "a rule on pending counts the calls in flight at once, not per time")
	case a.On < OnPending && m != nil && m.within == 0:
		c.fail(m.at, "like 20 per 10s", "more_than does not say in what time")
	case a.On < OnPending && m == nil:
		a.Within = anyWindow
	case m != nil:
		a.MoreThan, a.Within = m.n, m.within
	}
}

// Same reports whether a and b say the same.
func (a *AlertRule) Same(b *AlertRule) bool {
	return a.Name == b.Name && a.On == b.On && a.By == b.By && a.When == b.When && a.MoreThan == b.MoreThan &&
		a.Within == b.Within && a.For == b.For && a.Severity == b.Severity && a.Summary == b.Summary
}
