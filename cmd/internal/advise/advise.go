package advise

import (
	"net/netip"
	"slices"
	"strings"

	"stallwatch/detect"
)

// Alerts are the names that Advise has something particular to say on; of
// others, as rule files make them, it says what helps in general.
var Alerts = []string{
	"CallStalled", "NodeUnresponsive", "CloseWaitBuildup", "DescriptorExhaustion", "AcceptQueueFull",
	"ConnectionFlood", "RequestFlood", "SynFlood", "SlowRequest", "SlowReader",
	"PowAbuse", "AdminCommand", "OversizedRequest", "MalformedRequests", "UnknownCommands", "SuspectParameters",
	"PortScan", "LoginProbe", "NodeDown", "NodeRestarted", "LatencyRegression", "CaptureLoss", "CaptureBlind",
}

// Where says where the text of a Part goes.
type Where uint8

// The places.
const (
	Note            Where = iota // for reading
	Shell                        // a root shell
	HAProxyTop                   // the end of haproxy.cfg: sections of their own
	HAProxyFrontend              // a frontend of haproxy.cfg, right below its bind lines
	NginxHTTP                    // nginx.conf, inside http { }
	NginxServer                  // inside the server { } of the API
	NginxScript                  // the file /etc/nginx/stallwatch.js
	IRIConfig                    // iri.ini
)

// Part is text for one place.
type Part struct {
	Where Where
	Text  string // lines, each of which ends in \n
}

// Section is one thing that can be done.
type Section struct {
	ID    string // a word of ours, the same in every output
	Title string
	Parts []Part
	Apply string // the shell line that makes it hold; "" if the parts do
	Undo  string // the shell line that takes it back; "" iff there is nothing to take back
	Cost  string // what it costs, and what it does not stop
}

// need is a kind of remedy; an alert needs several.
type need uint16

const (
	byCommand need = 1 << iota
	limits
	pow
	headers
	timeouts
	size
	ban
	descriptors
	syn
	ssh
	recording
)

var needs = map[string]need{
	"":                     byCommand | limits | ban | descriptors,
	"CallStalled":          byCommand | limits | ban | descriptors,
	"NodeUnresponsive":     byCommand | limits | ban | descriptors,
	"CloseWaitBuildup":     byCommand | limits | ban | descriptors,
	"DescriptorExhaustion": byCommand | limits | ban | descriptors,
	"AcceptQueueFull":      limits | ban | syn,
	"ConnectionFlood":      limits | ban,
	"RequestFlood":         limits | ban,
	"SynFlood":             syn | limits | ban,
	"SlowRequest":          timeouts | limits | ban,
	"SlowReader":           timeouts | limits | ban,
	"PowAbuse":             pow | byCommand | limits | ban,
	"AdminCommand":         headers | byCommand | ban,
	"OversizedRequest":     size | limits | ban,
	"MalformedRequests":    headers | limits | ban,
	"UnknownCommands":      headers | limits | ban,
	"SuspectParameters":    byCommand | headers | limits | ban,
	"PortScan":             ban,
	"LoginProbe":           ban | ssh,
	"NodeDown":             descriptors | limits,
	"NodeRestarted":        descriptors | limits,
	"LatencyRegression":    byCommand | limits,
	"CaptureLoss":          recording,
	"CaptureBlind":         recording,
}

// plan is what one Advise works with.
type plan struct {
	in       Input
	cmd      *command // nil if there is none
	culprits []netip.Prefix
	need     need
	notes    []string
}

// Advise proposes what can be done about an alert, the most fitting first.
// What of in cannot be used is left out and told in a section "notes".
func Advise(in Input) []Section {
	p := newPlan(in)
	var out []Section
	switch p.in.Proxy {
	case HAProxy:
		out = slices.Concat(haproxy(p), nftables(p))
	case Nginx:
		out = slices.Concat(nginx(p), nftables(p))
	case ProxyNone:
		out = nftables(p)
	default:
		out = slices.Concat(nftables(p), haproxy(p), nginx(p))
	}
	host := hostSections(p)
	if p.in.Alert == "DescriptorExhaustion" || p.in.Alert == "SynFlood" { // minutes count: what helps at once goes first
		out = slices.Concat(host, out, nodeSections(p))
	} else {
		out = slices.Concat(out, nodeSections(p), host)
	}
	out = append(legSection(p), out...)
	return append(out, p.told()...)
}

func newPlan(in Input) *plan {
	p := &plan{}
	p.in, p.notes = in.defaults()
	if p.in.Command != "" {
		c, err := findCommand(&p.in)
		if err != nil {
			// Not the error's words: they quote what may be the wire's.
			p.notes = append(p.notes, "The command is none of the rules' closed set, or no single one: no rule by command.")
		}
		p.cmd = c
	}
	var left []string
	p.culprits, left = p.in.culprits()
	p.notes = append(p.notes, left...)
	p.need = needs[p.in.Alert]
	if p.cmd != nil && p.cmd.job() {
		p.need |= pow
	}
	if p.cmd != nil && p.cmd.Admin {
		p.need |= headers
	}
	return p
}

func (p *plan) needs(n need) bool { return p.need&n != 0 }

// told is the section of what was left out, and why.
func (p *plan) told() []Section {
	if p.in.Proxy == ProxyNone && p.needs(byCommand|limits|pow|headers) {
		p.notes = append(p.notes, "A proxy in front of the node can reject by command and limit each client, which a packet filter cannot: see --proxy haproxy.")
	}
	if len(p.notes) == 0 {
		return nil
	}
	return []Section{{ID: "notes", Title: "What was left out, and why",
		Parts: []Part{{Note, strings.Join(p.notes, "\n") + "\n"}}}}
}

// marked ends each line in a comment that names the section, so that the
// section's undo line can find it.
func marked(id string, lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l + " # stallwatch:" + id + "\n")
	}
	return b.String()
}

// networks lists networks so.
func networks(list []netip.Prefix) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = detect.NetworkName(p)
	}
	return strings.Join(words, " ")
}

func prefixes(list []netip.Prefix) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = p.String()
	}
	return strings.Join(words, " ")
}
