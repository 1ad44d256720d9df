package hours

import (
	"fmt"
	"strings"
	"time"

	"stallwatch/capture"
	"stallwatch/detect"
)

// truth is what really happened in an hour.
type truth struct {
	troubles  []trouble
	exhaustAt time.Duration // descriptors ran out first; 0: never
	failAt    time.Duration // an honest client failed first; 0: never
	expects   map[string]string
}

type trouble struct {
	what     string
	from, to time.Duration
}

func (t *truth) trouble(what string, from, to time.Duration) {
	if n := len(t.troubles); n > 0 && t.troubles[n-1].what == what && from <= t.troubles[n-1].to+2*second {
		t.troubles[n-1].to = max(t.troubles[n-1].to, to)
		return
	}
	t.troubles = append(t.troubles, trouble{what, from, to})
}

// since reports whether there was trouble since at.
func (t *truth) since(at time.Duration) bool {
	for _, x := range t.troubles {
		if x.to > at {
			return true
		}
	}
	return false
}

func (t *truth) exhausted(at time.Duration) {
	if t.exhaustAt == 0 {
		t.exhaustAt = at
	}
	t.trouble("descriptors", at, at+second)
}

func (t *truth) failedAt(at time.Duration) {
	if t.failAt == 0 {
		t.failAt = at
	}
}

func (t *truth) expect(alert, why string) {
	if t.expects == nil {
		t.expects = make(map[string]string)
	}
	t.expects[alert] = why
}

// memory is for how long after trouble an alert may tell of it.
const memory = 60 * second

// explains says what an alert is true of; "" for a false alarm.
func (t *truth) explains(a *detect.Alert) string {
	if why := t.expects[a.Name]; why != "" {
		return why
	}
	switch a.Name {
	case "CallStalled", "NodeUnresponsive", "LatencyRegression", "CloseWaitBuildup", "DescriptorExhaustion", "AcceptQueueFull",
		"NodeDown", "NodeRestarted":
	default:
		return ""
	}
	at := a.At.Sub(start)
	for _, x := range t.troubles {
		if x.from <= at && at <= x.to+memory {
			return x.what
		}
	}
	return ""
}

// falseAlarms returns the alerts that nothing explains, one for each incident:
// those that people are woken for, and those of severity info.
func (w *world) falseAlarms() (alarms, notes []detect.Alert) {
	for _, a := range w.alerts {
		if a.State != detect.Firing || a.Repeat || w.truth.explains(&a) != "" {
			continue
		}
		if a.Severity == detect.Info {
			notes = append(notes, a)
		} else {
			alarms = append(alarms, a)
		}
	}
	return alarms, notes
}

// flaps returns the most state changes that one incident had.
func (w *world) flaps() (most int, who string) {
	changes := make(map[string]int)
	for _, a := range w.alerts {
		if a.Repeat {
			continue
		}
		k := a.Name + " " + a.Subject
		if changes[k]++; changes[k] > most {
			most, who = changes[k], k
		}
	}
	return most, who
}

func stamp(at capture.Time) string { return fmt.Sprintf("%.1f", at.Sub(start).Seconds()) }

func (t *truth) String() string {
	var b strings.Builder
	for i, x := range t.troubles {
		if i > 12 {
			b.WriteString(" …")
			break
		}
		fmt.Fprintf(&b, " %s %.1f-%.1f;", x.what, x.from.Seconds(), x.to.Seconds())
	}
	return b.String()
}
