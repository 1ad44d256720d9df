package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stallwatch/capture"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Options configure Metrics.
type Options struct {
	Version  string           // of the program
	Commands int              // command labels besides "other" (0: 12)
	Now      func() time.Time // nil: time.Now
}

// defaultCommands keeps the page below 500 series: a command costs 25 of them
// when it has seen every kind of answer.
const defaultCommands = 12

// Metrics counts what the pipeline tells. Event, Finding, Loss and Publish
// belong to the pipeline's goroutine; Handler may be used from any.
type Metrics struct {
	opts     Options
	registry *prometheus.Registry
	vectors  vectors
	slots    *slots
	alerts   map[string]prometheus.Counter
	digest   string
	state    atomic.Pointer[state]
}

// vectors are the metrics that are observed directly.
type vectors struct {
	calls     *prometheus.CounterVec
	abandoned *prometheus.CounterVec
	alerts    *prometheus.CounterVec
	duration  prometheus.Histogram
	wait      *prometheus.HistogramVec
}

// buckets in seconds. The usual ones end at 10 s, where this tool's interest
// begins; the budgets of the rules (1, 3, 10, 30, 60, 300 s) are bounds, so
// that a query can ask for them.
var buckets = []float64{0.01, 0.1, 0.5, 1, 3, 10, 30, 60, 120, 300, 600}

func histogramOpts(name, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		// Steps of 10 %, at most 160 of them: more resolution is dropped
		// before the limit is passed.
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
	}
}

func newVectors() vectors {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	return vectors{
		calls:     counter("calls_total", "Calls that ended, by command and class of the status; none: without an answer.", "api", "command", "code_class"),
		abandoned: counter("call_abandoned_total", "Calls that ended without a complete answer, by the side that gave up.", "command", "side"),
		alerts:    counter("alerts_total", "Incidents that began or grew worse.", "alertname"),
		duration:  prometheus.NewHistogram(histogramOpts("call_duration_seconds", "First byte of a request to the last of its answer.")),
		wait:      prometheus.NewHistogramVec(histogramOpts("call_wait_seconds", "Last byte of a request to the first of its answer."), []string{"command"}),
	}
}

// New returns Metrics for the commands of set.
func New(set *rules.Set, o Options) *Metrics {
	m := newMetrics(set.Commands(), o)
	m.digest = detect.Digest(set)
	return m
}

func newMetrics(commands []*rules.Command, o Options) *Metrics {
	if o.Commands <= 0 {
		o.Commands = defaultCommands
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Metrics{opts: o, registry: prometheus.NewRegistry(), vectors: newVectors(), alerts: map[string]prometheus.Counter{}}
	m.slots = newSlots(&m.vectors, commands, o.Commands)
	v := &m.vectors
	m.registry.MustRegister(v.calls, v.abandoned, v.alerts, v.duration, v.wait, &collector{m})
	return m
}

// Event implements pipeline.Sink.
func (m *Metrics) Event(ev *httpreassembly.Event, v *rules.Verdict) {
	if ev.Kind != httpreassembly.ExchangeDone {
		return
	}
	x, s := ev.Exchange, m.slots.other
	if v != nil {
		s = m.slots.of(v.Command)
	}
	if x.RequestEnd != 0 {
		s.count(&m.vectors, codeClass(x.Status))
	}
	if x.RequestEnd != 0 && x.ResponseStart != 0 {
		s.wait.Observe(max(x.Wait(), 0).Seconds())
	}
	if x.Outcome == httpreassembly.Answered && x.RequestStart != 0 && x.ResponseEnd != 0 {
		m.vectors.duration.Observe(x.ResponseEnd.Sub(x.RequestStart).Seconds())
	}
	switch x.Outcome {
	case httpreassembly.ClientGone:
		s.abandon(&m.vectors, 0)
	case httpreassembly.ServerClosed, httpreassembly.ServerReset:
		s.abandon(&m.vectors, 1)
	}
}

// maxAlertNames bounds the alert names counted one by one; the rest are
// "other". The built-in ones are about twenty.
const maxAlertNames = 40

// Finding implements pipeline.Sink.
func (m *Metrics) Finding(f *detect.Finding) {
	if f.Kind != detect.AlertChanged || f.Alert.State != detect.Firing {
		return
	}
	c := m.alerts[f.Alert.Name]
	if c == nil {
		name := cleanLabel(f.Alert.Name)
		if len(m.alerts) >= maxAlertNames {
			name = rules.Other
			c = m.alerts[name]
		}
		if c == nil {
			c = m.vectors.alerts.WithLabelValues(name)
			m.alerts[name] = c
		}
	}
	c.Inc()
}

// Loss implements pipeline.Sink. The sums come with Publish.
func (m *Metrics) Loss(capture.Time, capture.Loss) {}

// oddity words are resolved once: text.Oddity is a table.
func oddity(i int) string { return text.Oddity(httpreassembly.Oddity(i)) }
