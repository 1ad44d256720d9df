package ruletest

import (
	"stallwatch/capture"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// maxChanges bounds what a Timeline keeps; more are only counted.
const maxChanges = 100_000

// Timeline is a pipeline.Sink that keeps every change of every alert.
type Timeline struct {
	First, Last capture.Time // of the findings and events
	Changes     []detect.Alert
	Dropped     int // changes beyond the bound
}

// Event implements pipeline.Sink.
func (t *Timeline) Event(ev *httpreassembly.Event, _ *rules.Verdict) { t.saw(ev.At) }

// Loss implements pipeline.Sink.
func (t *Timeline) Loss(at capture.Time, _ capture.Loss) { t.saw(at) }

// Finding implements pipeline.Sink.
func (t *Timeline) Finding(f *detect.Finding) {
	t.saw(f.At)
	if f.Kind != detect.AlertChanged {
		return
	}
	if len(t.Changes) == maxChanges {
		t.Dropped++
		return
	}
	t.Changes = append(t.Changes, *f.Alert)
}

func (t *Timeline) saw(at capture.Time) {
	if t.First == 0 {
		t.First = at
	}
	t.Last = max(t.Last, at)
}

// FiringAt returns the alerts that fire at an instant, as they were last
// reported, in order of first appearance.
func (t *Timeline) FiringAt(at capture.Time) []detect.Alert {
	type id struct{ name, subject string }
	var order []id
	last := make(map[id]detect.Alert)
	for _, a := range t.Changes {
		if a.At > at {
			continue
		}
		k := id{a.Name, a.Subject}
		if _, ok := last[k]; !ok {
			order = append(order, k)
		}
		last[k] = a
	}
	var firing []detect.Alert
	for _, k := range order {
		if last[k].State == detect.Firing {
			firing = append(firing, last[k])
		}
	}
	return firing
}
