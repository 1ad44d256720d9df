package metrics

import "github.com/prometheus/client_golang/prometheus"

// Receiver is what is known of one receiver of alerts. Name is the operator's
// own, from the configuration.
type Receiver struct {
	Name                              string
	Sent, Failed, Dropped, SpoolFails uint64
	Queue                             int
	Stopped                           bool
}

var (
	sent         = desc("notifications_sent_total", "Messages that a receiver of alerts took.", "receiver")
	failed       = desc("notifications_failed_total", "Attempts that a receiver of alerts did not take.", "receiver")
	droppedNotes = desc("notifications_dropped_total", "Changes of alerts that were given up: refused, too old, or over the bounds.", "receiver")
	spoolFails   = desc("notifications_spool_failures_total", "Writes to a receiver's queue on disk that failed.", "receiver")
	queued       = desc("notification_queue_length", "Changes of alerts that wait for a receiver.", "receiver")
	stopped      = desc("notification_receiver_stopped", "1 if a receiver is gone and was given up: see the log.", "receiver")
	lostNotes    = desc("notifications_lost_total", "Alerts that did not reach the queues of the receivers.")
)

// receivers collects what Receivers tells at each scrape.
type receivers struct {
	tell func() (lost uint64, list []Receiver)
}

// Receivers adds the receivers of alerts to what is scraped. tell is called at
// each scrape, from any goroutine, and must not block. Call it once, before
// the first scrape.
func (m *Metrics) Receivers(tell func() (lost uint64, list []Receiver)) {
	m.registry.MustRegister(receivers{tell})
}

// Describe implements prometheus.Collector; see collector.
func (receivers) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (r receivers) Collect(ch chan<- prometheus.Metric) {
	e := emitter{ch}
	lost, list := r.tell()
	e.counter(lostNotes, lost)
	for _, x := range list {
		name := cleanLabel(x.Name)
		e.counter(sent, x.Sent, name)
		e.counter(failed, x.Failed, name)
		e.counter(droppedNotes, x.Dropped, name)
		e.counter(spoolFails, x.SpoolFails, name)
		e.gauge(queued, float64(x.Queue), name)
		gone := 0.0
		if x.Stopped {
			gone = 1
		}
		e.gauge(stopped, gone, name)
	}
}
