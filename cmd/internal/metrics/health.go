package metrics

import (
	"fmt"
	"time"
)

// Health says whether what stallwatch tells can be trusted; it says nothing
// about the node.
type Health struct {
	Status     string   `json:"status"` // ok, degraded
	Reasons    []string `json:"reasons,omitempty"`
	LastPacket *float64 `json:"last_packet_age_seconds,omitempty"` // absent: there was none
	Lost       uint64   `json:"lost_packets"`
	GapBytes   uint64   `json:"gap_bytes"`
}

// Limits of health. Publish comes every second, capture time follows the
// clock within the source's grace.
const (
	staleAfter = 10 * time.Second
	lagAfter   = 10 * time.Second
	lossFor    = time.Minute // lost packets are a reason for so long
)

// blinding are the alerts about stallwatch itself.
var blinding = map[string]string{
	"CaptureLoss":  "the capture loses packets: alert CaptureLoss fires",
	"CaptureBlind": "the capture sees nothing of what the host does: alert CaptureBlind fires",
}

// Health judges the state published last.
func (m *Metrics) Health() Health {
	h := Health{Status: "ok"}
	bad := func(format string, args ...any) {
		h.Status = "degraded"
		h.Reasons = append(h.Reasons, fmt.Sprintf(format, args...))
	}
	s, now := m.state.Load(), m.opts.Now()
	if s == nil {
		bad("nothing was published yet: the capture is starting")
		return h
	}
	if age := now.Sub(s.published); age > staleAfter {
		bad("the analysis has not moved for %d s", int(age.Seconds()))
	} else if lag := s.published.Sub(s.snap.At.Std()); s.snap.At != 0 && lag > lagAfter {
		bad("the analysis is %d s behind the clock", int(lag.Seconds()))
	}
	h.Lost, h.GapBytes = lost(&s.stats.Loss), s.stats.Tracker.GapBytes
	for _, a := range s.snap.Alerts {
		if why := blinding[a.Name]; why != "" {
			bad("%s", why)
		}
	}
	if !s.lossSince.IsZero() && now.Sub(s.lossSince) < lossFor {
		bad("packets were lost within the last minute: %d in all", h.Lost)
	}
	if s.stats.Last != 0 {
		age := max(now.Sub(s.stats.Last.Std()).Seconds(), 0)
		h.LastPacket = &age
	}
	return h
}
