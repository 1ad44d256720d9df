package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"stallwatch/rules"
)

// slot is the share of one command label in the metrics.
type slot struct {
	label     string
	api       string
	calls     [len(codeClasses)]prometheus.Counter // nil until used
	wait      prometheus.Observer
	abandoned [len(abandonedBy)]prometheus.Counter // nil until used
}

// slots gives each command its label. A busy set has hundreds of commands, a
// metric should have few series: those that tell of a stall (canaries, lock
// groups, slow classes) have a label of their own for certain, the others as
// they come until the labels are used up. An attacker who asks for everything
// thus hides only what matters least.
type slots struct {
	v        *vectors
	commands []*rules.Command
	byIndex  []*slot
	byLabel  map[string]*slot
	other    *slot
	free     int // labels for commands that are not reserved
	reserved int
	max      int
}

func newSlots(v *vectors, commands []*rules.Command, limit int) *slots {
	s := &slots{v: v, commands: commands, byIndex: make([]*slot, len(commands)), byLabel: map[string]*slot{}, max: limit}
	s.other = s.label("other", rules.Other)
	s.reserved = limit * 2 / 3
	s.free = limit - s.reserved
	return s
}

// of returns the slot of a command.
func (s *slots) of(c *rules.Command) *slot {
	if c == nil || c.Index < 0 || c.Index >= len(s.byIndex) {
		return s.other
	}
	if x := s.byIndex[c.Index]; x != nil {
		return x
	}
	return s.assign(c)
}

// assign decides once for each command.
func (s *slots) assign(c *rules.Command) *slot {
	x := s.other
	switch old := s.byLabel[c.Name]; {
	case c.Name == rules.Other:
	case old != nil:
		x = old // the same name in two packs is one label
	case telling(c) && s.reserved > 0:
		s.reserved--
		x = s.label(c.API, c.Name)
	case s.free > 0:
		s.free--
		x = s.label(c.API, c.Name)
	}
	s.byIndex[c.Index] = x
	return x
}

func telling(c *rules.Command) bool {
	return c.Canary || c.Lock != "" || c.Admin || c.Class == rules.ClassHeavy || c.Class == rules.ClassJob
}

// maxLabel bounds a command's name in a label, in bytes: rule files are the
// operator's, but a page of metrics has to stay readable.
const maxLabel = 64

func (s *slots) label(api, name string) *slot {
	x := &slot{label: cleanLabel(name), api: cleanLabel(api)}
	x.wait = s.v.wait.WithLabelValues(x.label)
	s.byLabel[name] = x
	return x
}

func cleanLabel(s string) string {
	if len(s) > maxLabel {
		s = s[:maxLabel]
	}
	return strings.ToValidUTF8(s, "?")
}

// codeClasses are the values of code_class; "none" is a call that ended
// without an answer.
var codeClasses = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

func codeClass(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status / 100
}

func (x *slot) count(v *vectors, class int) {
	if x.calls[class] == nil {
		x.calls[class] = v.calls.WithLabelValues(x.api, x.label, codeClasses[class])
	}
	x.calls[class].Inc()
}

// abandonedBy are the values of side.
var abandonedBy = [...]string{"client", "server"}

func (x *slot) abandon(v *vectors, side int) {
	if x.abandoned[side] == nil {
		x.abandoned[side] = v.abandoned.WithLabelValues(x.label, abandonedBy[side])
	}
	x.abandoned[side].Inc()
}
