package status

import (
	"fmt"
	"strings"

	"stallwatch/cmd/internal/metrics"
	"stallwatch/cmd/internal/text"
)

// told is where alerts and records go, and who knows how that goes on; nil:
// there is nobody.
type told struct {
	receivers func() (lost uint64, list []metrics.Receiver)
	records   func() metrics.RecordStats
}

// Receivers shows the receivers of alerts. tell is called from any goroutine,
// for each page, and must not block.
func (s *Status) Receivers(tell func() (lost uint64, list []metrics.Receiver)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told.receivers = tell
}

// Records shows how the writing of records goes; see Receivers.
func (s *Status) Records(tell func() metrics.RecordStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told.records = tell
}

// Receiver is where alerts are sent.
type Receiver struct {
	Name    string `json:"receiver"`
	Stopped bool   `json:"stopped,omitempty"` // it is gone, and is sent nothing more
	Sent    uint64 `json:"sent"`              // messages
	Failed  uint64 `json:"failed,omitempty"`  // attempts
	Waiting int    `json:"waiting"`           // changes of alerts
	Dropped uint64 `json:"dropped,omitempty"` // changes of alerts
}

// Words says how it is with the receiver.
func (r *Receiver) Words() string {
	var list []string
	add := func(n uint64, what string) {
		if n > 0 {
			list = append(list, text.Number(n)+" "+what)
		}
	}
	if r.Stopped {
		list = append(list, "gone")
	}
	list = append(list, text.Number(r.Sent)+" sent")
	add(r.Failed, "failed")
	add(uint64(max(r.Waiting, 0)), "wait")
	add(r.Dropped, "dropped")
	return strings.Join(list, ", ")
}

// Records is how the writing of records goes.
type Records struct {
	Failing  bool   `json:"failing"`
	Dropped  uint64 `json:"dropped,omitempty"`
	Failures uint64 `json:"write_failures,omitempty"`
	Waiting  int    `json:"waiting_bytes"`
}

// Words says it in a few words.
func (r *Records) Words() string {
	words := "are written"
	if r.Failing {
		words = "cannot be written"
	}
	if r.Dropped > 0 {
		words += ", " + text.Number(r.Dropped) + " dropped"
	}
	return words
}

// told fills in where alerts and records go, and what does not get there.
func (d *Document) told(t *told) {
	if t.receivers != nil {
		lost, list := t.receivers()
		d.LostAlerts = lost
		for i := range list {
			r := &list[i]
			name := clean(r.Name, 64)
			d.Receivers = append(d.Receivers, &Receiver{name, r.Stopped, r.Sent, r.Failed, r.Queue, r.Dropped})
			if r.Stopped {
				d.Untold = append(d.Untold, fmt.Sprintf("The receiver %s is gone or knows us no more: no alert is sent to it until the next start. Check its URL or token; the log has its answer.", name))
			}
		}
	}
	if t.records != nil {
		st := t.records()
		d.Records = &Records{st.Failing, st.Dropped, st.Failures, st.Waiting}
		if st.Failing {
			d.Untold = append(d.Untold, "Records cannot be written: the disk is full, or their reader has stopped. See the log.")
		}
	}
}
