package metrics

import (
	"slices"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/rules"
)

// state is what was published last. It never changes afterwards.
type state struct {
	published time.Time // wall clock
	stats     pipeline.Stats
	snap      detect.Snapshot
	commands  []commandGauge
	lossSince time.Time // when lost packets were last seen to grow; zero: never
}

type commandGauge struct {
	label     string
	inFlight  int
	oldest    time.Duration
	fresh     time.Duration // since the last success; valid iff succeeded
	succeeded bool
}

// Publish replaces the state that scrapes see. It copies what it keeps of
// both arguments. Call it about once a second.
func (m *Metrics) Publish(st pipeline.Stats, snap *detect.Snapshot) {
	s := &state{published: m.opts.Now(), stats: st, snap: *snap, commands: m.gauges(snap)}
	s.stats.Decode.Skipped = slices.Clone(st.Decode.Skipped)
	s.snap.Alerts = slices.Clone(snap.Alerts)
	s.snap.Nodes, s.snap.Commands = nil, nil
	if old := m.state.Load(); old != nil {
		s.lossSince = old.lossSince
		if lost(&st.Loss) > lost(&old.stats.Loss) {
			s.lossSince = s.published
		}
	}
	m.state.Store(s)
}

func lost(l *capture.Loss) uint64 { return l.Kernel + l.Interface }

// gauges sums the commands that share a label, in order of first appearance.
func (m *Metrics) gauges(snap *detect.Snapshot) []commandGauge {
	list := []commandGauge{{label: rules.Other}}
	for i := range snap.Commands {
		c := &snap.Commands[i]
		if c.Command == nil {
			continue
		}
		label := m.slots.of(c.Command).label
		k := slices.IndexFunc(list, func(g commandGauge) bool { return g.label == label })
		if k < 0 {
			k = len(list)
			list = append(list, commandGauge{label: label})
		}
		list[k].inFlight += c.InFlight
		list[k].oldest = max(list[k].oldest, c.Oldest)
		if g := &list[k]; c.Succeeded && (!g.succeeded || c.Fresh < g.fresh) {
			g.fresh, g.succeeded = c.Fresh, true
		}
	}
	return list
}
