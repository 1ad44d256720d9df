package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"stallwatch/rules"
)

func TestReceivers(t *testing.T) {
	m := New(rules.Default(), Options{Version: "1"})
	m.Receivers(func() (uint64, []Receiver) {
		return 2, []Receiver{{Name: "ops", Sent: 7, Failed: 3, Dropped: 1, Queue: 4}, {Name: "gone", Stopped: true}}
	})
	if problems, err := testutil.GatherAndLint(m.registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	if err := testutil.GatherAndCompare(m.registry, strings.NewReader(`
# HELP stallwatch_notification_queue_length Changes of alerts that wait for a receiver.
# TYPE stallwatch_notification_queue_length gauge
stallwatch_notification_queue_length{receiver="gone"} 0
stallwatch_notification_queue_length{receiver="ops"} 4
# HELP stallwatch_notification_receiver_stopped 1 if a receiver is gone and was given up: see the log.
# TYPE stallwatch_notification_receiver_stopped gauge
stallwatch_notification_receiver_stopped{receiver="gone"} 1
stallwatch_notification_receiver_stopped{receiver="ops"} 0
# HELP stallwatch_notifications_failed_total Attempts that a receiver of alerts did not take.
# TYPE stallwatch_notifications_failed_total counter
stallwatch_notifications_failed_total{receiver="gone"} 0
stallwatch_notifications_failed_total{receiver="ops"} 3
`), "stallwatch_notification_queue_length", "stallwatch_notification_receiver_stopped", "stallwatch_notifications_failed_total"); err != nil {
		t.Error(err)
	}
}
