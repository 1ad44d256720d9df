package status

import (
	"strconv"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/metrics"
	"stallwatch/detect"
)

// The states of a node, and of everything together: see the package's
// documentation.
const (
	Fine     = "fine"
	Idle     = "idle"
	Warning  = "warning"
	Critical = "critical"
	Unknown  = "unknown"
)

// Instant is a time as the records write it.
type Instant capture.Time

// MarshalText implements encoding.TextMarshaler.
func (t Instant) MarshalText() ([]byte, error) {
	return capture.Time(t).Std().AppendFormat(nil, "2006-01-02T15:04:05.000000000Z07:00"), nil
}

func instant(t time.Time) Instant { return Instant(capture.At(t)) }

// Document is what the page and /status.json show. A pointer that is nil is
// not known.
type Document struct {
	Time      Instant         `json:"time"` // the present, in capture time
	Instance  string          `json:"instance,omitempty"`
	State     string          `json:"state"`    // the worst of all nodes, of the capture and of what Untold says
	Sentence  string          `json:"sentence"` // about it
	Nodes     []*Node         `json:"nodes"`    // worst first
	MoreNodes int             `json:"nodes_not_shown,omitempty"`
	Firing    []*Incident     `json:"firing"` // worst first
	MoreFires int             `json:"firing_not_shown,omitempty"`
	Calls     []*Call         `json:"calls"` // in flight, oldest first
	MoreCalls int             `json:"calls_not_shown,omitempty"`
	Resolved  []*Incident     `json:"resolved"` // newest first
	Conns     Counts          `json:"connections"`
	Host      *Host           `json:"host,omitempty"` // nil: not looked at
	Capture   Capture         `json:"capture"`
	Health    *metrics.Health `json:"health,omitempty"`

	Receivers  []*Receiver `json:"receivers,omitempty"`
	LostAlerts uint64      `json:"alerts_lost,omitempty"` // that reached no receiver's queue
	Records    *Records    `json:"records,omitempty"`
	Untold     []string    `json:"untold,omitempty"` // what does not get where it should
	Build      Build       `json:"build"`

	ids map[*detect.Alert]string // of the incidents that fire
}

// Count is a word of a closed list and a number.
type Count struct {
	Name string
	N    uint64
}

// Counts is an object of words and numbers, in an order that means something.
type Counts []Count

// MarshalJSON implements json.Marshaler.
func (c Counts) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, x := range c {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, x.Name) // printable ASCII, in which Go and JSON quote alike
		b = strconv.AppendUint(append(b, ':'), x.N, 10)
	}
	return append(b, '}'), nil
}

// Node is the state of a watched server.
type Node struct {
	Name           string   `json:"server"`
	State          string   `json:"state"`
	Sentence       string   `json:"sentence"`
	Since          *Instant `json:"since,omitempty"`
	Told           *Instant `json:"told,omitempty"`  // when Sentence was true
	Alert          string   `json:"alert,omitempty"` // that made the state
	Connections    int      `json:"connections"`
	CallsPerSecond *float64 `json:"calls_per_second,omitempty"`
	InFlight       int      `json:"in_flight"`
	Doubted        int      `json:"doubted,omitempty"` // of InFlight: perhaps over
	Oldest         *float64 `json:"oldest_seconds,omitempty"`
	CloseWait      int      `json:"close_wait"`
	CloseWaitHost  *int     `json:"close_wait_kernel,omitempty"`
	Unaccepted     *int     `json:"unaccepted,omitempty"`
	FDs            *int     `json:"fds,omitempty"`
	FDLimit        *int     `json:"fd_limit,omitempty"`
	ETA            *float64 `json:"fd_eta_seconds,omitempty"`
	ETALow         *float64 `json:"fd_eta_low_seconds,omitempty"`  // it lies between them nine times in ten
	ETAHigh        *float64 `json:"fd_eta_high_seconds,omitempty"` // nil beside an ETA: there is no end
	History        *History `json:"history,omitempty"`

	// AlertID is the place of Alert on the page; "": it is not there.
	AlertID string `json:"-"`
	rank    int
}

// History is what happened lately, in slices of equal length of which the last
// is that of the last observation. null is a slice in which nothing was
// observed.
type History struct {
	Step           float64    `json:"step_seconds"`
	InFlight       []*float64 `json:"in_flight"`
	Oldest         []*float64 `json:"oldest_seconds"`
	CloseWait      []*float64 `json:"close_wait"`
	FDs            []*float64 `json:"fds,omitempty"`
	CallsPerSecond []*float64 `json:"calls_per_second"`

	plots []Plot
}

// Incident is an alert as it was told last.
type Incident struct {
	Time     Instant  `json:"time"`  // of the last change
	State    string   `json:"state"` // firing, resolved
	Name     string   `json:"alert"`
	Severity string   `json:"severity"`
	Subject  string   `json:"subject"`
	Since    Instant  `json:"since"`
	For      float64  `json:"for_seconds"`
	Server   string   `json:"server,omitempty"`
	Client   string   `json:"client,omitempty"`
	Command  string   `json:"command,omitempty"`
	Summary  string   `json:"summary"`
	Story    []Line   `json:"story,omitempty"`
	Next     []string `json:"next,omitempty"` // what to do
	Runbook  string   `json:"runbook_url,omitempty"`
	// ID is the place on the page: the name in lower case, the second of a
	// name with its number.
	ID string `json:"-"`
}

// Line is a named line.
type Line struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Call is a call in flight.
type Call struct {
	Server  string  `json:"server"`
	Conn    string  `json:"conn"`
	Depth   int     `json:"depth"`
	Client  string  `json:"client"`
	From    string  `json:"from,omitempty"` // the connection's other end, where it is not Client
	Command string  `json:"command"`
	Raw     string  `json:"raw,omitempty"`
	Shape   string  `json:"shape,omitempty"`
	Since   Instant `json:"since"`
	Age     float64 `json:"age_seconds"`
	Verdict string  `json:"verdict"`
	Words   string  `json:"verdict_words,omitempty"`
}

// Host is what the machine says of the node's process.
type Host struct {
	Problem string  `json:"problem,omitempty"` // why it cannot be seen; "": it can
	Since   Instant `json:"since"`             // of the problem, or of the process in sight
	PID     int     `json:"pid,omitempty"`
	Process string  `json:"process,omitempty"`
	Sockets Counts  `json:"sockets,omitempty"`
	Queue   *int    `json:"listen_queue,omitempty"`
	Max     *int    `json:"listen_max,omitempty"`
}

// Capture is how well stallwatch itself sees.
type Capture struct {
	Interfaces []string `json:"interfaces,omitempty"`
	Ports      []uint16 `json:"ports,omitempty"`
	Packets    uint64   `json:"packets"`
	Bytes      uint64   `json:"bytes"`
	Kernel     uint64   `json:"kernel_dropped_packets"`
	Interface  uint64   `json:"interface_dropped_packets"`
	GapBytes   uint64   `json:"gap_bytes"`
	Last       *Instant `json:"last_packet,omitempty"`
	LastAge    *float64 `json:"last_packet_age_seconds,omitempty"`
	Level      string   `json:"level"`
	Bounds     Counts   `json:"bounds,omitempty"`
}

// Build is what runs, and since when.
type Build struct {
	Version string  `json:"version"`
	Rules   string  `json:"rules"`
	Started Instant `json:"started"`
	Uptime  float64 `json:"uptime_seconds"`
}
