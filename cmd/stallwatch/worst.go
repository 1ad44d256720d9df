package main

import (
	"stallwatch/capture"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// worstAlert is a Sink that remembers the highest severity that fired.
type worstAlert struct{ severity detect.Severity }

func (*worstAlert) Event(*httpreassembly.Event, *rules.Verdict) {}
func (*worstAlert) Loss(capture.Time, capture.Loss)             {}

func (w *worstAlert) Finding(f *detect.Finding) {
	if f.Kind == detect.AlertChanged && f.Alert.State == detect.Firing {
		w.severity = max(w.severity, f.Alert.Severity)
	}
}
