package notify

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
)

// card is what a message says of one incident: words without any markup,
// printable ASCII. A receiver escapes them for its own markup.
type card struct {
	alert    *detect.Alert
	changed  bool
	severity detect.Severity // 0: resolved
	Title    string
	Summary  string
	Facts    []Fact
	Next     []string // what to do
	Runbook  string   // a link, "" if there is none
}

// Fact is a named line about an alert.
type Fact struct {
	Name, Value string
	Short       bool // two of them share a line
}

// note is a whole message before a receiver gives it its form.
type note struct {
	Title   string
	Over    bool
	Worst   detect.Severity // of what fires
	Cards   []card          // worst first
	Told    string          // about changes that were dropped; usually ""
	Status  string          // a link
	Group   string
	Started time.Time
}

// speaker makes notes: it knows what the configuration says about the node.
type speaker struct {
	instance, proxy, node string
	links                 Links
}

func newSpeaker(c *Config) speaker {
	name := c.Instance
	if name == "" {
		name, _ = os.Hostname() // without a name nobody speaks; it is only shown
	}
	return speaker{clean(name, 64), c.Proxy, c.Node, c.Links}
}

// note renders b, or only what changed.
func (s *speaker) note(b *batch) note {
	n := note{Over: b.Over, Group: b.Group, Status: s.links.Status}
	for _, c := range b.All {
		k := s.card(&c.Alert)
		k.changed = slices.Contains(b.Changed, c)
		n.Worst = max(n.Worst, k.severity)
		if t := instant(c.Alert.Since); n.Started.IsZero() || t.Before(n.Started) {
			n.Started = t
		}
		n.Cards = append(n.Cards, k)
	}
	slices.SortStableFunc(n.Cards, func(a, b card) int { return int(b.severity) - int(a.severity) })
	n.Title = s.title(b, &n)
	if b.Dropped > 0 {
		n.Told = fmt.Sprintf("%d earlier changes of alerts were dropped and are not shown", b.Dropped)
	}
	return n
}

func (s *speaker) title(b *batch, n *note) string {
	t := "RESOLVED"
	if !b.Over {
		t = strings.ToUpper(text.Severity(n.Worst))
	}
	if b.Test {
		t = "TEST " + t
	}
	if s.instance != "" {
		t += " [" + s.instance + "]"
	}
	if len(n.Cards) > 0 {
		t += " " + n.Cards[0].alert.Name + " on " + n.Cards[0].alert.Subject
	}
	if more := len(n.Cards) - 1; more > 0 {
		t += fmt.Sprintf(" and %d more", more)
	}
	return t
}

func (s *speaker) card(a *detect.Alert) card {
	c := card{alert: a, Summary: a.Summary, Next: Advice(a, s.proxy, s.node)}
	word := "RESOLVED"
	if a.State == detect.Firing {
		c.severity = a.Severity
		word = strings.ToUpper(text.Severity(a.Severity))
	}
	c.Title = word + " " + a.Name + " on " + a.Subject
	c.Facts = facts(a)
	c.Runbook = s.links.RunbookOf(a.Name)
	return c
}

// RunbookOf is the link to what an alert means; "" if there is none.
func (l *Links) RunbookOf(alert string) string {
	if l.Runbook == "" || strings.Contains(l.Runbook, "#") {
		return l.Runbook
	}
	return l.Runbook + "#" + strings.ToLower(alert)
}

// facts are the numbers and names of an alert, in the order of the questions
// that a person asks.
func facts(a *detect.Alert) []Fact {
	var f []Fact
	add := func(name, value string, short bool) { f = appendFact(f, name, value, short) }
	add("Since", sinceText(a), true)
	if a.Unit != "" && a.Value != 0 {
		add("Measured", measured(a), true)
	}
	e := &a.Evidence
	if e.HasETA && e.ETA > 0 {
		add("Runs out", "in "+words(e.ETA)+", at "+instant(a.At.Add(e.ETA)).Format("15:04:05 UTC"), true)
	}
	add("Descriptors", ofLimit(e.FDs, e.FDLimit), true)
	add("Sockets", sockets(e), true)
	if e.InFlight > 0 {
		add("In flight", strconv.Itoa(e.InFlight)+" calls", true)
	}
	return append(f, Story(a)...)
}

// Story is what an alert says of its cause: who asks, what, where it hangs,
// why it fired and how sure that is. A message has its numbers beside it; a
// page has the present ones.
func Story(a *detect.Alert) []Fact {
	var f []Fact
	f = appendFact(f, "Who", who(a), false)
	f = appendFact(f, "What", what(a), false)
	f = appendFact(f, "Where", where(a), true)
	f = appendFact(f, "Why", a.Why, false)
	return appendFact(f, "How sure", confidence(a), true)
}

func appendFact(f []Fact, name, value string, short bool) []Fact {
	if value == "" {
		return f
	}
	return append(f, Fact{name, value, short})
}

func sinceText(a *detect.Alert) string {
	s := instant(a.Since).Format("2006-01-02 15:04:05 UTC")
	if d := a.At.Sub(a.Since); d >= time.Second {
		s += ", for " + words(d)
	}
	return s
}

func measured(a *detect.Alert) string {
	s := amount(a.Value, a.Unit)
	if a.Limit != 0 {
		s += " (limit " + amount(a.Limit, a.Unit) + ")"
	}
	return s
}

func amount(v float64, unit string) string {
	switch unit {
	case "ratio":
		return strconv.FormatFloat(v*100, 'f', 1, 64) + " %"
	case "seconds":
		return words(time.Duration(min(v, 1e9) * float64(time.Second)))
	}
	return strconv.FormatFloat(v, 'f', -1, 64) + " " + unit
}

// words is a duration as people say it: two digits are enough for a decision.
func words(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Round(time.Minute).Minutes())) + " min"
	case d < 48*time.Hour:
		return strconv.FormatFloat(d.Round(6*time.Minute).Hours(), 'f', -1, 64) + " h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + " days"
}

func ofLimit(n, limit int) string {
	switch {
	case n < 0:
		return ""
	case limit <= 0:
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d of %d (%.0f %%)", n, limit, 100*float64(n)/float64(limit))
}

func sockets(e *detect.Evidence) string {
	var s []string
	if e.CloseWait > 0 {
		s = append(s, fmt.Sprintf("%d half closed on the wire", e.CloseWait))
	}
	if e.CloseWaitKernel > 0 {
		s = append(s, fmt.Sprintf("%d CLOSE_WAIT in the kernel", e.CloseWaitKernel))
	}
	if e.Unaccepted > 0 {
		s = append(s, fmt.Sprintf("%d not accepted", e.Unaccepted))
	}
	return strings.Join(s, ", ")
}

// who lists clients: the one that stands out, then the rest by count.
func who(a *detect.Alert) string {
	var s []string
	if a.Client.IsValid() {
		s = append(s, a.Client.String()+" stands out")
	}
	for _, c := range a.Evidence.Clients {
		if c.Client.IsValid() && len(s) < 6 {
			s = append(s, fmt.Sprintf("%s (%d)", c.Client, c.N))
		}
	}
	return strings.Join(s, ", ")
}

// what names the command and the shape of its parameters. Of what a client
// sent only a piece is shown, and that defanged.
func what(a *detect.Alert) string {
	s := commandOf(a)
	if len(a.Evidence.Calls) == 0 {
		return s
	}
	c := &a.Evidence.Calls[0]
	if c.Command != s {
		return s
	}
	if c.Shape != "" {
		s += " " + defang(cut(c.Shape, 2*maxWire))
	}
	if c.Raw != "" {
		s += " \"" + defang(cut(c.Raw, maxWire)) + "\""
	}
	if c.Age > 0 {
		s += ", oldest " + words(c.Age)
	}
	return s
}

// causes are the verdicts on the oldest call, in words.
var causes = map[detect.Cause]string{
	detect.CauseApp:          "the node's process has the request and does not answer",
	detect.CauseGone:         "the node's process works on; the client has left",
	detect.CauseCaptureGap:   "perhaps nowhere: a hole in the capture may hide the answer",
	detect.CauseHost:         "the node's machine does not react",
	detect.CauseNetwork:      "the path between client and node loses packets",
	detect.CauseClientUpload: "the client has not sent all of its request",
	detect.CauseClientRead:   "the client does not read the answer",
	detect.CauseUnaccepted:   "the node's process has not accepted the connection",
}

// CauseWords says in words where a call hangs; "" if that is not known.
func CauseWords(c detect.Cause) string { return causes[c] }

// where says where the oldest call hangs.
func where(a *detect.Alert) string {
	if a.State == detect.Resolved || len(a.Evidence.Calls) == 0 {
		return ""
	}
	return causes[a.Evidence.Calls[0].Verdict]
}

// defang breaks what a chat program would make a link or a mention of, in the
// way that people who exchange malware addresses write them.
func defang(s string) string {
	s = strings.NewReplacer("://", "[:]//", "@", "[at]", "www.", "www[.]").Replace(s)
	b := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		if s[i] == '.' && i+1 < len(s) && letter(s[i+1]) {
			b = append(b, "[.]"...)
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func confidence(a *detect.Alert) string {
	if a.State == detect.Resolved || a.Confidence <= 0 {
		return ""
	}
	s := strconv.FormatFloat(a.Confidence*100, 'f', 0, 64) + " %"
	if e := &a.Evidence; e.LostPackets > 0 || e.GapBytes > 0 {
		s += fmt.Sprintf("; the capture missed %d packets and %d bytes meanwhile", e.LostPackets, e.GapBytes)
	}
	return s
}

// plain is the note as lines of text, for receivers without markup and for
// the second try of those that refused the first.
func (n *note) plain(limit int) string {
	var b strings.Builder
	for i := range n.Cards {
		c := &n.Cards[i]
		fmt.Fprintf(&b, "%s\n%s\n", c.Title, c.Summary)
		for _, f := range c.Facts {
			fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
		}
		for _, line := range c.Next {
			fmt.Fprintf(&b, "- %s\n", line)
		}
		if c.Runbook != "" {
			fmt.Fprintf(&b, "%s\n", c.Runbook)
		}
		b.WriteByte('\n')
	}
	for _, line := range []string{n.Told, n.Status} {
		if line != "" {
			b.WriteString(line + "\n")
		}
	}
	return cut(strings.TrimSpace(b.String()), limit)
}

// cutMark ends a text that was cut.
const cutMark = "..."

// cut returns at most limit bytes of s and never splits a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := max(limit-len(cutMark), 0)
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + cutMark[:min(len(cutMark), limit)]
}
