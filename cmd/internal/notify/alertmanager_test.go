package notify

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"stallwatch/detect"
)

// An incident that became worse is another alert to Alertmanager: the one that
// it was must not fire beside it, nor after it.
func TestAlertmanagerEndsTheLessSevere(t *testing.T) {
	now := time.Unix(2_000_000_000, 0)
	m := &alertmanager{urls: []*url.URL{{Host: "am"}}, resend: time.Minute, now: func() time.Time { return now }}
	for _, row := range []struct {
		severity detect.Severity
		state    detect.State
		want     string
	}{
		{detect.Info, detect.Firing, "[info:true]"},
		{detect.Warning, detect.Firing, "[warning:true info:false]"},
		{detect.Critical, detect.Firing, "[critical:true info:false warning:false]"},
		{detect.Critical, detect.Resolved, "[critical:false info:false warning:false]"},
	} {
		var posted []postedAlert
		list := m.render([]*change{{Alert: *stalled(1, row.state, row.severity)}}, false, false)
		if !decodeJSON(list[0].body, &posted) {
			t.Fatal("no JSON")
		}
		var got []string
		for _, p := range posted {
			ends, err := time.Parse(time.RFC3339Nano, p.EndsAt)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s:%v", p.Labels["severity"], ends.After(now)))
		}
		if s := fmt.Sprint(got); s != row.want {
			t.Errorf("%v %v: posted severity:fires %s, want %s", row.severity, row.state, s, row.want)
		}
	}
}
