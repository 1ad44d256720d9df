package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stallwatch/capture"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/ruletest"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// explainFlags are what rules explain was told.
type explainFlags struct {
	ruleFlags
	command string
	client  string
	limit   int
}

func newRulesExplain(std stdio) *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use:   "explain [REQUEST | CAPTURE]",
		Short: "Say why a request matches the rules, or why not",
		Long: `Explain reads one HTTP request as it is sent, from a file or standard input, or
the requests of a capture, and says of each which command it is and why, what
its budgets are, what is kept of its parameters, and which free rules hold.
A request needs no Content-Length, and its lines may end as an editor ends them.`,
		Example: `  printf 'POST / HTTP/1.1\n\n{"command":"getTips"}' | stallwatch rules explain
  stallwatch rules explain --rules own.yaml request.http
  stallwatch rules explain --command other --limit 20 incident.pcap.zst`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return runExplain(std, &f, args) },
	}
	f.add(c, "watched `PORT`s of a capture")
	fl := c.Flags()
	fl.StringVar(&f.command, "command", "", "only requests of this command of a capture; other for what no pack knows")
	fl.StringVar(&f.client, "client", "", "only requests of this address or network of a capture")
	fl.IntVar(&f.limit, "limit", 10, "at most so many requests of a capture")
	return c
}

func runExplain(std stdio, f *explainFlags, args []string) error {
	set, err := f.load(std)
	if err != nil {
		return err
	}
	tracker, err := f.tracker()
	if err != nil {
		return err
	}
	x := &explainer{w: std.out, set: set, machine: set.NewMachine(), limit: f.limit}
	if f.limit < 1 {
		return usage(fmt.Errorf("--limit %d: want 1 or more", f.limit))
	}
	if x.client, err = clientFilter(f.client); err != nil {
		return usage(err)
	}
	if x.command = f.command; f.command != "" && set.Command("", f.command) == nil {
		return usage(fmt.Errorf("--command: no command is named %q%s", text.Escape(f.command), nearCommand(set, f.command)))
	}
	return x.run(std, pipeline.Options{Rules: set, Tracker: tracker}, args)
}

// clientFilter reads an address or a network.
func clientFilter(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("--client %q: want an address like 192.0.2.7 or a network like 192.0.2.0/24", text.Escape(s))
	}
	return p, nil
}

// maxRequest bounds a request that is read from a file.
const maxRequest = 16 << 20

var requestLine = regexp.MustCompile(`^[A-Za-z]{1,20} [^ \r\n]+( HTTP/1\.[01])?\r?(\n|$)`)

func (x *explainer) run(std stdio, o pipeline.Options, args []string) error {
	var raw []byte
	var err error
	if len(args) == 0 || args[0] == "-" {
		raw, err = io.ReadAll(io.LimitReader(std.in, maxRequest+1))
	} else {
		raw, err = head(args[0])
	}
	if err != nil {
		return err
	}
	pipe, err := pipeline.New(o, x)
	if err != nil {
		return err
	}
	switch {
	case len(raw) > maxRequest:
		return usage(fmt.Errorf("the request is larger than %d bytes", maxRequest))
	case requestLine.Match(raw):
		x.alone = true
		x.play(pipe, raw)
	case len(args) == 0 || args[0] == "-":
		return usage(errors.New(`standard input is no HTTP request: it starts with a line like "POST / HTTP/1.1"`))
	default:
		if _, err := ruletest.Replay(pipe, args[0], 0); err != nil {
			return err
		}
	}
	return x.end(x.now)
}

// head reads a file if it may be a request: a capture is left to its reader.
func head(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	first := make([]byte, 4096)
	n, err := io.ReadFull(f, first)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, err
	}
	if !requestLine.Match(first[:n]) {
		return nil, nil
	}
	rest, err := io.ReadAll(io.LimitReader(f, maxRequest))
	return append(first[:n], rest...), err
}

// play sends a request over a connection of its own.
func (x *explainer) play(pipe *pipeline.Pipeline, raw []byte) {
	var w ruletest.Wire
	c := w.Open(ruletest.Epoch, netip.AddrFrom4([4]byte{192, 0, 2, 1}), netip.MustParseAddrPort("198.51.100.1:14265"))
	c.Send(ruletest.Epoch.Add(time.Millisecond), capture.ToServer, complete(raw))
	items := w.Items(ruletest.Epoch.Add(time.Second))
	for i := range items {
		pipe.Item(&items[i])
	}
	pipe.Finish(items[len(items)-1].At)
}

var (
	lengthField  = regexp.MustCompile(`(?im)^content-length:[ \t]*([0-9]+)[ \t]*\r?\n`)
	chunkedField = regexp.MustCompile(`(?im)^transfer-encoding:`)
)

// complete makes the wire's form of a request that was typed: line ends, the
// version, and the length of the content.
func complete(raw []byte) []byte {
	h, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	if i := bytes.Index(raw, []byte("\n\n")); i >= 0 && i < len(h) {
		h, body = raw[:i], raw[i+2:]
	}
	lines := append(bytes.TrimRight(h, "\r\n"), '\n')
	if m := lengthField.FindSubmatch(lines); m != nil {
		if n, err := strconv.Atoi(string(m[1])); err == nil && n < len(body) {
			body = body[:n] // an editor ends a file with a line end
		}
		lines = lengthField.ReplaceAll(lines, nil)
	}
	first, rest, _ := strings.Cut(strings.ReplaceAll(string(lines), "\r\n", "\n"), "\n")
	if !strings.Contains(first, " HTTP/1.") {
		first += " HTTP/1.1"
	}
	out := first + "\r\n" + strings.ReplaceAll(rest, "\n", "\r\n")
	if !chunkedField.Match(lines) && len(body) > 0 {
		out += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return append([]byte(out+"\r\n"), body...)
}

// explainer is a pipeline.Sink that explains requests when they are over.
type explainer struct {
	w       io.Writer
	set     *rules.Set
	machine *rules.Machine
	client  netip.Prefix
	command string
	limit   int
	alone   bool // one request: it has no outcome
	n, more int
	now     capture.Time
	odd     []string
	open    []openCall // in order of their requests
	err     error
}

// openCall is a request that has no end yet, with memory of its own.
type openCall struct {
	id       callID
	flow     capture.Flow
	exchange httpreassembly.Exchange
	verdict  rules.Verdict
}

// maxOpen bounds the requests that wait for their end; more are only counted.
const maxOpen = 1000

// Finding implements pipeline.Sink.
func (*explainer) Finding(*detect.Finding) {}

// Loss implements pipeline.Sink.
func (*explainer) Loss(capture.Time, capture.Loss) {}

// Event implements pipeline.Sink.
func (x *explainer) Event(ev *httpreassembly.Event, v *rules.Verdict) {
	x.now = max(x.now, ev.At)
	if ev.Kind == httpreassembly.Odd && x.alone {
		x.odd = append(x.odd, text.Oddity(ev.Odd))
	}
	if v == nil || ev.Kind != httpreassembly.ExchangeDone && ev.Kind != httpreassembly.RequestSeen {
		return
	}
	if x.client.IsValid() && !x.client.Contains(ev.Flow.Client.Addr()) || x.command != "" && v.Command.Name != x.command {
		return
	}
	id := callID{ev.Conn, ev.Exchange.Depth}
	if ev.Kind == httpreassembly.RequestSeen {
		if len(x.open) < maxOpen {
			e := *ev.Exchange
			e.Method, e.Target, e.UserAgent = bytes.Clone(e.Method), bytes.Clone(e.Target), bytes.Clone(e.UserAgent)
			x.open = append(x.open, openCall{id, ev.Flow, e, *v})
		}
		return
	}
	x.open = slices.DeleteFunc(x.open, func(o openCall) bool { return o.id == id })
	x.tell(ev, v)
}

// tell explains one request, unless there were enough.
func (x *explainer) tell(ev *httpreassembly.Event, v *rules.Verdict) {
	if x.n == x.limit {
		x.more++
		return
	}
	x.n++
	var b strings.Builder
	x.describe(&b, ev, v)
	if _, err := io.WriteString(x.w, b.String()); err != nil && x.err == nil {
		x.err = err
	}
}

// end explains the requests that have no end, at the end of all.
func (x *explainer) end(now capture.Time) error {
	for i := range x.open {
		o := &x.open[i]
		x.tell(&httpreassembly.Event{At: now, Kind: httpreassembly.ExchangeDone, Conn: o.id.conn, Flow: o.flow, Exchange: &o.exchange}, &o.verdict)
	}
	switch {
	case x.err != nil:
		return x.err
	case x.n == 0 && x.alone:
		return fmt.Errorf("no request was understood; oddities: %s", strings.Join(append(x.odd, "none"), ", "))
	case x.n == 0:
		return errors.New("no request passed the filters")
	case x.more > 0:
		_, err := fmt.Fprintf(x.w, "and %d more: --limit shows them, --client and --command choose\n", x.more)
		return err
	}
	return nil
}

func (x *explainer) describe(b *strings.Builder, ev *httpreassembly.Event, v *rules.Verdict) {
	e := ev.Exchange
	if x.n > 1 {
		b.WriteByte('\n')
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	if x.alone {
		line("request", "%s %s", rules.Escape(e.Method, rules.MaxRaw), text.Target(e.Target, true))
	} else {
		line("request", "%s %s, %s to %s at %s", rules.Escape(e.Method, rules.MaxRaw), text.Target(e.Target, true), ev.Flow.Client, ev.Flow.Server, e.RequestStart)
	}
	c := v.Command
	line("command", "%s of API %s", c.Name, c.API)
	line("because", "%s", v.Why)
	x.unknown(line, v)
	line("class", "%s", c.Class)
	line("budget", "%s", budgets(c))
	for i := range v.Batch {
		line("batch", "%d of %s", v.Batch[i].N, v.Batch[i].Command.Name)
	}
	if s := v.Shape.String(); s != "" {
		line("shape", "%s", s)
	}
	if n := notes(v); n != "" {
		line("notes", "%s", n)
	}
	if len(x.odd) > 0 {
		line("oddities", "%s", strings.Join(x.odd, ", "))
	}
	if !x.alone {
		line("outcome", "%s", outcomeWords(ev))
	}
	for _, r := range x.set.Alerts() {
		words, clauses := x.rule(r, ev, v)
		line("rule", "%s: %s", r.Name, words)
		for _, c := range clauses {
			line("", "%s", c)
		}
	}
}

// unknown says what may have been meant by a name that no pack has.
func (x *explainer) unknown(line func(string, string, ...any), v *rules.Verdict) {
	if v.Command.Name != rules.Other {
		return
	}
	if v.Raw == "" {
		return
	}
	line("named", "%s%s", v.Raw, nearCommand(x.set, v.Raw))
}

func budgets(c *rules.Command) string {
	word := func(d time.Duration) string {
		if d == 0 {
			return "never"
		}
		return "after " + d.String()
	}
	s := "warn " + word(c.Warn) + ", critical " + word(c.Critical)
	if c.Lock != "" {
		s += "; lock group " + c.Lock
	}
	for _, f := range []struct {
		on   bool
		word string
	}{{c.Canary, "canary"}, {c.Admin, "admin"}, {c.Slow, "expected slow"}, {c.Pow, "proof of work"}} {
		if f.on {
			s += "; " + f.word
		}
	}
	return s
}

// notes says what the body was like.
func notes(v *rules.Verdict) string {
	var list []string
	for _, n := range []struct {
		on   bool
		word string
	}{
		{v.Cut, "not all of the content was looked at"}, {v.DuplicateKey, "the key stands twice: the last one counts"},
		{v.Malformed, "malformed JSON"}, {v.Lenient, "JSON that only a lenient parser takes"}, {v.Trailing, "more follows the JSON value"},
	} {
		if n.on {
			list = append(list, n.word)
		}
	}
	return strings.Join(list, "; ")
}

func outcomeWords(ev *httpreassembly.Event) string {
	e := ev.Exchange
	if e.ResponseStart == 0 {
		return fmt.Sprintf("no answer; it ended after %s", ev.At.Sub(e.RequestEnd).Round(time.Millisecond))
	}
	return fmt.Sprintf("%d after %s, %d bytes", e.Status, e.Wait().Round(time.Microsecond), e.ResponseBody)
}
