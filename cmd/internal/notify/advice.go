package notify

import (
	"strconv"
	"strings"

	"stallwatch/detect"
)

// advice is what to do next when an alert fires: two or three lines for a
// person who was just woken. In braces stands what the alert knows; a line
// whose braces cannot be filled is left out. The lines of a proxy and of a
// node are added when the configuration names one.
type advice struct {
	alert  string
	lines  []string
	proxy  map[string]string
	node   map[string]string
	always bool // also after the end
}

// rejectAtProxy is where every unwanted command is stopped best: before it
// costs the node a worker.
var rejectAtProxy = map[string]string{
	"haproxy": "HAProxy: deny requests whose body names {command}, and bound each client with a stick table (conn_cur, http_req_rate).",
	"nginx":   "nginx: bound each client with limit_conn and limit_req; it cannot tell {command} from the body without njs or Lua.",
}

// slowAtProxy stops those that trickle.
var slowAtProxy = map[string]string{
	"haproxy": "HAProxy: timeout http-request 10s and option http-buffer-request keep slow clients away from the node.",
	"nginx":   "nginx: client_header_timeout, client_body_timeout and proxy_request_buffering on keep slow clients away from the node.",
}

var floodAtProxy = map[string]string{
	"haproxy": "HAProxy: a stick table with conn_rate, conn_cur and http_req_rate, and deny above the honest clients' values.",
	"nginx":   "nginx: limit_conn and limit_req by $binary_remote_addr.",
}

var limitAtNode = map[string]string{
	"iri":    "IRI: REMOTE_LIMIT_API refuses {command} to others, but never to loopback: behind a local proxy it does nothing.",
	"hornet": "HORNET: take {command} off the permitted remote routes.",
}

// advices are in the order of the records' documentation.
var advices = []advice{
	{alert: "CallStalled", lines: []string{
		"Look at the oldest call first: it may hold a lock that the others wait for.",
		"If {client} sends most of them, block it, and see whether the number in flight falls.",
		"The work goes on after the client leaves: if the count does not fall once {command} is refused, restart the node."},
		proxy: rejectAtProxy, node: limitAtNode},
	{alert: "NodeUnresponsive", lines: []string{
		"All workers are taken: refusing {command} now frees none of them. Refuse it, then restart the node.",
		"Before the restart keep a thread dump (jstack, or SIGQUIT) and the list of sockets (ss -tn state close-wait)."},
		proxy: rejectAtProxy, node: limitAtNode},
	{alert: "CloseWaitBuildup", lines: []string{
		"Clients left while their calls hang: each socket holds a descriptor until its call ends. Stop the call that holds most of them.",
		"Compare on the node: ss -tn state close-wait '( sport = :{port} )'."},
		proxy: rejectAtProxy, node: limitAtNode},
	{alert: "DescriptorExhaustion", lines: []string{
		"Once descriptors run out the node accepts nobody and its database cannot open files. Refuse what grows before then.",
		"Raise the limit to win time: prlimit --nofile=65535 --pid PID now, LimitNOFILE=65535 in the unit for good.",
		"If it grows on, restart the node before the limit, not after: databases were damaged there."},
		proxy: rejectAtProxy},
	{alert: "AcceptQueueFull", lines: []string{
		"The node does not accept: it hangs, or has no descriptors left. See the alerts beside this one.",
		"Compare on the node: ss -ltn '( sport = :{port} )' shows the queue (Recv-Q) and its bound (Send-Q)."},
		proxy: floodAtProxy},
	{alert: "ConnectionFlood", lines: []string{"Block {client}, or bound the connections of each client.", "Do not block your own proxy or load balancer: look for the address behind it."}, proxy: floodAtProxy},
	{alert: "RequestFlood", lines: []string{"Block {client}, or bound the requests of each client.", "Do not block your own proxy or load balancer: look for the address behind it."}, proxy: floodAtProxy},
	{alert: "SynFlood", lines: []string{"Addresses may be forged: blocking them blocks nobody, or somebody else.", "Check that sysctl net.ipv4.tcp_syncookies is 1; ask the provider to filter if the line is full."}},
	{alert: "SlowRequest", lines: []string{"Headers or bodies trickle in and each holds a worker. Block {client}."}, proxy: slowAtProxy},
	{alert: "SlowReader", lines: []string{"Clients do not read what they asked for; the node keeps the answers. Block {client}."}, proxy: slowAtProxy},
	{alert: "PowAbuse", lines: []string{"Somebody lets your node compute their proof of work. Refuse {command}, or bound it to one at a time.", "Block {client} if it goes on."}, proxy: rejectAtProxy, node: limitAtNode},
	{alert: "AdminCommand", lines: []string{"{command} is for the operator. If it was not you: refuse it to others, and check the node's neighbours and settings.", "Find out who {client} is."}, proxy: rejectAtProxy, node: limitAtNode},
	{alert: "OversizedRequest", lines: []string{"Bound the size of bodies before the node reads them. Block {client} if it goes on."}, proxy: map[string]string{
		"haproxy": "HAProxy: deny when req.body_size is above what honest calls have.", "nginx": "nginx: client_max_body_size."}},
	{alert: "MalformedRequests", lines: []string{"A broken client or a scanner. Block {client} unless you know it."}},
	{alert: "UnknownCommands", lines: []string{"A scanner, or a client for another node. Block {client} unless you know it."}},
	{alert: "SuspectParameters", lines: []string{"The parameters are of a kind that makes {command} expensive. Look at the shape, and refuse it.", "Block {client} unless you know it."}, proxy: rejectAtProxy, node: limitAtNode},
	{alert: "PortScan", lines: []string{"Check which of the node's ports the Internet needs, and close the others. Block {client}."}},
	{alert: "LoginProbe", lines: []string{"Somebody tries to log in. Keys instead of passwords, and fail2ban; block {client}."}},
	{alert: "NodeDown", lines: []string{"Nothing answers on {server}. Look at the node's log and at its unit: systemctl status, journalctl -e.", "Its last calls in flight are in the records: what ran when it died is the suspect."}},
	{alert: "NodeRestarted", lines: []string{"If it was not you: look at what was in flight when it died."}, always: true},
	{alert: "LatencyRegression", lines: []string{"{command} is slower than it used to be. Compare load, disk and synchronisation of the node before blaming clients."}},
	{alert: "CaptureLoss", lines: []string{"The monitor misses packets: its numbers are lower bounds. Give it a larger buffer, a narrower filter, or more processor."}},
	{alert: captureBlind, lines: []string{"What the monitor sees is not enough to judge the node; the summary says why. Check interface, port and both directions, its rights and its process. Until then nobody watches the node."}},
	{alert: receiverStopped, lines: []string{"The webhook was deleted or its token changed: make a new one, write it to the receiver's file, restart stallwatch.", "Try it with: stallwatch notify test"}},
}

// AlertNames returns the alerts that messages have advice for, in the order
// of the documentation.
func AlertNames() []string {
	names := make([]string, len(advices))
	for i := range advices {
		names[i] = advices[i].alert
	}
	return names
}

// Advice returns what to do next about an alert, for an operator whose proxy
// ("haproxy", "nginx" or "") and node ("iri", "hornet" or "") are these.
func Advice(a *detect.Alert, proxy, node string) []string {
	for i := range advices {
		v := &advices[i]
		if v.alert != a.Name {
			continue
		}
		if a.State == detect.Resolved && !v.always {
			return nil
		}
		var out []string
		for _, line := range append(append([]string{legAdvice(a)}, v.lines...), v.proxy[proxy], v.node[node]) {
			if line, ok := fill(line, a); ok && line != "" {
				out = append(out, line)
			}
		}
		return out
	}
	return nil
}

// fill puts the alert's own words into a line, in one pass: a word that looks
// like another's place stays what it is.
func fill(line string, a *detect.Alert) (string, bool) {
	words := []string{"{command}", commandOf(a), "{client}", clientOf(a), "{server}", serverOf(a), "{port}", portOf(a)}
	for i := 0; i < len(words); i += 2 {
		if words[i+1] == "" && strings.Contains(line, words[i]) {
			return "", false
		}
	}
	return strings.NewReplacer(words...).Replace(line), true
}

func commandOf(a *detect.Alert) string {
	if a.Command == "" && len(a.Evidence.Calls) > 0 {
		return a.Evidence.Calls[0].Command
	}
	return a.Command
}

func clientOf(a *detect.Alert) string {
	if !a.Client.IsValid() {
		return ""
	}
	return a.Client.String()
}

func serverOf(a *detect.Alert) string {
	if !a.Server.IsValid() {
		return ""
	}
	return a.Server.String()
}

func portOf(a *detect.Alert) string {
	if !a.Server.IsValid() {
		return ""
	}
	return strconv.Itoa(int(a.Server.Port()))
}
