package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// epoch is when every scenario begins: a whole second.
var epoch = capture.At(time.Date(2018, 1, 24, 12, 0, 0, 0, time.UTC))

// commands are what the scenarios ask for, with the budgets of the IRI pack.
var commands = []*rules.Command{
	{Name: "getNodeInfo", Class: rules.ClassInstant, Warn: 1 * second, Critical: 3 * second, Canary: true},
	{Name: "getTransactionsToApprove", Class: rules.ClassHeavy, Warn: 10 * second, Critical: 30 * second, Lock: "iri.api"},
	{Name: "getTrytes", Class: rules.ClassWork, Warn: 2 * second, Critical: 10 * second, Lock: "iri.api"},
	{Name: "getBalances", Class: rules.ClassFast, Warn: 3 * second, Critical: 10 * second},
	{Name: "attachToTangle", Class: rules.ClassJob, Warn: 60 * second, Critical: 300 * second, Lock: "iri.api"},
	{Name: "mqtt", Class: rules.ClassStream},
	{Name: "GET /api/v1/info", Class: rules.ClassInstant, Warn: 1 * second, Critical: 3 * second},
	{Name: "addNeighbors", Class: rules.ClassWork, Warn: 5 * second, Critical: 30 * second, Admin: true},
	{Name: "getNeighbors", Class: rules.ClassInstant, Warn: 1 * second, Critical: 5 * second, Admin: true},
	{Name: rules.Other, Class: rules.ClassUnknown, Warn: 5 * second, Critical: 30 * second},
}

func init() {
	for i, c := range commands {
		c.Index, c.API = i, "iri"
		for _, p := range rules.Default().Commands() {
			if p.API == c.API && p.Name == c.Name {
				c.Pow, c.Probe, c.Expect = p.Pow, p.Probe, p.Expect
			}
		}
	}
}

func commandNamed(name string) *rules.Command {
	i := slices.IndexFunc(commands, func(c *rules.Command) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return commands[i]
}

// input is one thing an Engine is told.
type input struct {
	at      capture.Time
	event   *httpreassembly.Event
	verdict *rules.Verdict
	sample  *capture.Sample
	loss    capture.Loss
	tick    bool
}

// script turns a scenario's lines into inputs. See testdata/detect/README.
type script struct {
	slots  int32
	inputs []input
	conns  map[string]*client
	ports  uint16
	end    capture.Time
}

// client is a connection of a script.
type client struct {
	id     httpreassembly.ConnID
	slot   int32
	flow   capture.Flow
	opened capture.Time
	x      *httpreassembly.Exchange
	begun  *httpreassembly.Exchange // what start began
	v      *rules.Verdict
	depth  int
	status int // of the next answer; 0: 200
	left   capture.Time
}

type lineError struct {
	line int
	text string
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %q: %v", e.line, e.text, e.err) }

func parseScript(text string) (*script, error) {
	s := &script{conns: make(map[string]*client), ports: 40000}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if err := s.line(f); err != nil {
			return nil, &lineError{i + 1, line, err}
		}
	}
	slices.SortStableFunc(s.inputs, func(a, b input) int { return int(a.at/1000) - int(b.at/1000) })
	last := capture.Time(0)
	for i := range s.inputs { // strict, as a source makes it
		in := &s.inputs[i]
		in.at = max(in.at, last+1)
		if last = in.at; in.event != nil {
			in.event.At = in.at
		}
	}
	return s, nil
}

func parseAt(s string) (capture.Time, error) {
	x, err := strconv.ParseFloat(s, 64)
	return epoch.Add(time.Duration(x * float64(second))), err
}

func (s *script) line(f []string) error {
	if len(f) < 2 {
		return fmt.Errorf("want: time action")
	}
	args, opts := splitArgs(f[2:])
	if from, rest, ok := strings.Cut(f[0], ".."); ok {
		to, step, ok := strings.Cut(rest, "/")
		if !ok {
			return fmt.Errorf("want from..to/step")
		}
		return s.repeat(from, to, step, f[1], args, opts)
	}
	at, err := parseAt(f[0])
	if err != nil {
		return err
	}
	return s.do(at, f[1], args, opts)
}

func splitArgs(f []string) (args []string, opts map[string]string) {
	opts = make(map[string]string)
	for _, a := range f {
		if k, v, ok := strings.Cut(a, "="); ok {
			opts[k] = v
		} else {
			args = append(args, a)
		}
	}
	return args, opts
}

// repeat runs an action every step; a %d in its names and addresses becomes
// the number of the repetition.
func (s *script) repeat(from, to, step, action string, args []string, opts map[string]string) error {
	a, err1 := parseAt(from)
	b, err2 := parseAt(to)
	d, err3 := strconv.ParseFloat(step, 64)
	if err1 != nil || err2 != nil || err3 != nil || d <= 0 {
		return fmt.Errorf("want from..to/step in seconds")
	}
	for i := 0; ; i++ {
		at := a.Add(time.Duration(float64(i) * d * float64(second)))
		if at >= b {
			return nil
		}
		numbered := func(x string) string { return strings.ReplaceAll(x, "%d", strconv.Itoa(i%250)) }
		o := make(map[string]string)
		for k, v := range opts {
			o[k] = numbered(v)
		}
		var as []string
		for _, x := range args {
			as = append(as, numbered(x))
		}
		if err := s.do(at, action, as, o); err != nil {
			return err
		}
	}
}

func (s *script) do(at capture.Time, action string, args []string, opts map[string]string) error {
	s.end = max(s.end, at)
	switch action {
	case "client":
		return s.visit(at, args, opts)
	case "open", "establish", "start", "head", "resent", "acked", "choke", "room", "progress", "upload", "odd", "lost", "call", "answer", "begin", "finish", "leave", "close", "reset", "drop", "gap":
		if len(args) == 0 {
			return fmt.Errorf("%s whom?", action)
		}
		return s.act(at, action, args, opts)
	case "syn", "refused", "knock", "closed_port":
		kind := map[string]httpreassembly.Kind{"syn": httpreassembly.SynUnanswered, "refused": httpreassembly.Refused,
			"knock": httpreassembly.Knocked, "closed_port": httpreassembly.PortRefused}[action]
		s.event(at, httpreassembly.Event{Kind: kind, Slot: -1, Conn: httpreassembly.ConnID(at), Flow: s.flow(opts)})
	case "sample":
		return s.sample(at, opts)
	case "loss":
		n, err := strconv.Atoi(opts["kernel"])
		s.inputs = append(s.inputs, input{at: at, loss: capture.Loss{Kernel: uint64(n)}})
		return err
	case "end":
	default:
		return fmt.Errorf("unknown action %s", action)
	}
	return nil
}

func (s *script) event(at capture.Time, e httpreassembly.Event) {
	s.inputs = append(s.inputs, input{at: at, event: &e})
}

func (s *script) flow(opts map[string]string) capture.Flow {
	s.ports++
	addr, server := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddrPort("127.0.0.1:14265")
	if a, ok := opts["from"]; ok {
		addr = netip.MustParseAddr(a)
	}
	if a, ok := opts["to"]; ok {
		server = netip.MustParseAddrPort(a)
	}
	return capture.Flow{Client: capture.EndpointOf(netip.AddrPortFrom(addr, s.ports)), Server: capture.EndpointOf(server)}
}

// visit is a whole client: it opens, calls, and as its options say the node
// answers after .., it leaves (FIN) after .., resets after .., both close after ..
func (s *script) visit(at capture.Time, args []string, opts map[string]string) error {
	if len(args) != 1 {
		return fmt.Errorf("want: client COMMAND")
	}
	name := fmt.Sprintf("client %d", len(s.inputs))
	if err := s.act(at, "open", []string{name}, opts); err != nil {
		return err
	}
	at = at.Add(time.Millisecond)
	if err := s.act(at, "call", append([]string{name}, args...), opts); err != nil {
		return err
	}
	type todo struct {
		after  time.Duration
		action string
	}
	var list []todo
	for _, action := range []string{"answer", "leave", "reset", "close"} {
		if v, ok := opts[action]; ok {
			d, err := time.ParseDuration(v)
			if err != nil {
				return err
			}
			list = append(list, todo{d, action})
		}
	}
	slices.SortStableFunc(list, func(a, b todo) int { return int(a.after - b.after) })
	for _, t := range list {
		if err := s.act(at.Add(t.after), t.action, []string{name}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) act(at capture.Time, action string, args []string, opts map[string]string) error {
	if action == "open" {
		f := s.flow(opts)
		c := &client{id: httpreassembly.ConnID(int64(at) + int64(s.ports)), slot: s.slots, flow: f, opened: at}
		s.slots++
		s.conns[args[0]] = c
		mid := opts["mid"] != ""
		switch opts["unseen"] {
		case "client": // the node answers a SYN that was not captured
			c.id = httpreassembly.ConnID(at)
		case "node": // the client goes on without an answer
			mid, c.id = true, httpreassembly.ConnID(int64(at)-int64(s.ports))
		}
		s.event(at, httpreassembly.Event{Kind: httpreassembly.Opened, Slot: c.slot, Conn: c.id, Flow: f, MidStream: mid})
		if opts["half"] == "" && !mid {
			s.event(at+1, httpreassembly.Event{Kind: httpreassembly.Established, Slot: c.slot, Conn: c.id, Flow: f})
		}
		return nil
	}
	c := s.conns[args[0]]
	if c == nil {
		return fmt.Errorf("no connection %s", args[0])
	}
	e := httpreassembly.Event{Slot: c.slot, Conn: c.id, Flow: c.flow}
	kinds := map[string]httpreassembly.Kind{"head": httpreassembly.HeadSeen, "resent": httpreassembly.Retransmitting, "acked": httpreassembly.Acknowledged,
		"choke": httpreassembly.WindowClosed, "room": httpreassembly.WindowOpened, "progress": httpreassembly.ResponseProgress, "upload": httpreassembly.RequestProgress}
	switch action {
	case "head", "resent", "acked", "choke", "room", "progress", "upload":
		e.Kind = kinds[action]
		if len(args) > 1 && args[1] == "client" || (action == "choke" || action == "room") && len(args) == 1 {
			e.Dir = capture.ToClient
		}
		n, _ := strconv.Atoi(opts["bytes"])
		e.Bytes = int64(n)
		if action == "upload" {
			e.Exchange = c.begun
			rate, _ := strconv.ParseFloat(opts["rate"], 64)
			e.Bytes += int64(rate * at.Sub(c.begun.RequestStart).Seconds())
		}
		s.event(at, e)
	case "establish":
		e.Kind = httpreassembly.Established
		s.event(at, e)
	case "odd":
		e.Kind, e.Odd = httpreassembly.Odd, httpreassembly.BadRequestLine
		if len(args) > 1 && args[1] == "tls" {
			e.Odd = httpreassembly.TLSInstead
		}
		s.event(at, e)
	case "start":
		c.begun = &httpreassembly.Exchange{Conn: c.id, Flow: c.flow, Depth: c.depth + 1, RequestStart: at, Answer: &httpreassembly.Answer{}, Head: &httpreassembly.Head{}}
		e.Kind, e.Exchange = httpreassembly.RequestStarted, c.begun
		s.event(at, e)
	case "lost": // the server resets
		s.finish(at, c, e, httpreassembly.ServerReset, false)
		e.Kind, e.By, e.How = httpreassembly.Closed, httpreassembly.Server, httpreassembly.ByRST
		e.Summary = &httpreassembly.Connection{Opened: c.opened, State: httpreassembly.StateReset}
		s.event(at+1, e)
	case "call":
		return s.call(at, c, e, args, opts)
	case "answer":
		s.finish(at, c, e, httpreassembly.Answered, true)
	case "begin":
		s.begin(at, c, e)
	case "finish":
		s.finish(at, c, e, httpreassembly.Answered, false)
	case "leave":
		e.Kind, e.By = httpreassembly.HalfClosed, httpreassembly.Client
		c.left = at
		s.event(at, e)
	case "gap":
		n, err := strconv.Atoi(args[1])
		e.Kind, e.Dir, e.Bytes = httpreassembly.Gap, capture.ToClient, int64(n)
		s.event(at, e)
		return err
	case "reset":
		e.Kind, e.By, e.How = httpreassembly.Closed, httpreassembly.Client, httpreassembly.ByRST
		e.Summary = &httpreassembly.Connection{Opened: c.opened, State: httpreassembly.StateReset}
		if c.x != nil {
			e.Summary.State = httpreassembly.StateZombie
		}
		s.event(at, e)
	case "drop": // the tracker gives up a zombie
		s.finish(at, c, e, httpreassembly.ClientGone, false)
	case "close":
		if c.x != nil {
			s.finish(at, c, e, httpreassembly.ServerClosed, false)
		}
		e.Kind, e.How = httpreassembly.Closed, httpreassembly.ByFIN
		e.Summary = &httpreassembly.Connection{Opened: c.opened, State: httpreassembly.StateClosed}
		s.event(at+1, e)
	}
	return nil
}

func (s *script) call(at capture.Time, c *client, e httpreassembly.Event, args []string, opts map[string]string) error {
	if len(args) < 2 {
		return fmt.Errorf("want: call WHO COMMAND")
	}
	cmd := commandNamed(args[1])
	if cmd == nil {
		return fmt.Errorf("no command %s", args[1])
	}
	c.depth++
	method := "POST"
	if len(args) > 2 {
		method = args[2]
	}
	c.x = &httpreassembly.Exchange{Conn: c.id, Flow: c.flow, Depth: c.depth, RequestStart: at - 1, RequestEnd: at, RequestBytes: 300, Answer: &httpreassembly.Answer{}, Head: &httpreassembly.Head{Method: []byte(method), Target: []byte("/")}}
	c.v = &rules.Verdict{Command: cmd, Calls: 1, Raw: opts["raw"], Malformed: opts["malformed"] != ""}
	if body := opts["json"]; body != "" {
		v := rules.Default().Classify(&rules.Request{Method: c.x.Method, Target: c.x.Target, Body: []byte(body), BodyBytes: int64(len(body))})
		c.v.Shape = v.Shape
	}
	if n, err := strconv.Atoi(opts["stream"]); err == nil {
		c.x.StreamID = uint32(n)
	}
	if n, err := strconv.Atoi(opts["body"]); err == nil {
		c.x.RequestBody = int64(n)
	}
	c.x.ForwardedFor = []byte(opts["xff"])
	c.status, _ = strconv.Atoi(opts["status"])
	e.Kind, e.Exchange = httpreassembly.RequestSeen, c.x
	s.inputs = append(s.inputs, input{at: at, event: &e, verdict: c.v})
	return nil
}

func (s *script) begin(at capture.Time, c *client, e httpreassembly.Event) {
	if c.x.Status = 200; c.status != 0 {
		c.x.Status = c.status
	}
	e.Kind, e.Exchange = httpreassembly.ResponseSeen, c.x
	s.inputs = append(s.inputs, input{at: at, event: &e, verdict: c.v})
}

func (s *script) finish(at capture.Time, c *client, e httpreassembly.Event, o httpreassembly.Outcome, begin bool) {
	if c.x == nil {
		return
	}
	if begin {
		s.begin(at, c, e)
	}
	if o == httpreassembly.Answered {
		c.x.ResponseBytes = 800
	}
	c.x.Outcome, c.x.ResponseEnd = o, at
	e.Kind, e.Exchange = httpreassembly.ExchangeDone, c.x
	s.inputs = append(s.inputs, input{at: at, event: &e, verdict: c.v})
	c.x = nil
}

func (s *script) sample(at capture.Time, opts map[string]string) error {
	num := func(key string, def int) int {
		if n, err := strconv.Atoi(opts[key]); err == nil {
			return n
		}
		return def
	}
	m := &capture.Sample{PID: 1, FDs: num("fds", -1), FDLimit: num("limit", -1), Overflows: uint64(num("overflows", 0)),
		Unaccepted: num("unaccepted", 0), Processes: num("processes", 0), Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.5")}}
	m.Sockets[capture.CloseWait] = num("close_wait", 0)
	m.Listen = []capture.Backlog{{Addr: netip.MustParseAddrPort("0.0.0.0:14265"), Queue: num("queue", 0), Max: 128}}
	for i := range num("standing", 0) {
		f := capture.Flow{Client: capture.EndpointOf(netip.AddrPortFrom(netip.MustParseAddr("10.9.9.9"), uint16(20000+i))), Server: capture.EndpointOf(netip.MustParseAddrPort("127.0.0.1:14265"))}
		m.Conns = append(m.Conns, capture.Socket{Flow: f, State: capture.CloseWait, Accepted: true})
	}
	if e, ok := opts["err"]; ok {
		*m = capture.Sample{Err: e}
	}
	s.inputs = append(s.inputs, input{at: at, sample: m})
	return nil
}
