package detect

import (
	"net/netip"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// State is the state of an alert.
type State uint8

// An alert fires (again, when its severity rises) and is resolved.
const (
	Firing State = iota + 1
	Resolved
)

// Severity is how bad it is.
type Severity uint8

// The severities.
const (
	Info Severity = iota + 1
	Warning
	Critical
)

// Alert is one change of an incident: it fired, escalated, or was resolved.
// Name and Subject together are the incident's identity.
type Alert struct {
	At           capture.Time
	State        State
	Repeat       bool   // Firing again without news: 5 min, 30 min, 2 h, 12 h after it began, then daily
	Name         string // CamelCase, closed set: "CallStalled"
	Severity     Severity
	Subject      string // what it is about, made of closed names, addresses and ports only: "127.0.0.1:14265 getTransactionsToApprove"
	Since        capture.Time
	Server       netip.AddrPort
	Client       Client // invalid when no one client stands out
	Command      string // a Command.Name, or ""
	Value, Limit float64
	Unit         string  // "seconds", "sockets", "descriptors", "ratio"
	Summary      string  // one sentence, for people; no text from the wire
	Why          string  // which rule, with its numbers
	Confidence   float64 // 0..1, lowered by what the capture missed
	Evidence     Evidence
}

// Evidence backs an alert. Every list is bounded by MaxEvidence, the totals
// are not.
type Evidence struct {
	Calls                                  []CallRef // culprit first, then the oldest victims
	InFlight                               int
	Clients                                []ClientCount // by count, then address
	CloseWait, CloseWaitKernel, Unaccepted int           // -1: not known
	FDs, FDLimit                           int           // -1: not known
	ETA                                    time.Duration // valid iff HasETA
	ETALow, ETAHigh                        time.Duration // between which it lies nine times in ten; ETAHigh 0: no end. Valid iff HasETA
	HasETA                                 bool
	LostPackets, GapBytes                  uint64 // within the alert's window
	Leg                                    Leg
}

// Leg is what both sides of a reverse proxy together say of an alert's node.
// The counts are of its calls in flight.
type Leg struct {
	Side        LegSide        // of the node; NoLeg: the rest is not valid
	Proxy, Node netip.AddrPort // the service that clients ask, and the one behind it
	Leaks       bool           // sockets are left over on this side
	Paired      int            // on the other side as well
	// GaveUp counts those that the proxy answered by itself while the node goes
	// on, with Status (the last one's) after Patience or less. Left counts those
	// whose client left. On the node's side only.
	GaveUp, Left, Status int
	Queued               int // over their budget, in the proxy: not passed on, since the node takes no more
	Patience             time.Duration
}

// MaxEvidence bounds each list of Evidence.
const MaxEvidence = 8

// CallRef names one call in flight.
type CallRef struct {
	Conn    httpreassembly.ConnID
	Depth   int
	Client  netip.AddrPort // port 0 if only an address is known, of one behind a proxy
	From    netip.AddrPort // the connection's other end: a proxy's, where it is not Client
	Command string
	Raw     string // escaped, see rules.Verdict.Raw
	Shape   string
	Since   capture.Time // last request byte
	Age     time.Duration
	Verdict Cause
}

// ClientCount is how many of an alert's calls or sockets a client has.
type ClientCount struct {
	Client Client
	N      int
}

// Cause says where a pending call hangs.
type Cause string

// The causes.
const (
	CauseApp          Cause = "app"         // the kernel acknowledged the request, the application does not answer
	CauseGone         Cause = "client_gone" // the same, and the client has left, this connection or the proxy in front
	CauseUnknown      Cause = "unknown"
	CauseCaptureGap   Cause = "capture_gap"   // a hole in the capture may hide the answer
	CauseHost         Cause = "host"          // the node's kernel does not acknowledge: the machine is away or stopped
	CauseNetwork      Cause = "network"       // both ends send again: the path between them loses packets
	CauseClientUpload Cause = "client_upload" // the client has not sent all of its request
	CauseClientRead   Cause = "client_read"   // the client takes nothing: its window is closed
	CauseUnaccepted   Cause = "unaccepted"    // the connection waits for accept(): the process has not seen the call
)

// FindingKind says what a Finding carries.
type FindingKind uint8

// The kinds of Finding.
const (
	AlertChanged FindingKind = iota + 1
	CallPending              // a call passed its budget, doubled its age since, or is unanswered at the end
	NodeSeen                 // the state of a node, every NodeEvery and at every AlertChanged of it
)

// Finding is what an Engine reports, in order of At.
type Finding struct {
	At      capture.Time
	Kind    FindingKind
	Alert   *Alert   // AlertChanged
	Pending *Pending // CallPending
	Node    *Node    // NodeSeen
}

// Pending is a call in flight, complete and on its own: it holds no memory of
// the Exchange. It holds until Engine.Recycle.
type Pending struct {
	Conn                     httpreassembly.ConnID
	Flow                     capture.Flow
	Client                   netip.AddrPort // who asked: the Flow's client, or whoever is known behind it
	Depth                    int
	Method, Target           string // as on the wire, not escaped and not redacted: the rim does both
	Host                     string
	RequestStart, RequestEnd capture.Time
	RequestBody              int64
	Call                     rules.Verdict
	Age                      time.Duration // since RequestEnd
	Cause                    Cause
	Uncounted                bool // no alert's business, however old: see CallStalledOptions.OtherGET
	Final                    bool // nothing more is expected: the capture ended, or see Over
	Over                     bool // it ended, and no packet showed it: the node's process went, or it gave the descriptor of a reset client back. Implies Final
}

// Node is the state of one watched server at an instant.
type Node struct {
	Server                                    netip.AddrPort
	Connections                               int
	Calls                                     uint64 // requests seen whole since the node was first seen
	InFlight                                  int
	Doubted                                   int           // of InFlight: their clients reset the connection, so they may be over
	Oldest                                    time.Duration // age of the oldest call in flight; 0 if none
	CloseWait                                 int           // from the wire
	Host                                      bool          // the four below are valid
	CloseWaitKernel, Unaccepted, FDs, FDLimit int
	ETA                                       time.Duration // until the descriptors run out; valid iff HasETA
	ETALow, ETAHigh                           time.Duration // as in Evidence
	HasETA                                    bool
}
