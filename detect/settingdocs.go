package detect

// settingDocs says what each setting means, by detector and name.
var settingDocs = map[string]string{
	"engine.fd_limit":      "assumed limit of open files where the node's process cannot be asked; 4096 was the hard default of 2018",
	"engine.workers":       "calls the node works on at once; from so many in flight on all commands wait for each other",
	"engine.max_calls":     "calls in flight that are followed one by one",
	"engine.max_conns":     "connections of interest that are followed: with a call in flight, half closed, or reset with a call unanswered",
	"engine.max_legs":      "calls that are followed over a reverse proxy both sides of which are captured, each side by itself",
	"engine.max_nodes":     "servers that are told apart; the others are judged as one",
	"engine.max_incidents": "incidents that fire or are remembered",
	"engine.max_rule_keys": "clients, commands and servers that free rules count over, all together; beyond, the one that matched longest ago is forgotten and counted",
	"engine.node_every":    "between two records of a busy node's state",
	"engine.keep_firing":   "an incident is over when its signal was gone for so long",
	"engine.flap_memory":   "how long a resolved incident is remembered: one that comes back within it holds twice as long before it is resolved again",

	"CallStalled.min_calls":      "calls over their warn budget that fire; one over its critical budget fires alone",
	"CallStalled.critical_calls": "calls over their warn budget that are critical",
	"CallStalled.critical_age":   "the oldest call over so many times its critical budget is critical",
	"CallStalled.warn_floor":     "no alert for calls younger than this, whatever their warn budget: a full garbage collection of 5 s stalls everything and heals by itself",
	"CallStalled.critical_floor": "the same for the critical budget",
	"CallStalled.other_get":      "count GET requests of no known command; off, since long polling looks just like a stall",

	"CloseWaitBuildup.age":        "half closed by the client, without reaction of the node, for so long",
	"CloseWaitBuildup.min":        "such sockets that fire",
	"CloseWaitBuildup.min_lossy":  "the same while more is lost than CaptureLoss warns at",
	"CloseWaitBuildup.count_age":  "age of the sockets that count, share and growth look at",
	"CloseWaitBuildup.count":      "sockets that fire, whatever the limit",
	"CloseWaitBuildup.share":      "sockets that fire, as a share of the descriptor limit",
	"CloseWaitBuildup.crit_share": "sockets that are critical, as a share of the descriptor limit",
	"CloseWaitBuildup.growth":     "sockets a second, over growth_for, that are critical",
	"CloseWaitBuildup.growth_for": "over which growth is measured",

	"DescriptorExhaustion.warn":         "open descriptors that warn, as a share of the limit",
	"DescriptorExhaustion.critical":     "open descriptors that are critical, as a share of the limit",
	"DescriptorExhaustion.stuck_after":  "a half-closed socket or an unanswered call counts as stuck after",
	"DescriptorExhaustion.min_stuck":    "with fewer stuck descriptors there is no forecast",
	"DescriptorExhaustion.min_slope":    "growth of stuck descriptors, a second, below which there is no forecast",
	"DescriptorExhaustion.fast_window":  "the fast forecast, which is critical, looks back so far",
	"DescriptorExhaustion.fast_horizon": "the limit must be reached within",
	"DescriptorExhaustion.fast_hold":    "for so long on end",
	"DescriptorExhaustion.slow_window":  "the slow forecast, which warns, looks back so far",
	"DescriptorExhaustion.slow_horizon": "the limit must be reached within",
	"DescriptorExhaustion.slow_hold":    "for so long on end",

	"CaptureLoss.info":        "share of the last minute's packets or bytes that is news",
	"CaptureLoss.warn":        "share that is a warning",
	"CaptureLoss.min_packets": "fewer lost packets are no incident",
	"CaptureLoss.min_bytes":   "fewer bytes in holes are no incident",

	"NodeUnresponsive.calls":  "calls that wait",
	"NodeUnresponsive.silent": "for so long, without any answer of the node meanwhile",

	"AcceptQueueFull.syns":   "SYNs without an answer",
	"AcceptQueueFull.within": "in so long",

	"engine.max_visitors": "clients told apart, over all nodes; beyond, the one seen longest ago is forgotten and counted",

	"NodeDown.after":  "SYNs are refused and none is accepted for so long; shorter is an operator's restart",
	"NodeDown.syns":   "or so many SYNs without an answer, while nothing that clients send is acknowledged",
	"NodeDown.within": "in so long",

	"NodeRestarted.calls": "a return is news without NodeDown when so many calls were in flight when the node went",

	"CaptureBlind.connections": "connections that could not be understood, nine of ten",
	"CaptureBlind.silent":      "or that the kernel got while no packet was seen for so long",

	"DescriptorExhaustion.once_after": "a connection that asked once and then nothing counts as leaked after so long, for the forecast",

	"SynFlood.half_open":  "handshakes that the node answered and nobody completed",
	"SynFlood.age":        "for so long",
	"SynFlood.few":        "or so many, where the node's kernel keeps no more",
	"SynFlood.brief":      "for so long",
	"SynFlood.per_second": "while more SYNs came a second, answered or not",
	"SynFlood.sources":    "from more different addresses (IPv6: networks of 64 bits)",
	"SynFlood.within":     "over so long",

	"ConnectionFlood.silent":     "connections without a byte of a request",
	"ConnectionFlood.age":        "for so long",
	"ConnectionFlood.share":      "and such a share of the node's connections",
	"ConnectionFlood.per_client": "connections of one client a second",
	"ConnectionFlood.seconds":    "for so many seconds on end",

	"RequestFlood.per_client": "requests of one client a second",
	"RequestFlood.seconds":    "for so many seconds on end",
	"RequestFlood.all":        "requests of all clients together a second",
	"RequestFlood.within":     "on average over so long",

	"SlowRequest.requests":         "requests that began and are not whole",
	"SlowRequest.age":              "for so long",
	"SlowRequest.pool_age":         "the same when there are as many as the node has workers",
	"SlowRequest.bytes_per_second": "a request whose content comes as fast as this is not slow, up to OversizedRequest.body",

	"SlowReader.readers":          "answers whose client's window was closed",
	"SlowReader.age":              "for so long",
	"SlowReader.bytes_per_second": "and that were taken at less",

	"PowAbuse.in_flight":  "calls of proof of work at once",
	"PowAbuse.per_client": "more than so many calls of one client, without those that are answered within 200 ms",
	"PowAbuse.within":     "in so long",

	"AdminCommand.within": "an admin command of a stranger is news for so long",

	"OversizedRequest.elements": "elements of a list that are served",
	"OversizedRequest.body":     "bytes of content that are served",
	"OversizedRequest.calls":    "larger calls that fire",
	"OversizedRequest.within":   "in so long",

	"SuspectParameters.calls":          "calls with arguments beyond what the rules expect of a command (numbers, longest_list, elements), or that name it twice; news, no alarm",
	"SuspectParameters.same_reference": "calls with a reference that another client sent before; the reference of 2018 fires at once",
	"SuspectParameters.within":         "in so long",

	"MalformedRequests.calls":  "requests that are no HTTP or no JSON",
	"MalformedRequests.within": "in so long",

	"UnknownCommands.names":  "different names that no pack knows",
	"UnknownCommands.within": "in so long",

	"LatencyRegression.learn":     "answers of a command that make a baseline",
	"LatencyRegression.learn_for": "over so long",
	"LatencyRegression.factor":    "the median of the latest answers is so many times the learned 95th percentile; the warn budget of CallStalled follows it too, within its bounds",
	"LatencyRegression.floor":     "and at least so long",
	"LatencyRegression.within":    "the latest 32 answers came in so long",
	"LatencyRegression.freeze":    "nothing is learned for so long after a stall",

	"PortScan.ports":  "different ports that refused one client; needs the perimeter in the capture",
	"PortScan.within": "in so long",

	"LoginProbe.connections": "connections to the SSH port; needs the perimeter in the capture",
	"LoginProbe.within":      "in so long",
}
