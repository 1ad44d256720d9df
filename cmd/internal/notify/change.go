package notify

import (
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
)

// Bounds of texts in bytes, after escaping.
const (
	maxWords   = 256  // what a receiver or an error says
	maxSummary = 512  // a summary names a handful of commands at most
	maxWhy     = 1024 // a reason lists numbers and thresholds
	maxWire    = 64   // a piece of what a client sent
)

// change is one change of an alert on its way to one receiver.
type change struct {
	Seq    uint64       `json:"seq"`    // grows within a queue, also over restarts
	Queued time.Time    `json:"queued"` // by this machine's clock, for the age
	Opens  bool         `json:"opens,omitempty"`
	Alert  detect.Alert `json:"alert"`

	size int // of the record that holds it
}

func (c *change) resolved() bool { return c.Alert.State == detect.Resolved }

// incidentKey is an incident's identity.
func incidentKey(a *detect.Alert) string { return a.Name + "\x00" + a.Subject }

// groupKey says which incidents are told in one message: those of one server,
// since an attack raises several alerts there. What concerns no server is the
// monitor's own business.
func groupKey(a *detect.Alert) string {
	if a.Server.IsValid() {
		return a.Server.String()
	}
	return "monitor"
}

// Sanitized returns a copy of a that every receiver may show after its own
// escaping: printable ASCII, bounded, and without numbers that JSON has no
// word for. The names in an Alert are closed sets and its sentences are ours,
// but this is the last gate before somebody's terminal and telephone.
func Sanitized(a *detect.Alert) detect.Alert {
	c := *a
	c.Name = clean(a.Name, maxWire)
	c.Subject = clean(a.Subject, maxWords)
	c.Command = clean(a.Command, maxWire)
	c.Unit = clean(a.Unit, 16)
	c.Summary = clean(a.Summary, maxSummary)
	c.Why = clean(a.Why, maxWhy)
	c.Server = noZone(a.Server)
	c.Value, c.Limit = number(a.Value), number(a.Limit)
	c.Confidence = min(max(number(a.Confidence), 0), 1)
	c.Evidence.Calls = make([]detect.CallRef, 0, min(len(a.Evidence.Calls), detect.MaxEvidence))
	for i := range a.Evidence.Calls[:min(len(a.Evidence.Calls), detect.MaxEvidence)] {
		r := a.Evidence.Calls[i]
		r.Client = noZone(r.Client)
		r.Command = clean(r.Command, maxWire)
		r.Raw = clean(r.Raw, maxWire)
		r.Shape = clean(r.Shape, maxWords)
		r.Verdict = detect.Cause(clean(string(r.Verdict), 32))
		c.Evidence.Calls = append(c.Evidence.Calls, r)
	}
	c.Evidence.Clients = slices.Clone(a.Evidence.Clients[:min(len(a.Evidence.Clients), detect.MaxEvidence)])
	return c
}

// clean returns s as printable ASCII of at most limit bytes. Every byte
// outside becomes \xNN, and so no cut can split a character.
func clean(s string, limit int) string {
	return string(text.AppendClean(make([]byte, 0, min(len(s), limit)), s, limit))
}

// noZone drops a zone: it is free text.
func noZone(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
}

func number(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// instant is an alert's time for people and programs alike.
func instant(t capture.Time) time.Time { return t.Std() }

// decodeJSON fills v and reports whether b was JSON of that form.
func decodeJSON(b []byte, v any) bool { return json.Unmarshal(b, v) == nil }

// encodeJSON encodes what cannot fail: types of this package, without cycles,
// channels or odd numbers.
func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("notify: " + err.Error())
	}
	return b
}
