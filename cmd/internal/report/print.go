package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
)

// Write prints the report of a run that stats describe.
func (r *Report) Write(w io.Writer, stats pipeline.Stats) error {
	st := &stats
	p := &page{}
	r.header(p, st)
	r.profile(p)
	r.curves(p, st)
	r.timeline(p, st)
	oddities(p, &st.Tracker)
	skipped(p, st)
	r.closing(p, st)
	_, err := w.Write(p.b)
	return err
}

func (r *Report) header(p *page, st *pipeline.Stats) {
	span := st.Last.Sub(st.First)
	p.line("# stallwatch %s, rules %s", cmp.Or(r.opts.Version, "(unreleased)"), cmp.Or(r.digest, "none"))
	for i, s := range r.opts.Sources {
		if i == 10 {
			p.line("# and %s", plural(uint64(len(r.opts.Sources)-i), "more file"))
			break
		}
		p.line("# Source:      %s", s)
	}
	if st.Packets == 0 {
		p.line("# Packets:     none")
	} else {
		p.line("# Time range:  %s to %s (%s)", stamp(st.First), stamp(st.Last), duration(span))
		p.line("# Packets:     %s, %s%s", text.Number(st.Packets), size(st.Bytes), rate(st, span))
	}
	p.line("# Connections: %s opened, %s refused, %s unanswered", text.Number(st.Tracker.Opened), text.Number(r.refused), text.Number(r.silent))
	p.line("# Exchanges:   %s, of them %s in flight at the end", text.Number(r.exchanges), text.Number(r.pending))
	var odd uint64
	for _, n := range st.Tracker.Oddities {
		odd += n
	}
	p.line("# Oddities:    %s", text.Number(odd))
	p.line("# Capture:     %s lost, %s in %s", plural(st.Loss.Kernel+st.Loss.Interface, "packet"), size(st.Tracker.GapBytes), plural(st.Tracker.Gaps, "hole"))
	if reached := st.Bounds(); len(reached) > 0 {
		var list []string
		for _, b := range reached {
			list = append(list, text.Number(b.N)+" "+strings.ReplaceAll(b.Name, "_", " "))
		}
		p.wrap("# Bounds:      ", "#              ", strings.Join(list, ", "))
	}
	if st.Pauses > 0 {
		p.wrap("# Unwatched:   ", under, fmt.Sprintf("%s in %s: no alert comes of it, and what may have ended in it was given up: %s", duration(st.Loss.Unwatched),
			plural(st.Pauses, "pause"), plural(st.Tracker.Unwatched, "connection")))
	}
	if st.Jumps > 0 {
		p.wrap("# Clock:       ", under, fmt.Sprintf("set back %s, by %s in all: what came after is moved to go on from there", plural(st.Jumps, "time"), duration(st.Shift)))
	}
	for i, b := range st.Broken {
		if i == 10 {
			p.line("# and %s", plural(uint64(len(st.Broken)-i), "more break"))
			break
		}
		p.line("# Broken:      %s", b)
	}
	if st.Packets > 0 {
		r.headline(p, st)
		r.culprit(p)
	}
}

func rate(st *pipeline.Stats, span time.Duration) string {
	if span <= 0 {
		return ""
	}
	s := span.Seconds()
	return fmt.Sprintf(", %s packets/s, %s/s", digits(float64(st.Packets)/s), size(uint64(float64(st.Bytes)/s)))
}

func stamp(t capture.Time) string { return t.Std().Format("2006-01-02 15:04:05.000 UTC") }

const (
	nameWidth = 34
	rowFormat = "%-*s %7s %6s %8s %8s %8s %8s %6s %6s"
)

func (r *Report) profile(p *page) {
	rows := r.rows()
	p.line("")
	p.line("# Profile: wait from the request's last byte to the answer's first, by share of server time")
	if len(rows) == 0 {
		p.line("No request was seen.")
		return
	}
	var total float64
	for _, c := range rows {
		total += c.wait.sum.Seconds()
	}
	same := map[string]int{}
	for _, c := range rows {
		same[c.name]++
	}
	p.line(rowFormat, nameWidth, "Command", "Calls", "Errors", "p50", "p95", "p99", "Max", "Open", "Time")
	for i, c := range rows {
		if i == r.opts.Commands {
			rest := &command{name: fmt.Sprintf("(%s)", plural(uint64(len(rows)-i), "more command"))}
			for _, m := range rows[i:] {
				rest.merge(m)
			}
			rest.row(p, rest.name, total)
			break
		}
		name := c.name
		if same[name] > 1 { // as "other" of two APIs
			name += " (" + c.api + ")"
		}
		c.row(p, name, total)
	}
}

// rows returns the commands seen, by time taken, then by name.
func (r *Report) rows() []*command {
	var rows []*command
	for _, c := range append(slices.Clone(r.commands), &r.unnamed) {
		if c != nil && c.requests+c.open > 0 {
			rows = append(rows, c)
		}
	}
	slices.SortStableFunc(rows, func(a, b *command) int {
		if a.wait.sum != b.wait.sum {
			if a.wait.sum > b.wait.sum {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return rows
}

func (c *command) row(p *page, name string, total float64) {
	share := "-"
	if total > 0 {
		share = fmt.Sprintf("%.1f%%", 100*c.wait.sum.Seconds()/total)
	}
	p.line(rowFormat, nameWidth, text.AppendClean(nil, name, nameWidth), short(c.requests), short(c.errors),
		c.wait.quantile(0.5), c.wait.quantile(0.95), c.wait.quantile(0.99), c.wait.max(), short(c.open), share)
}

// short keeps a count within six columns.
func short(n uint64) string {
	switch {
	case n < 1e6:
		return fmt.Sprint(n)
	case n < 1e9:
		return digits(float64(n)/1e6) + "M"
	}
	return digits(float64(n)/1e9) + "G"
}

func (c *command) merge(m *command) {
	c.requests += m.requests
	c.errors += m.errors
	c.open += m.open
	c.wait.sum += m.wait.sum
	c.wait.longest = max(c.wait.longest, m.wait.longest)
	c.wait.answered.merge(&m.wait.answered)
	c.wait.open.merge(&m.wait.open)
}

func (h *histogram) merge(o *histogram) {
	h.n += o.n
	for i, n := range o.counts {
		h.counts[i] += n
	}
}

// curves draws what grew: nothing if nothing did.
func (r *Report) curves(p *page, st *pipeline.Stats) {
	if r.inFlight.peak == 0 && r.closeWait.peak == 0 || st.Last == st.First {
		return
	}
	p.line("")
	r.inFlight.reach(st.Last)
	r.closeWait.reach(st.Last)
	p.line("# Over time: from %s, each column %s", offset(r.inFlight.start, st.First), duration(r.inFlight.slice))
	for _, c := range []struct {
		name string
		s    *series
	}{{"in flight", &r.inFlight}, {"CLOSE_WAIT", &r.closeWait}} {
		if c.s.peak == 0 {
			continue
		}
		p.line("%-10s |%s| peak %d at %s", c.name, c.s.appendCurve(nil), c.s.peak, offset(c.s.at, st.First))
	}
}

func offset(at, first capture.Time) string { return text.Offset(at.Sub(first)) }

// cures are what an operator can do about an oddity.
var cures = map[httpreassembly.Oddity]string{
	httpreassembly.PacketCut:     "packets were cut when they were captured: capture whole ones with -s 0",
	httpreassembly.RequestUnread: "sent as the node closed a kept connection: clients send it again",
	httpreassembly.TLSInstead:    "encrypted: capture behind the proxy that ends TLS, on the leg to the node",
}

func oddities(p *page, st *httpreassembly.Stats) {
	type row struct {
		name string
		n    uint64
	}
	var rows []row
	for o, n := range st.Oddities {
		name := text.Oddity(httpreassembly.Oddity(o))
		if cure := cures[httpreassembly.Oddity(o)]; cure != "" {
			name += "  (" + cure + ")"
		}
		if n > 0 {
			rows = append(rows, row{name, n})
		}
	}
	if len(rows) == 0 {
		return
	}
	slices.SortStableFunc(rows, func(a, b row) int { return int(min(max(int64(b.n)-int64(a.n), -1), 1)) })
	p.line("")
	p.line("# Oddities")
	for _, o := range rows {
		p.line("%10s  %s", text.Number(o.n), o.name)
	}
}

// unread are the frames of which an operator may wonder that they are not
// read.
var unread = map[string]string{
	"tunnelled":    "GRE, IP in IP, VXLAN, MPLS, PPPoE: capture inside the tunnel",
	"unknown_link": "not Ethernet, Linux cooked, raw IP or loopback: Wi-Fi is not read",
	"cut_header":   "cut when they were captured: capture whole packets with -s 0",
	"not_tcp":      "UDP, ICMP, QUIC and other protocols",
	"not_ip":       "ARP and the like",
}

func skipped(p *page, st *pipeline.Stats) {
	if len(st.Decode.Skipped) == 0 {
		return
	}
	p.line("")
	p.line("# Frames that are no TCP segment")
	for _, s := range st.Decode.Skipped {
		reason := s.Reason
		if more := unread[reason]; more != "" {
			reason += "  (" + more + ")"
		}
		p.line("%10s  %s", text.Number(s.N), reason)
	}
}

// elsewhere says which port would have been the right one.
func elsewhere(p *page, st *httpreassembly.Stats) {
	var ports []string
	for _, n := range st.HTTPElsewhere {
		if n != 0 {
			ports = append(ports, fmt.Sprint(n))
		}
	}
	switch {
	case len(ports) > 0:
		list := strings.Join(ports, ", ")
		p.wrap("", "", fmt.Sprintf("Requests went to %s %s, not to the ports that were read: give -p %s, or leave -p out to read every port.",
			map[bool]string{true: "port", false: "ports"}[len(ports) == 1], list, strings.Join(ports, ",")))
	case st.Ignored > 0 && st.Ignored == st.Segments:
		p.wrap("", "", fmt.Sprintf("None of the %s belongs to a port that was read: leave -p out to read every port.", plural(st.Ignored, "TCP segment")))
	}
}

// closing says in a sentence what to take home.
func (r *Report) closing(p *page, st *pipeline.Stats) {
	p.line("")
	lead := r.failed.Sub(r.warned)
	switch {
	case st.Packets == 0:
		p.line("Nothing was read: no packets.")
	case len(r.rows()) == 0 && r.warned == 0 && r.failed == 0 && r.worst < detect.Warning:
		p.line("No HTTP request was seen, so nothing can be said of calls.")
		elsewhere(p, &st.Tracker)
		if r.tls > 0 {
			p.wrap("", "", fmt.Sprintf("%s of the connections speak TLS, which cannot be read: capture the plain leg behind whatever ends it.", text.Number(r.tls)))
		}
	case r.warned == 0 && r.failed == 0 && r.worst < detect.Warning:
		if r.uncounted == 0 {
			p.line("Nothing suspicious.")
		}
	case r.warned == 0:
		p.wrap("", "", fmt.Sprintf("No warning; %s came at %s.", r.failure, offset(r.failed, st.First)))
	case r.failed == 0:
		p.wrap("", "", fmt.Sprintf("First warning at %s; no connection was refused and no call dropped by the server.", offset(r.warned, st.First)))
	case lead >= 0:
		p.wrap("", "", fmt.Sprintf("First warning at %s, %s before %s.", offset(r.warned, st.First), duration(lead), r.failure))
	default:
		p.wrap("", "", fmt.Sprintf("First warning at %s, %s after %s.", offset(r.warned, st.First), duration(-lead), r.failure))
	}
	if r.uncounted > 0 && r.warned == 0 {
		p.wrap("", "", fmt.Sprintf("%s of no known command waited longer than the budget. No alert counts them, since long polling looks the same: "+
			"where it is none, name the command with a budget of its own, or set CallStalled.other_get (see \"stallwatch rules show --doc\").", plural(r.uncounted, "GET request")))
	}
	if len(st.Broken) > 0 {
		p.line("That is of what could be read: see Broken above.")
	}
	r.next(p)
}
