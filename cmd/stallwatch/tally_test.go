package main

import (
	"strings"
	"testing"

	"stallwatch/capture/live"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
)

// TestTally: what counts as answered was asked while somebody watched, and
// what is in flight at the end has not ended before.
func TestTally(t *testing.T) {
	var ta tally
	for _, f := range []detect.Finding{
		{Kind: detect.CallPending, Pending: &detect.Pending{}},
		{Kind: detect.CallPending, Pending: &detect.Pending{Final: true, Over: true}},
		{Kind: detect.CallPending, Pending: &detect.Pending{Final: true}},
		{Kind: detect.AlertChanged, Alert: &detect.Alert{State: detect.Firing, Severity: detect.Warning}},
		{Kind: detect.AlertChanged, Alert: &detect.Alert{State: detect.Resolved, Severity: detect.Warning}},
	} {
		ta.Finding(&f)
	}
	var b strings.Builder
	ta.write(&b, live.Stats{Delivered: 9}, pipeline.Stats{Tracker: httpreassembly.Stats{Requests: 4, Responses: 5, UnpairedResponses: 2}})
	want := "9 packets captured\n0 packets received by filter\n0 packets dropped by kernel\n4 calls seen, 3 answered, 1 in flight\n0 critical, 1 warning, 0 info alerts\n"
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}
