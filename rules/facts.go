package rules

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Facts is what a free rule may ask about. The caller fills in what its On
// has; the byte slices are the wire's and are not kept.
type Facts struct {
	Verdict                   *Verdict // nil for node
	Client, Server            netip.AddrPort
	Method, Target, UserAgent []byte
	BodyBytes                 int64

	Status        int // exchange: 0 if there was no answer
	Wait          time.Duration
	ResponseBytes int64

	Age time.Duration // pending

	Node NodeFacts // node
}

// NodeFacts is the state of a node. A count of the host's that is not known
// is -1.
type NodeFacts struct {
	Connections, InFlight                  int
	Oldest                                 time.Duration
	CloseWait, CloseWaitKernel, Unaccepted int
	FDs, FDLimit                           int
	ETA                                    time.Duration // until the descriptors run out; valid iff HasETA
	HasETA                                 bool
}

// Field is a name that expressions know.
type Field struct {
	Name string
	Type string // text, integer, number
	Doc  string
	// On lists what kinds of rule have it.
	On []On

	get  func(*Facts) any
	wire bool // text from the wire: not for summaries
}

var (
	onCalls = []On{OnRequest, OnExchange, OnPending}
	onAll   = []On{OnRequest, OnExchange, OnPending, OnNode}
)

// Bounds of the wire's text in an expression, in bytes.
const (
	maxFactPath  = 256
	maxFactAgent = 256
	maxMethod    = 32
)

// fields are all names that expressions know: what is checked, what is
// evaluated and what the reference prints is this table.
var fields = []Field{
	{Name: "server", Type: "text", On: onAll, Doc: `address and port of the node, like "192.0.2.1:14265"`,
		get: func(f *Facts) any { return f.Server.String() }},
	{Name: "command", Type: "text", On: onCalls, Doc: `the command's name in the packs, or "other"`,
		get: func(f *Facts) any { return f.Verdict.Command.Name }},
	{Name: "api", Type: "text", On: onCalls, Doc: "the API the command belongs to",
		get: func(f *Facts) any { return f.Verdict.Command.API }},
	{Name: "class", Type: "text", On: onCalls, Doc: "the command's class",
		get: func(f *Facts) any { return f.Verdict.Command.Class.String() }},
	{Name: "calls", Type: "integer", On: onCalls, Doc: "calls in the request: 1, or the length of a JSON-RPC batch",
		get: func(f *Facts) any { return f.Verdict.Calls }},
	{Name: "client", Type: "text", On: onCalls, Doc: "the client's address without its port; behind a trusted proxy the one that the proxy names",
		get: func(f *Facts) any { return f.Client.Addr().String() }},
	{Name: "method", Type: "text", On: onCalls, wire: true, Doc: "the HTTP method as sent",
		get: func(f *Facts) any { return Escape(f.Method, maxMethod) }},
	{Name: "target", Type: "text", On: onCalls, wire: true, Doc: "the path without its query, {id} in place of what looks like an identifier",
		get: func(f *Facts) any { return plainPath(f.Target) }},
	{Name: "user_agent", Type: "text", On: []On{OnRequest, OnExchange}, wire: true, Doc: "the header field User-Agent, escaped",
		get: func(f *Facts) any { return Escape(f.UserAgent, maxFactAgent) }},
	{Name: "body_bytes", Type: "integer", On: onCalls, Doc: "content of the request",
		get: func(f *Facts) any { return int(f.BodyBytes) }},
	{Name: "status", Type: "integer", On: []On{OnExchange}, Doc: "the answer's status, 0 if there was none",
		get: func(f *Facts) any { return f.Status }},
	{Name: "wait_seconds", Type: "number", On: []On{OnExchange}, Doc: "from the last byte of the request to the first of the answer, or to the end of the connection",
		get: func(f *Facts) any { return f.Wait.Seconds() }},
	{Name: "response_bytes", Type: "integer", On: []On{OnExchange}, Doc: "content of the answer",
		get: func(f *Facts) any { return int(f.ResponseBytes) }},
	{Name: "age_seconds", Type: "number", On: []On{OnPending}, Doc: "since the last byte of the request",
		get: func(f *Facts) any { return f.Age.Seconds() }},

	{Name: "connections", Type: "integer", On: []On{OnNode}, Doc: "connections that are not closed",
		get: func(f *Facts) any { return f.Node.Connections }},
	{Name: "in_flight", Type: "integer", On: []On{OnNode}, Doc: "calls without an answer",
		get: func(f *Facts) any { return f.Node.InFlight }},
	{Name: "oldest_seconds", Type: "number", On: []On{OnNode}, Doc: "age of the oldest call in flight, 0 if there is none",
		get: func(f *Facts) any { return f.Node.Oldest.Seconds() }},
	{Name: "close_wait", Type: "integer", On: []On{OnNode}, Doc: "connections that their clients closed and the node did not, as the wire tells it",
		get: func(f *Facts) any { return f.Node.CloseWait }},
	{Name: "close_wait_kernel", Type: "integer", On: []On{OnNode}, Doc: "sockets in CLOSE_WAIT as the kernel counts them; -1: not known",
		get: func(f *Facts) any { return f.Node.CloseWaitKernel }},
	{Name: "unaccepted", Type: "integer", On: []On{OnNode}, Doc: "connections that the process has not accepted; -1: not known",
		get: func(f *Facts) any { return f.Node.Unaccepted }},
	{Name: "fds", Type: "integer", On: []On{OnNode}, Doc: "open descriptors of the process; -1: not known",
		get: func(f *Facts) any { return f.Node.FDs }},
	{Name: "fd_limit", Type: "integer", On: []On{OnNode}, Doc: "its limit; -1: not known",
		get: func(f *Facts) any { return f.Node.FDLimit }},
	{Name: "fd_eta_seconds", Type: "number", On: []On{OnNode}, Doc: "until the descriptors run out at their present growth; infinite if they do not",
		get: func(f *Facts) any {
			if !f.Node.HasETA {
				return math.Inf(1) // so that fd_eta_seconds < 600 says what it seems to
			}
			return f.Node.ETA.Seconds()
		}},
}

// Fields returns the names that expressions know, in order.
func Fields() []Field { return fields }

// has reports whether rules on o have the field.
func (f *Field) has(o On) bool {
	for _, x := range f.On {
		if x == o {
			return true
		}
	}
	return false
}

func findField(name string) *Field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}

// fieldNames returns what rules on o know.
func fieldNames(o On) []string {
	var names []string
	for i := range fields {
		if fields[i].has(o) {
			names = append(names, fields[i].Name)
		}
	}
	return names
}

// zero is a value of the field's type, for the checker.
func (f *Field) zero() any {
	switch f.Type {
	case "integer":
		return 0
	case "number":
		return 0.0
	}
	return ""
}

// Func is a function that expressions know. Each takes one text, written out
// in the rule, so that it can be checked when the rule is loaded.
type Func struct {
	Name, Result, Doc string
}

// funcs are the functions; Machine.bind gives them their meaning.
var funcs = []Func{
	{"len", "integer", `len("addresses"): the length of a parameter: elements of a list, bytes of a text; 0 if it is absent`},
	{"minLen", "integer", `minLen("trytes"): the length of a list's shortest element in bytes of text, one that is no text having 0; 0 if there is no list`},
	{"maxLen", "integer", `maxLen("trytes"): the same of the longest, up to 65535`},
	{"has", "truth", `has("reference"): whether the request has a parameter`},
	{"int", "integer", `int("depth"): the value of a parameter that the packs list under number; 0 if it is absent or no number`},
	{"from", "truth", `from("192.0.2.0/24"): whether the client is in a network`},
}

// Funcs returns the functions that expressions know.
func Funcs() []Func { return funcs }

func isFunc(name string) bool {
	for i := range funcs {
		if funcs[i].Name == name {
			return true
		}
	}
	return false
}

// plainPath is the path of a target as summaries and expressions see it.
func plainPath(target []byte) string {
	var buf, out [maxPath + MaxRaw]byte
	p := split(target, buf[:maxPath], slashesCut)
	if !p.ok && p.n == 0 {
		return "/..."
	}
	return Escape(p.normal(out[:0]), maxFactPath)
}

// print appends a fact for people. Numbers are cut to three digits after the
// point; text is of the closed sets and of addresses.
func (f *Field) print(b *strings.Builder, facts *Facts) {
	switch x := f.get(facts).(type) {
	case int:
		b.WriteString(strconv.Itoa(x))
	case float64:
		b.WriteString(strconv.FormatFloat(math.Round(1000*x)/1000, 'f', -1, 64))
	case string:
		b.WriteString(Escape([]byte(x), maxFactPath))
	}
}
