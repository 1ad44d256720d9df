package metrics

import "github.com/prometheus/client_golang/prometheus"

// RecordStats is what is known of the records that are written as JSON lines.
type RecordStats struct {
	Dropped, Failures uint64
	Waiting           int // bytes
	Failing           bool
}

var (
	recordsDropped  = desc("records_dropped_total", "Records that were dropped because the disk was full or their reader stopped.")
	recordsFailures = desc("records_write_failures_total", "Writes of records that failed.")
	recordsWaiting  = desc("records_queue_bytes", "Bytes of records that wait to be written.")
	recordsFailing  = desc("records_failing", "1 while records cannot be written: see the log.")
)

type recordStats struct{ tell func() RecordStats }

// Records adds the writing of records to what is scraped. tell is called at
// each scrape, from any goroutine, and must not block. Call it once, before
// the first scrape.
func (m *Metrics) Records(tell func() RecordStats) {
	m.registry.MustRegister(recordStats{tell})
}

// Describe implements prometheus.Collector; see collector.
func (recordStats) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (r recordStats) Collect(ch chan<- prometheus.Metric) {
	e := emitter{ch}
	st := r.tell()
	e.counter(recordsDropped, st.Dropped)
	e.counter(recordsFailures, st.Failures)
	e.gauge(recordsWaiting, float64(st.Waiting))
	failing := 0.0
	if st.Failing {
		failing = 1
	}
	e.gauge(recordsFailing, failing)
}
