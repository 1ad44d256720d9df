package rules

import (
	"strconv"
	"time"
)

// Key documents a key of rule files.
type Key struct {
	Section, Name string
	Value, Doc    string
}

// keys are all keys that the loader takes, by the words that its errors have
// for the mapping they stand in. A test holds the two together.
var keys = []Key{
	{"a rule file", "classes", "mapping", "default budgets by class of command, see below"},
	{"a rule file", "apis", "list", "how requests name commands, and the commands"},
	{"a rule file", "detectors", "mapping", "settings of the detectors, see below"},
	{"a rule file", "alerts", "list", "free rules: alerts of your own"},

	{"classes", "unknown", "budgets", "what has no class"},
	{"classes", "instant", "budgets", "answers from memory"},
	{"classes", "fast", "budgets", "one look into the database"},
	{"classes", "work", "budgets", "work that the caller sizes"},
	{"classes", "heavy", "budgets", "seconds are normal"},
	{"classes", "job", "budgets", "proof of work and the like: its latency alone says nothing"},
	{"classes", "stream", "budgets", "long polling and event streams: never a stall"},

	{"class fast", "warn", "duration or never", "a call in flight longer than this, counted from the last byte of its request, is worth a warning; up to 24h"},
	{"class fast", "critical", "duration or never", "the same, critical; not before warn"},

	{"an API", "name", "word", "for --api and as a label; one that is known already is changed"},
	{"an API", "named_by", "json-key, json-rpc, route", "what names a command: a key of the body, the same also in batches, or method and path"},
	{"an API", "key", "word", "that key (json-rpc: method)"},
	{"an API", "ignore_case", "true, false", "whether the node takes command names in any case"},
	{"an API", "parameters", "mapping", "what may be kept of the values of parameters"},
	{"an API", "commands", "list", "the commands"},

	{"parameters", "length", "list of words", "kind and length only"},
	{"parameters", "number", "list of words", "and the value, if it is a number"},
	{"parameters", "fingerprint", "list of words", "and a fingerprint, to know the same again"},
	{"parameters", "nothing", "list of words", "not even that it was there"},

	{"a command", "name", "text", `as on the wire; "debug_*" for all that begin so; "GET /path/{id}" or "ANY /path/*" for routes; OPTIONS; other for what has no name`},
	{"a command", "class", "class", "its budgets, unless it has its own (default: unknown); another class than before drops the budgets that earlier files gave the command"},
	{"a command", "warn", "duration or never", "its own budget"},
	{"a command", "critical", "duration or never", "its own budget"},
	{"a command", "lock", "word", "calls of one lock group wait for each other"},
	{"a command", "canary", "true, false", "cheap and asked often: when it hangs all do"},
	{"a command", "admin", "true, false", "changes or reveals the node itself"},
	{"a command", "slow", "true, false", "may take long without anything being wrong"},
	{"a command", "pow", "true, false", "makes the node do proof of work: counts for PowAbuse"},
	{"a command", "probe", "true, false", "needs arguments: a request without any is a check whether it is closed, and counts neither for AdminCommand (if refused) nor for PowAbuse"},
	{"a command", "longest_list", "number", "elements of the longest list that a client needs: more count for SuspectParameters"},
	{"a command", "numbers", "PARAMETER: LOW to HIGH", "what values parameters have, which must be listed under number; others count for SuspectParameters"},
	{"a command", "elements", "PARAMETER: LENGTH or list of them", "how long, in bytes, the elements of lists are; if the shortest or the longest is not, it counts for SuspectParameters"},

	{"a free rule", "alert", "name in camel case", "the alert's name"},
	{"a free rule", "on", "request, exchange, pending, node", "what it looks at: each request when it is whole (default), each call that ended, each call in flight once a second, the node once a second"},
	{"a free rule", "when", "expression", "the condition, see below"},
	{"a free rule", "by", "server, client, command", "what it counts over, and so what has an incident of its own; the server always counts on its own, IPv6 clients by /64 (default: server; on node nothing else)"},
	{"a free rule", "more_than", "N per DURATION; N alone on pending", "fires when more than so many matched in so long (1s to 1h, exact to a tenth of it); on pending: when more than so many match at once; on node: not allowed (default: 0 per 10s, so that one match fires)"},
	{"a free rule", "for", "duration", "and that lasts so long, up to 24h (default: at once)"},
	{"a free rule", "severity", "info, warning, critical", "(default: warning)"},
	{"a free rule", "summary", "text with {{names}}", "what the alert says, one line of at most 300 bytes (default: made of the rule)"},
}

// Limits returns the bounds of rule files, in the words of the documentation.
func Limits() []Key {
	n := strconv.Itoa
	return []Key{
		{"limits", "a file", n(maxFile>>10) + " KiB", "UTF-8, one YAML document without anchors, aliases and tags"},
		{"limits", "commands", n(maxCommands), "of all APIs together: each is a metric label"},
		{"limits", "keys that name commands", n(maxKeys), "of all APIs together"},
		{"limits", "parameters", n(maxParams), "names, of all APIs together: one name means one thing, and the last file that lists it decides"},
		{"limits", "a name", n(maxName) + " bytes", "of an API, command, parameter or lock group: printable ASCII"},
		{"limits", "settings", n(maxSettings), "of all detectors together"},
		{"limits", "free rules", n(maxAlerts), "each costs on every request"},
		{"limits", "when", n(maxWhen) + " bytes, " + n(maxNodes) + " parts", "it has no loops, so they bound its steps as well"},
		{"limits", "matches", n(maxSteps) + " steps a rule, " + n(maxAllSteps) + " in all", "instructions of the compiled patterns, each of which may be taken for each byte of a text; (?i)curl|wget has about 20"},
		{"limits", "a text in an expression", n(maxFactPath) + " bytes", "target and user_agent are cut there"},
		{"limits", "summary", n(maxSummary) + " bytes", "before and after the names are filled in"},
		{"limits", "errors", n(maxErrors), "are told at once, further ones are counted"},
	}
}

// Budgets returns when a command of class c is worth a warning and when it is
// critical, unless it says so itself; 0: never.
func (s *Set) Budgets(c Class) (warn, critical time.Duration) {
	if int(c) >= len(classNames) {
		c = ClassUnknown
	}
	b := s.all.classes[c]
	return b.warn, b.critical
}

// Classes returns the names of the classes, by Class.
func Classes() []string { return classNames[:] }

// Keys returns all keys of rule files, in the order of the documentation.
func Keys() []Key { return keys }
