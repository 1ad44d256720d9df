package advise

import (
	"strings"
	"testing"

	"stallwatch/detect"
)

// TestLegs: what an alert and its record say of the legs is the same, and the
// cure goes first.
func TestLegs(t *testing.T) {
	for _, row := range []struct {
		name   string
		leg    detect.Leg
		record string
		want   Leg
		words  string
	}{
		{"none", detect.Leg{}, `{}`, LegUnknown, ""},
		{"the node hangs", detect.Leg{Side: detect.NodeLeg, Paired: 2}, `{"side":"node","paired":2,"proxy_gave_up":0}`, NodeHangs, "max_conns"},
		{"the proxy gave up", detect.Leg{Side: detect.NodeLeg, Paired: 2, GaveUp: 1}, `{"side":"node","paired":2,"proxy_gave_up":1}`, NodeGoesOn, "timeout server"},
		{"the proxy waits", detect.Leg{Side: detect.FrontLeg, Paired: 2}, `{"side":"front","paired":2}`, ProxyWaits, "option abortonclose"},
		{"the proxy leaks", detect.Leg{Side: detect.FrontLeg}, `{"side":"front","paired":0}`, ProxyLeaks, "Reload or restart it"},
		{"a side that is none", detect.Leg{}, `{"side":"$(reboot)","paired":2}`, LegUnknown, ""},
	} {
		a := &detect.Alert{Name: "CloseWaitBuildup"}
		a.Evidence.Leg = row.leg
		if in := FromAlert(a, Input{}); in.Leg != row.want {
			t.Errorf("%s: the alert gives %d, want %d", row.name, in.Leg, row.want)
		}
		in, err := FromRecords(strings.NewReader(`{"type":"alert","state":"firing","alert":"CloseWaitBuildup","evidence":{"leg":`+row.record+`}}`), Input{})
		if err != nil || in.Leg != row.want {
			t.Errorf("%s: the record gives %d, %v, want %d", row.name, in.Leg, err, row.want)
			continue
		}
		first := Advise(in)[0]
		if (first.ID == "leg") != (row.words != "") || row.words != "" && !strings.Contains(first.Parts[0].Text, row.words) {
			t.Errorf("%s: the first section is %q %+v, want %q", row.name, first.ID, first.Parts, row.words)
		}
	}
	if got := LegCure("PortScan", NodeHangs); got != "" {
		t.Errorf("a scan has nothing to do with legs: %q", got)
	}
}
