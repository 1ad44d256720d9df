package main

// alertDoc is what an operator wants to know of an alert.
type alertDoc struct{ means, evidence, todo string }

// alertDocs are the alerts of the program. A test holds it to the detectors.
var alertDocs = map[string]alertDoc{
	"CallStalled": {
		"calls are in flight longer than their budget. Of commands that wait for each other (a lock group, or all when the workers are taken) the oldest call is the culprit, the others are victims.",
		"the culprit and the oldest victims with client, age and shape of parameters; how many are in flight; which clients they come from. With both sides of a reverse proxy captured: the leg on which it hangs (what waits on the proxy for the node is counted to the node's stall), from how many calls the client left, how many the proxy gave up (504) while the node computes on.",
		"look at the culprit's command and clients; refuse or limit that command in front of the node; `stallwatch advise` writes the lines for HAProxy, nginx and the node. Restarting the node frees it until the next such call. Behind a proxy bound what it passes on at once (`maxconn`, `max_conns`), and let it wait longer than the node works: it does not count what it gave up."},
	"NodeUnresponsive": {
		"calls wait and the node answers nobody: all workers are taken, the process is stopped, or the machine is away.",
		"how many wait, how long nothing was answered, the oldest calls.",
		"if CallStalled fires too, treat its culprit first; else look at the process (stopped, collecting garbage, out of memory) and at the machine."},
	"CloseWaitBuildup": {
		"sockets that their clients closed pile up, since the node is not done with their calls: each holds a descriptor.",
		"the count on the wire and, apart from it, in the kernel's table; which commands and clients hold them; growth. With both sides of a reverse proxy captured: the leg that leaks, the node's (sockets of the node to the proxy) or the front one (sockets of the proxy to its clients), and whether their calls hang behind the proxy or it is the proxy that does not close.",
		"refuse the command that holds them; raise LimitNOFILE to win time; the sockets go when the calls end or the process does. On the front leg of a proxy: HAProxy's `option abortonclose` and a short `timeout client-fin`; a proxy that leaks by itself is reloaded."},
	"DescriptorExhaustion": {
		"open descriptors are near their limit, or will be: at the limit the node accepts nobody and its database cannot open files.",
		"use and limit from the process, or a lower bound from the wire (said so); growth by cause; the time that is left; the leg of a proxy, where both are captured.",
		"stop the growth at its cause (see the share by cause); raise the limit (`prlimit --nofile`); restart in an orderly way before the limit is reached."},
	"AcceptQueueFull": {
		"connections complete in the kernel but the process does not accept them, or SYNs go unanswered.",
		"the listen queue and its maximum, the kernel's overflow counters, SYNs without an answer.",
		"the process is stuck or too slow: see the other alerts. A larger backlog (somaxconn) hides it for seconds only."},
	"ConnectionFlood": {
		"one client, or all together, hold or open too many connections.",
		"the clients with their counts.",
		"limit connections for each address in front of the node."},
	"RequestFlood": {
		"one client, or all together, send too many requests.",
		"the clients and commands with their counts.",
		"limit the rate for each address in front of the node."},
	"SynFlood": {
		"connections are begun and not completed: many stand half open, or few while SYNs come fast and from everywhere, where the kernel keeps no more and drops the others.",
		"the handshakes that wait, SYNs a second, how many addresses they come from, as far as such addresses can be believed.",
		"tcp_syncookies=1; ask the provider to filter."},
	"SlowRequest": {
		"headers or bodies trickle in: each such request holds a connection, in some nodes a worker. A body that moves, however long it takes, is none, nor one that the node does not take.",
		"the clients, how many trickle in their head and in their body, since when each is slow.",
		"timeouts for head and body in front of the node (`timeout http-request`, `client_body_timeout`)."},
	"SlowReader": {
		"clients ask for big answers and do not read them.",
		"the clients, the zero windows, what waits to be sent.",
		"a write timeout in front of the node; limit the size of answers."},
	"PowAbuse": {
		"proof of work is asked of the node more than one client needs.",
		"the clients, the magnitude, how many transactions.",
		"forbid attachToTangle to strangers, or give it a queue of its own."},
	"AdminCommand": {
		"a command that changes or reveals the node came from afar. Critical if it was answered, information if it was refused.",
		"the command, the client, the status.",
		"REMOTE_LIMIT_API or a rule in front of the node; behind a local proxy IRI's own limit does not hold."},
	"OversizedRequest": {
		"requests or their lists are far larger than honest ones.",
		"the client, the command, the lengths.",
		"limit the body size in front of the node."},
	"SuspectParameters": {
		"parameters as attacks have them: an old or always the same reference, great depths, many walks, elements of lists that no hash or transaction is as long as.",
		"the command, the shape, which parameter the last was, how often the same reference came.",
		"refuse them in front of the node."},
	"MalformedRequests": {
		"requests that no parser takes, or that parsers read differently.",
		"the clients, the oddities.",
		"strict parsing in front of the node; block the client if it goes on."},
	"UnknownCommands": {
		"commands that no pack knows come in numbers: a scanner, or a pack that lacks something.",
		"the clients and the escaped names.",
		"if they are honest, add them to a rule file; else block the client."},
	"PortScan": {
		"one address tries ports that nobody serves.",
		"the address and the ports.",
		"a firewall that answers to served ports only."},
	"LoginProbe": {
		"many short connections to the login port from one address.",
		"the address and the count.",
		"keys in place of passwords; fail2ban."},
	"NodeDown": {
		"connections to the node are refused, or nothing answers any more.",
		"the first refused connection, what was in flight when it ended.",
		"look at the process's own log and the kernel's (out of memory, descriptors); start it again."},
	"NodeRestarted": {
		"the node is back, with other sockets than before.",
		"how long it was away, what was in flight when it ended.",
		"see what fired before it went."},
	"LatencyRegression": {
		"a command is much slower than it was for a long time.",
		"the learned and the present latency.",
		"look for what changed: load, database, version."},
	"CaptureLoss": {
		"packets were lost before they could be looked at: counts are lower bounds, and alerts say less surely what they say.",
		"packets lost in the kernel and the interface, holes in the streams.",
		"a larger buffer (-B), a narrower filter, more CPU."},
	"CaptureBlind": {
		"the capture sees one direction only, or TLS, or nothing although the node's kernel gets connections: other alerts of the node that the wire alone would raise are held back.",
		"how many connections were seen from both ends, from one only, unreadable, or in the kernel's table alone.",
		"capture both directions, on the interface that the traffic takes (`-i any` has all of them), on the node's port, behind whatever ends TLS."},
}
