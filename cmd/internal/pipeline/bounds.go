package pipeline

import (
	"stallwatch/capture/decode"
	"stallwatch/httpreassembly"
)

// Bound is a bound that was reached, or a level that was, and how often.
type Bound struct {
	Name string // of a closed list
	N    uint64
}

// Bounds lists what was not followed, kept or read because a bound was
// reached: nothing is given up without its count. Counts of zero are left
// out.
func (st *Stats) Bounds() []Bound {
	t, d := &st.Tracker, &st.Detect
	var fragments uint64
	for _, s := range st.Decode.Skipped {
		if s.Reason == decode.FragmentDropped.String() {
			fragments = s.N
		}
	}
	var reached []Bound
	for _, b := range []Bound{
		{"evicted_half_open", t.EvictedHalfOpen},
		{"evicted_idle", t.EvictedIdle},
		{"evicted_busy", t.EvictedBusy},
		{"unadmitted_connections", t.Unadmitted},
		{"untracked_requests", t.Untracked},
		{"forgotten_closed_connections", t.TombsDropped},
		{"dropped_payload_bytes", t.BufferDropped},
		{"heads_too_large", t.Oddities[httpreassembly.HeadTooLarge]},
		{"pipelines_too_deep", t.Oddities[httpreassembly.PipelineTooDeep]},
		{"fragments_dropped", fragments},
		{"unscanned_contents", st.Unscanned},
		{"degraded_to_commands", t.Degraded[httpreassembly.LevelCommands]},
		{"degraded_to_headers", t.Degraded[httpreassembly.LevelHeaders]},
		{"degraded_to_states", t.Degraded[httpreassembly.LevelStates]},
		{"calls_not_judged", d.CallsNotFollowed},
		{"connections_not_judged", d.ConnsNotFollowed},
		{"nodes_folded", d.NodesFolded},
		{"nodes_forgotten", d.NodesEvicted},
		{"legs_not_paired", d.LegsNotFollowed},
		{"incidents_suppressed", d.IncidentsSuppressed},
	} {
		if b.N > 0 {
			reached = append(reached, b)
		}
	}
	return reached
}
