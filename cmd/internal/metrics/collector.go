package metrics

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stallwatch/cmd/internal/text"
	"stallwatch/httpreassembly"
)

const namespace = "stallwatch"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

var (
	buildInfo = desc("build_info", "Always 1; what runs.", "version", "goversion", "rules")

	callsInFlight = desc("calls_inflight", "Calls whose request is whole and whose answer has not begun.", "command")
	callsFresh    = desc("call_last_success_age_seconds", "Time since the command was last answered by a status of 2xx; absent if it never was.", "command")
	callsOldest   = desc("call_inflight_oldest_age_seconds", "Age of the oldest call in flight; 0 if there is none.", "command")

	connections     = desc("connections", "Connections followed, by state as the packets tell it.", "state")
	closeWait       = desc("close_wait", "Sockets of the node that wait for it to close, as the packets (wire) or the host (kernel) tell.", "source")
	closeWaitOldest = desc("close_wait_oldest_age_seconds", "Age of the oldest of them on the wire; 0 if there is none.")
	unaccepted      = desc("unaccepted_connections", "Connections the node's process has not accepted, as the host tells.")

	openFDs = desc("node_open_fds", "Open descriptors of the node's process, as the host tells.")
	wireFDs = desc("node_wire_fds", "Descriptors the connections seen must hold: a lower bound of those open.")
	maxFDs  = desc("node_max_fds", "Limit of open descriptors of the node's process; assumed if the host does not tell.")
	fdETA   = desc("node_fd_exhaustion_eta_seconds", "Time until the descriptors run out at the present growth; absent if they do not grow.")

	received   = desc("capture_received_packets_total", "Packets read.")
	bytesRead  = desc("capture_received_bytes_total", "Bytes on the wire of the packets read.")
	kernelDrop = desc("capture_kernel_dropped_packets_total", "Packets lost because the ring was full.")
	ifaceDrop  = desc("capture_interface_dropped_packets_total", "Packets lost by the interface or its driver.")
	unwatched  = desc("capture_unwatched_seconds_total", "Time in which nobody looked: the clock was set forward, the machine slept, or stallwatch was stopped and the ring overflowed.")
	skipped    = desc("capture_skipped_packets_total", "Frames that are no TCP segment, by reason.", "reason")
	clockLag   = desc("capture_clock_lag_seconds", "How far capture time is behind the clock.")
	lastPacket = desc("capture_last_packet_timestamp_seconds", "Capture time of the last packet; absent if there was none.")

	evicted  = desc("state_evicted_total", "Connections forgotten to keep memory bounded, by what they were.", "reason")
	oddities = desc("oddities_total", "Things the wire said that a parser must not swallow.", "oddity")
	firing   = desc("alerts_firing", "Incidents that fire now.", "alertname", "severity")
	missed   = desc("detect_not_followed_total", "What the detectors had no room for.", "what")
)

// reassembly are the plain counters of the tracker.
var reassembly = []struct {
	desc *prometheus.Desc
	get  func(*httpreassembly.Stats) uint64
}{
	{desc("reassembly_segments_total", "TCP segments of watched ports."), func(s *httpreassembly.Stats) uint64 { return s.Segments }},
	{desc("reassembly_payload_bytes_total", "TCP payload of watched ports."), func(s *httpreassembly.Stats) uint64 { return s.PayloadBytes }},
	{desc("reassembly_ignored_segments_total", "TCP segments of ports that are not watched."), func(s *httpreassembly.Stats) uint64 { return s.Ignored }},
	{desc("reassembly_orphan_segments_total", "Segments of no known connection."), func(s *httpreassembly.Stats) uint64 { return s.Orphans }},
	{desc("reassembly_unwatched_connections_total", "Connections given up because what they waited for may have come when nobody looked."), func(s *httpreassembly.Stats) uint64 { return s.Unwatched }},
	{desc("reassembly_retransmitted_segments_total", "Segments that brought nothing new."), func(s *httpreassembly.Stats) uint64 { return s.Retransmitted }},
	{desc("reassembly_out_of_order_segments_total", "Segments that came before an earlier one."), func(s *httpreassembly.Stats) uint64 { return s.OutOfOrder }},
	{desc("reassembly_bad_checksum_segments_total", "Segments the node cannot have accepted."), func(s *httpreassembly.Stats) uint64 { return s.BadChecksum }},
	{desc("reassembly_unacceptable_segments_total", "Segments the node drops for another reason: outside the window, or without ACK."), func(s *httpreassembly.Stats) uint64 { return s.Unacceptable }},
	{desc("reassembly_late_segments_total", "Segments of connections that had ended."), func(s *httpreassembly.Stats) uint64 { return s.Tombstoned }},
	{desc("reassembly_unadmitted_connections_total", "Connections not followed because every place was taken by one that must stay."), func(s *httpreassembly.Stats) uint64 { return s.Unadmitted }},
	{desc("reassembly_untracked_requests_total", "Requests not followed because too many calls are alive, or memory is short."), func(s *httpreassembly.Stats) uint64 { return s.Untracked }},
	{desc("reassembly_forgotten_connections_total", "Ended connections forgotten before their time."), func(s *httpreassembly.Stats) uint64 { return s.TombsDropped }},
	{desc("reassembly_gaps_total", "Holes in connections: bytes that were not captured."), func(s *httpreassembly.Stats) uint64 { return s.Gaps }},
	{desc("reassembly_gap_bytes_total", "Bytes in those holes, where known."), func(s *httpreassembly.Stats) uint64 { return s.GapBytes }},
	{desc("reassembly_buffer_dropped_bytes_total", "Payload dropped because a bound was reached."), func(s *httpreassembly.Stats) uint64 { return s.BufferDropped }},
	{desc("reassembly_unpaired_responses_total", "Answers that could not be given to a request for certain."), func(s *httpreassembly.Stats) uint64 { return s.UnpairedResponses }},
	{desc("reassembly_connections_opened_total", "Connections that began or were picked up."), func(s *httpreassembly.Stats) uint64 { return s.Opened }},
}

var (
	level     = desc("reassembly_level", "How much is read for lack of memory: 0 all, 1 no long contents, 2 no contents, 3 no further calls.")
	degraded  = desc("reassembly_degraded_total", "How often a level was entered for lack of memory.", "level")
	unscanned = desc("reassembly_unscanned_contents_total", "Long contents that were not read for their command: too many at once.")
)

var buffered = desc("reassembly_buffered_bytes", "Bytes buffered behind holes and in messages.")

// collector turns the published state into metrics at a scrape.
type collector struct{ m *Metrics }

// Describe implements prometheus.Collector: by sending nothing, the collector
// is unchecked, since what it has depends on what is known.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	e := emitter{ch}
	e.gauge(buildInfo, 1, cleanLabel(c.m.opts.Version), runtime.Version(), c.m.digest)
	s := c.m.state.Load()
	if s == nil {
		return
	}
	e.calls(s)
	e.sockets(s)
	e.host(s)
	e.capture(s, c.m.opts.Now())
	e.tracker(&s.stats.Tracker)
	e.counter(unscanned, s.stats.Unscanned)
	e.detect(s)
}

type emitter struct{ ch chan<- prometheus.Metric }

func (e emitter) gauge(d *prometheus.Desc, v float64, labels ...string) {
	e.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (e emitter) counter(d *prometheus.Desc, v uint64, labels ...string) {
	e.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// known leaves out what the host did not tell.
func (e emitter) known(d *prometheus.Desc, v int, labels ...string) {
	if v >= 0 {
		e.gauge(d, float64(v), labels...)
	}
}

func (e emitter) calls(s *state) {
	for _, g := range s.commands {
		e.gauge(callsInFlight, float64(g.inFlight), g.label)
		e.gauge(callsOldest, g.oldest.Seconds(), g.label)
		if g.succeeded {
			e.gauge(callsFresh, g.fresh.Seconds(), g.label)
		}
	}
}

func (e emitter) sockets(s *state) {
	for i, n := range s.stats.Tracker.Conns {
		switch st := httpreassembly.ConnState(i); st {
		case httpreassembly.StateClosed, httpreassembly.StateReset, httpreassembly.StateEvicted: // over: never a gauge
		default:
			e.gauge(connections, float64(n), text.ConnState(st))
		}
	}
	e.gauge(closeWait, float64(s.snap.CloseWait), "wire")
	e.gauge(closeWaitOldest, s.snap.CloseWaitOldest.Seconds())
	e.gauge(wireFDs, float64(s.snap.FDsWire))
}

func (e emitter) host(s *state) {
	if s.snap.Host {
		e.known(closeWait, s.snap.CloseWaitKernel, "kernel")
		e.known(unaccepted, s.snap.Unaccepted)
		e.known(openFDs, s.snap.FDs)
	}
	if s.snap.FDLimit > 0 {
		e.gauge(maxFDs, float64(s.snap.FDLimit))
	}
	if s.snap.HasETA {
		e.gauge(fdETA, s.snap.ETA.Seconds())
	}
}

func (e emitter) capture(s *state, now time.Time) {
	st := &s.stats
	e.counter(received, st.Packets)
	e.counter(bytesRead, st.Bytes)
	e.counter(kernelDrop, st.Loss.Kernel)
	e.counter(ifaceDrop, st.Loss.Interface)
	e.ch <- prometheus.MustNewConstMetric(unwatched, prometheus.CounterValue, st.Loss.Unwatched.Seconds())
	for _, k := range st.Decode.Skipped {
		e.counter(skipped, k.N, cleanLabel(k.Reason))
	}
	if s.snap.At != 0 {
		e.gauge(clockLag, max(now.Sub(s.snap.At.Std()).Seconds(), 0))
	}
	if st.Last != 0 {
		e.gauge(lastPacket, float64(st.Last)/1e9)
	}
}

func (e emitter) tracker(st *httpreassembly.Stats) {
	for i := range reassembly {
		e.counter(reassembly[i].desc, reassembly[i].get(st))
	}
	e.gauge(buffered, float64(st.Buffered))
	e.gauge(level, float64(st.Level))
	for l := httpreassembly.LevelCommands; l < httpreassembly.NumLevels; l++ {
		e.counter(degraded, st.Degraded[l], text.Level(l))
	}
	e.counter(evicted, st.EvictedHalfOpen, "half_open")
	e.counter(evicted, st.EvictedIdle, "idle")
	e.counter(evicted, st.EvictedBusy, "busy")
	for o, n := range st.Oddities {
		if n > 0 {
			e.counter(oddities, n, oddity(o))
		}
	}
}

func (e emitter) detect(s *state) {
	for _, a := range s.snap.Alerts[:min(len(s.snap.Alerts), maxAlertNames)] {
		e.gauge(firing, float64(a.N), cleanLabel(a.Name), text.Severity(a.Severity))
	}
	d := &s.snap.Stats
	e.counter(missed, d.CallsNotFollowed, "calls")
	e.counter(missed, d.ConnsNotFollowed, "connections")
	e.counter(missed, d.NodesFolded, "nodes")
	e.counter(missed, d.IncidentsSuppressed, "incidents")
	e.counter(missed, d.LegsNotFollowed, "legs")
}
