package ruletest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"stallwatch/rules"
)

// File is a file of unit tests for rules.
type File struct {
	Name  string   `yaml:"-"`
	Rules []string `yaml:"rules"` // rule files, relative to the test file
	API   string   `yaml:"api"`   // as --api; "": auto
	Ports []uint16 `yaml:"ports"` // watched ports; none: every port of a capture
	Tests []Test   `yaml:"tests"`
}

// Test is one unit test: a capture or a trace, and what must fire.
type Test struct {
	Name    string   `yaml:"name"`
	Capture string   `yaml:"capture"` // relative to the test file
	Trace   []Step   `yaml:"trace"`
	Expect  []Expect `yaml:"expect"`
}

// Expect says what fires at an instant: this, and nothing else.
type Expect struct {
	At     Span    `yaml:"at"` // since the first packet, or the trace's beginning
	Firing []Alert `yaml:"firing"`
}

// Alert is what an expectation says of an alert; what is empty is not asked.
type Alert struct {
	Alert    string `yaml:"alert"`
	Severity string `yaml:"severity"`
	Subject  string `yaml:"subject"`
	Client   string `yaml:"client"`
	Command  string `yaml:"command"`
	Server   string `yaml:"server"`
	Summary  string `yaml:"summary"`
}

// Step is one line of a trace: a call, or one of sample, loss, refused,
// unanswered.
type Step struct {
	At      Span `yaml:"at"`
	Every   Span `yaml:"every"`   // repeated so
	Times   int  `yaml:"times"`   // so often (1)
	Clients int  `yaml:"clients"` // by so many clients in turn, of adjacent addresses (1)

	Client  netip.Addr     `yaml:"client"`  // (192.0.2.1)
	Server  netip.AddrPort `yaml:"server"`  // (198.51.100.1:14265)
	Command string         `yaml:"command"` // a command of the rules; or
	Method  string         `yaml:"method"`  // (POST)
	Target  string         `yaml:"target"`  // (/)
	Body    string         `yaml:"body"`
	Agent   string         `yaml:"user_agent"`

	Answer *Span `yaml:"answer"` // after so long; absent: never
	Status int   `yaml:"status"` // (200)
	Bytes  int   `yaml:"bytes"`  // content of the answer (2)
	Leave  *Span `yaml:"leave"`  // the client sends FIN after so long
	Reset  *Span `yaml:"reset"`  // the client sends RST after so long
	Close  *Span `yaml:"close"`  // the server sends FIN after so long

	Refused    bool    `yaml:"refused"`    // a SYN that is answered by RST
	Unanswered bool    `yaml:"unanswered"` // a SYN that is not answered
	Lost       uint64  `yaml:"lost"`       // packets that the capture lost
	Sample     *Sample `yaml:"sample"`     // what the host says
}

// Sample is a sample of the node's process.
type Sample struct {
	FDs        int `yaml:"fds"`
	FDLimit    int `yaml:"fd_limit"`
	CloseWait  int `yaml:"close_wait"`
	Unaccepted int `yaml:"unaccepted"`
	Queue      int `yaml:"queue"`
	QueueMax   int `yaml:"queue_max"`
}

// Span is a duration with its unit.
type Span time.Duration

// UnmarshalYAML reads "10s".
func (s *Span) UnmarshalYAML(n ast.Node) error {
	tk := n.GetToken()
	d, err := time.ParseDuration(tk.Value)
	if err != nil || d < 0 || d > maxSpan {
		return &rules.FileError{Line: tk.Position.Line, Column: tk.Position.Column, Hint: "write it like 500ms, 10s, 2m",
			Message: fmt.Sprintf("%q is no duration from 0 to %s", brief(tk.Value), maxSpan)}
	}
	*s = Span(d)
	return nil
}

// Bounds of a test file.
const (
	maxFile  = 1 << 20
	maxSpan  = 31 * 24 * time.Hour
	maxSteps = 1_000_000 // calls of one trace, repetitions included
	// maxTraceBytes bounds what its calls carry: all its packets are made
	// before the first is played, since steps overlap in time.
	maxTraceBytes = 256 << 20
)

func brief(s string) string { return rules.Escape([]byte(s), rules.MaxRaw) }

// Read reads a test file. Its error has the place.
func Read(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	return Parse(name, data)
}

// Parse reads a test file from memory.
func Parse(name string, data []byte) (*File, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, maxFile)
	}
	data = rules.Trim(data)
	if err := rules.CheckText(name, data); err != nil {
		return nil, err
	}
	f := &File{}
	err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(f)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, located(name, err)
	}
	f.Name = name
	return f, f.check()
}

// located turns a YAML error into one line with its place.
func located(name string, err error) error {
	var own *rules.FileError
	if errors.As(err, &own) {
		own.File = name
		return own
	}
	var y yaml.Error
	if !errors.As(err, &y) {
		return fmt.Errorf("%s: %s", name, rules.Escape([]byte(err.Error()), 300))
	}
	e := &rules.FileError{File: name, Message: rules.Escape([]byte(y.GetMessage()), 300)}
	if tk := y.GetToken(); tk != nil && tk.Position != nil {
		e.Line, e.Column = tk.Position.Line, tk.Position.Column
	}
	return e
}

func (f *File) check() error {
	if len(f.Tests) == 0 {
		return fmt.Errorf("%s: no tests: add tests: with a name, a capture or a trace, and expect", f.Name)
	}
	for i := range f.Tests {
		t := &f.Tests[i]
		what := t.Name
		if what == "" {
			what = fmt.Sprintf("test %d", i+1)
			t.Name = what
		}
		what = brief(what)
		switch {
		case (t.Capture == "") == (len(t.Trace) == 0):
			return fmt.Errorf("%s: %s: give it either a capture or a trace", f.Name, what)
		case len(t.Expect) == 0:
			return fmt.Errorf("%s: %s expects nothing: add expect: [{at: 60s, firing: []}] if nothing may fire", f.Name, what)
		}
		for j := range t.Trace {
			if err := t.Trace[j].check(); err != nil {
				return fmt.Errorf("%s: %s: step %d of the trace: %w", f.Name, what, j+1, err)
			}
		}
		for _, e := range t.Expect {
			for _, a := range e.Firing {
				if a.Alert == "" {
					return fmt.Errorf("%s: %s: at %s an expectation has no alert", f.Name, what, time.Duration(e.At))
				}
			}
		}
	}
	return nil
}

// check fills the defaults in.
func (s *Step) check() error {
	if s.Times == 0 {
		s.Times = 1
	}
	if s.Clients == 0 {
		s.Clients = 1
	}
	if s.Times < 0 || s.Times > maxSteps || s.Clients < 0 || s.Clients > 1<<16 {
		return fmt.Errorf("times is 1 to %d, clients 1 to %d", maxSteps, 1<<16)
	}
	if s.Times > 1 && s.Every == 0 {
		return fmt.Errorf("times needs every: 100ms or so")
	}
	if !s.Client.IsValid() {
		s.Client = netip.AddrFrom4([4]byte{192, 0, 2, 1})
	}
	if !s.Server.IsValid() {
		s.Server = netip.MustParseAddrPort("198.51.100.1:14265")
		if s.Client.Is6() {
			s.Server = netip.MustParseAddrPort("[2001:db8:1::1]:14265")
		}
	}
	if s.Client.Is4() != s.Server.Addr().Is4() {
		return fmt.Errorf("client and server are of different IP versions")
	}
	if s.Command != "" && (s.Method != "" || s.Target != "") {
		return fmt.Errorf("give either a command, or method and target")
	}
	if s.Bytes < 0 || s.Bytes > 16<<20 {
		return fmt.Errorf("bytes is 0 to %d", 16<<20)
	}
	return nil
}
