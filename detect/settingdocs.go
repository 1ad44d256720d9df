package detect

// settingDocs says what each setting means, by detector and name.
var settingDocs = map[string]string{
	"engine.fd_limit":      "assumed limit of open files where the node's process cannot be asked; 4096 was the hard default of 2018",
	"engine.workers":       "calls the node works on at once; from so many in flight on all commands wait for each other",
	"engine.max_calls":     "calls in flight that are followed one by one",
	"engine.max_conns":     "connections of interest that are followed: with a call in flight, half closed, or reset with a call unanswered",
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
}
