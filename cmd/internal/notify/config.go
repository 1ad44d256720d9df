package notify

import (
	"net/netip"
	"time"

	"stallwatch/detect"
)

// Kind is the type of a receiver.
type Kind string

// The kinds of receivers.
const (
	Discord      Kind = "discord"
	Slack        Kind = "slack"
	Alertmanager Kind = "alertmanager"
	Webhook      Kind = "webhook"
	Ntfy         Kind = "ntfy"
	Telegram     Kind = "telegram"
	PagerDuty    Kind = "pagerduty"
	LogLine      Kind = "log"
)

// Config is what a configuration file says.
type Config struct {
	Receivers []Receiver
	// GroupWait is how long further changes of an attack are gathered after a
	// message about it. 0: 30 s.
	GroupWait time.Duration
	// MaxAge is how long a change waits for its receiver at most. 0: 72 h.
	MaxAge time.Duration
	// Spool is the directory of the queues; "none" keeps them in memory.
	Spool     string
	Instance  string // which monitor speaks, as a label and in every message; "": the host's name
	Proxy     string // "haproxy", "nginx" or "": what to advise
	Node      string // "iri", "hornet" or ""
	Links     Links
	Heartbeat Heartbeat
}

// Links are the pages that a message leads to.
type Links struct {
	Status  string
	Runbook string // the alert's name in lower case is appended as its fragment
}

// Heartbeat is a URL that is fetched as long as the capture is healthy. What
// watches the watcher is on the other side: no ping, an alarm.
type Heartbeat struct {
	URL   Secret // empty: none
	Every time.Duration
}

// Receiver is one destination of alerts.
type Receiver struct {
	Name        string
	Kind        Kind
	MinSeverity detect.Severity // 0: all
	Alerts      []string        // names; empty: all

	URLs     []Secret // one, but for Alertmanager
	Token    Secret   // bearer of alertmanager, webhook and ntfy; bot token; routing key
	HMAC     Secret   // key of the webhook's signature
	User     string   // basic authentication
	Password Secret

	ThreadID string   // discord
	Roles    []string // discord: called when an incident is or becomes critical
	Chat     string   // telegram
	Path     string   // log: the file
	NeverBan []netip.Prefix
	BanLocal bool // log: private addresses too

	Host   string // "name:port" that stands in for the service's own, and may be private
	CAFile string // PEM file to trust instead of the system's
	// PerMinute is how many messages a minute are sent at most. 0: 5 for what
	// people read, no bound for alertmanager, pagerduty and log.
	PerMinute int
	// Resend is how often a firing alert is repeated to Alertmanager. 0: 1 m.
	Resend time.Duration
}

// The defaults of Config and Receiver.
const (
	DefaultGroupWait = 30 * time.Second
	DefaultMaxAge    = 72 * time.Hour
	DefaultPerMinute = 5
	DefaultResend    = time.Minute
	DefaultHeartbeat = time.Minute
	DefaultSpool     = "/var/lib/stallwatch/notify"
	NoSpool          = "none"
)

// MaxReceivers bounds the list: each has a goroutine, a file and a queue.
const MaxReceivers = 32

// forPeople reports whether messages of the kind ring somebody's phone.
func (k Kind) forPeople() bool {
	switch k {
	case Alertmanager, PagerDuty, LogLine:
		return false
	}
	return true
}

func (r *Receiver) perMinute() int {
	if r.PerMinute == 0 && r.Kind.forPeople() {
		return DefaultPerMinute
	}
	return r.PerMinute
}

func orDuration(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}
