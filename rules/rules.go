package rules

import "time"

// Class says what kind of work a command is; it picks the default budgets.
type Class uint8

// The classes, cheapest first.
const (
	ClassUnknown Class = iota
	ClassInstant       // answers from memory: 1 s, 3 s
	ClassFast          // 2 s, 10 s
	ClassWork          // 5 s, 30 s
	ClassHeavy         // 10 s, 30 s
	ClassJob           // proof of work and the like: no latency says anything by itself; 60 s, 300 s
	ClassStream        // long polling, web sockets, event streams: never a stall
)

// Command is one API command of a Set. Name is of a closed set: it may be a
// metric label.
type Command struct {
	Index    int    // position in Set.Commands: dense, for arrays
	API      string // "iri", "jsonrpc", …: the pack
	Name     string // "getNodeInfo", "GET /api/v1/info"; Other for everything unknown
	Class    Class
	Warn     time.Duration // in flight longer than this, counted from the last request byte, is worth a warning; 0: never
	Critical time.Duration // 0: never
	Lock     string        // commands of one lock group wait for each other; "" for none
	Canary   bool          // cheap, asked often: when it stalls everything does
	Admin    bool          // changes or reveals the node itself: a policy matter, whatever it takes
	Slow     bool          // expected to be slow now and then: its latency alone says little
	Pow      bool          // makes the node do proof of work
	Probe    bool          // needs arguments: a request without any is a check, as monitors make, and does nothing
	Expect   *Expect       // what an honest client sends; nil: anything

	retired bool // of earlier rules: nothing is named so any more
}

// Other is the Name of what no pack knows.
const Other = "other"

// Request is what a Set looks at. The byte slices are not kept.
type Request struct {
	Method, Target  []byte
	ContentType     []byte
	ContentEncoding []byte
	Body            []byte // a prefix of the content
	BodyBytes       int64  // the content's whole length
}

// Verdict is what a Set says about one request. It holds no memory of the
// Request and can be kept.
type Verdict struct {
	Command *Command // never nil
	// Raw is the name as the wire had it when Command is Other: escaped, cut
	// to MaxRaw bytes, safe to print. Empty if there was none.
	Raw string
	// Batch counts the commands of a JSON-RPC batch of more than one call, in
	// order of first appearance; Command is then the one with the largest
	// budget. nil otherwise.
	Batch []Count
	Calls int    // calls in the request: 1, or the length of a batch
	Why   string // which key, method or route decided: a constant of ours
	Shape Shape

	// Stream says that the call may rightly last for ever, as one of
	// ClassStream: no pack knows it and it is gRPC, whose unary calls cannot be
	// told from streams without their schema.
	Stream bool

	// What the body's JSON was like. DuplicateKey: the key that names the
	// command stood more than once, and the last one counted. Lenient: only a
	// lenient parser takes it. Malformed: none does. Trailing: more followed
	// the top-level value. Cut: not all of the content was there to read.
	DuplicateKey, Lenient, Malformed, Trailing, Cut bool
}

// Count is a command and how often it stands in a batch.
type Count struct {
	Command *Command
	N       int
}

// MaxRaw bounds Verdict.Raw in bytes.
const MaxRaw = 64
