package status

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/notify"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
)

// Bounds of what is shown.
const (
	maxNodes = 12
	maxRows  = 30 // incidents that fire
	maxShape = 160
)

// Document returns what is to be shown now.
func (s *Status) Document() *Document {
	c, now := s.copy(), s.opts.Now()
	d := &Document{Time: instant(now), Instance: clean(s.opts.Instance, 64), Nodes: []*Node{}, Firing: []*Incident{}, Calls: []*Call{}, Resolved: []*Incident{},
		Build: Build{Version: s.opts.Build, Rules: s.opts.Rules, Started: instant(s.started), Uptime: now.Sub(s.started).Seconds()}}
	ahead := time.Duration(0) // of the snapshot
	if c.at != 0 {
		ahead = max(now.Sub(c.published), 0)
		d.Time = Instant(c.at.Add(ahead))
	}
	if s.opts.Health != nil {
		h := s.opts.Health()
		d.Health = &h
	}
	d.Host = c.host.document()
	d.Capture = s.capture(c, now)
	for i, n := range c.conns {
		switch st := httpreassembly.ConnState(i); st {
		case httpreassembly.StateClosed, httpreassembly.StateReset, httpreassembly.StateEvicted: // over
		default:
			if n > 0 || st == httpreassembly.StateOpen || st == httpreassembly.StateHalfClosed {
				d.Conns = append(d.Conns, Count{text.ConnState(st), uint64(max(n, 0))})
			}
		}
	}
	s.incidents(d, c)
	s.nodes(d, c, ahead)
	calls(d, c, ahead)
	d.told(&c.told)
	d.judge(s)
	return d
}

func clean(s string, limit int) string { return string(text.AppendClean(nil, s, limit)) }

func (s *Status) incidents(d *Document, c *copied) {
	firing := slices.Clone(c.firing)
	slices.SortStableFunc(firing, worst)
	d.MoreFires = c.hidden + max(0, len(firing)-maxRows)
	d.ids = make(map[*detect.Alert]string)
	names := make(map[string]int)
	for _, a := range firing[:min(len(firing), maxRows)] {
		in := s.incident(a, d.Time)
		in.ID = strings.ToLower(a.Name)
		if names[a.Name]++; names[a.Name] > 1 {
			in.ID += "-" + strconv.Itoa(names[a.Name])
		}
		d.ids[a] = in.ID
		d.Firing = append(d.Firing, in)
	}
	for _, a := range slices.Backward(c.resolved) {
		d.Resolved = append(d.Resolved, s.incident(a, d.Time))
	}
}

// worst puts what is worse first; of what is as bad, what the other follows
// from: the order of the documentation, but a node that is down has no other
// trouble.
func worst(a, b *detect.Alert) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(importance(a.Name), importance(b.Name)), cmp.Compare(a.Since, b.Since))
}

var order = func() map[string]int {
	m := make(map[string]int)
	for i, name := range notify.AlertNames() {
		m[name] = i + 1
	}
	m["NodeDown"] = 0
	return m
}()

func importance(name string) int {
	if i, ok := order[name]; ok {
		return i
	}
	return len(order) // of a rule file
}

func (s *Status) incident(a *detect.Alert, now Instant) *Incident {
	in := &Incident{Time: Instant(a.At), State: text.AlertState(a.State), Name: a.Name, Severity: text.Severity(a.Severity), Subject: a.Subject,
		Since: Instant(a.Since), For: max(a.At.Sub(a.Since), 0).Seconds(), Command: a.Command, Summary: a.Summary, Next: notify.Advice(a, s.opts.Proxy, s.opts.Node)}
	if a.State == detect.Firing {
		in.For = max(capture.Time(now).Sub(a.Since), 0).Seconds()
		for _, f := range notify.Story(a) {
			in.Story = append(in.Story, Line{f.Name, f.Value})
		}
	}
	if a.Server.IsValid() {
		in.Server = a.Server.String()
	}
	if a.Client.IsValid() {
		in.Client = a.Client.String()
	}
	in.Runbook = s.opts.Links.RunbookOf(a.Name)
	return in
}

func calls(d *Document, c *copied, ahead time.Duration) {
	all := 0
	for i := range c.nodes {
		all += c.nodes[i].InFlight - c.nodes[i].Doubted
	}
	d.MoreCalls = max(0, all-len(c.calls))
	for i := range c.calls {
		x := &c.calls[i]
		k := &Call{Server: serverName(x.Server), Conn: strconv.FormatInt(int64(x.Conn), 10), Depth: x.Depth, Client: end(x.Client), Command: clean(x.Command, 64),
			Raw: clean(x.Raw, 64), Shape: clean(x.Shape, maxShape), Since: Instant(x.Since), Age: (x.Age + ahead).Seconds(),
			Verdict: clean(string(x.Verdict), 32), Words: notify.CauseWords(x.Verdict)}
		if x.From != x.Client {
			k.From = end(x.From)
		}
		d.Calls = append(d.Calls, k)
	}
}

// end prints one end of a connection, of which perhaps only the address is
// known. A zone is free text.
func end(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().WithZone("").String()
	}
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port()).String()
}

func serverName(a netip.AddrPort) string {
	if !a.IsValid() {
		return otherServers
	}
	return end(a)
}

// otherServers is what detect calls those that are not followed one by one.
const otherServers = "other servers"

func (h *hostState) document() *Host {
	if !h.known {
		return nil
	}
	d := &Host{Problem: h.problem, Since: instant(h.since), PID: h.pid, Process: h.process}
	if h.problem != "" {
		return d
	}
	for i, n := range h.sockets {
		if st := capture.State(i); n > 0 && st > 0 {
			d.Sockets = append(d.Sockets, Count{st.String(), uint64(n)})
		}
	}
	if h.queue >= 0 {
		d.Queue, d.Max = &h.queue, &h.max
	}
	return d
}

func (s *Status) capture(c *copied, now time.Time) Capture {
	k := Capture{Ports: s.opts.Ports, Packets: c.packets, Bytes: c.bytes, Kernel: c.loss.Kernel, Interface: c.loss.Interface,
		GapBytes: c.gapBytes, Level: text.Level(c.level)}
	for _, name := range s.opts.Interfaces {
		k.Interfaces = append(k.Interfaces, text.Escape(name))
	}
	if c.last != 0 {
		at, age := Instant(c.last), max(now.Sub(c.last.Std()), 0).Seconds()
		k.Last, k.LastAge = &at, &age
	}
	for _, b := range c.bounds {
		k.Bounds = append(k.Bounds, Count{b.Name, b.N})
	}
	return k
}

// judge says how everything is together.
func (d *Document) judge(s *Status) {
	d.State, d.Sentence = s.without(d)
	if len(d.Nodes) > 0 {
		n := d.Nodes[0]
		d.State, d.Sentence = n.State, n.Sentence
		if len(d.Nodes) > 1 && (n.State == Warning || n.State == Critical) {
			d.Sentence = n.Name + ": " + d.Sentence
		}
	}
	for _, in := range d.Firing { // what concerns no node: the capture itself
		if in.Server == "" && rank(in.Severity) > rank(d.State) {
			d.State, d.Sentence = in.Severity, in.Summary
		}
	}
	if d.Health != nil && d.Health.Status != "ok" && rank(d.State) < rank(Warning) {
		d.State, d.Sentence = Unknown, sentence("what is shown may be wrong: "+strings.Join(d.Health.Reasons, "; "))
	}
	if len(d.Untold) > 0 && rank(d.State) < rank(Warning) {
		d.State, d.Sentence = Warning, strings.Join(d.Untold, " ")
	}
}

// rank orders the states by how much they want somebody's eyes.
func rank(state string) int {
	return slices.Index([]string{Idle, Fine, Unknown, Warning, Critical}, state)
}

// without says how it is while no node was seen.
func (s *Status) without(d *Document) (state, words string) {
	on := ports(s.opts.Ports)
	switch h := d.Host; {
	case h != nil && h.Problem != "" && d.Capture.Packets == 0:
		return Unknown, sentence("no node found and no packet of " + on + " seen: " + h.Problem)
	case h != nil && h.Problem != "":
		return Unknown, sentence("no connection to a node was seen: " + h.Problem)
	case d.Capture.Packets > 0:
		return Unknown, "Packets of " + on + " were seen, but no connection yet."
	case h != nil:
		return Idle, "The node's process is in sight (" + h.Process + ", pid " + strconv.Itoa(h.PID) + "). Nobody has called " + on + " yet."
	}
	return Unknown, "No packet of " + on + " was seen yet."
}
