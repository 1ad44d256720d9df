package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"stallwatch/capture"
)

// sideSuffix ends the name of a side file.
const sideSuffix = ".host.jsonl"

// maxLine bounds a line of a side file: a table of about half a million
// connections.
const maxLine = 64 << 20

// SidePath returns the name of the side file of a capture: its own name
// without .gz or .zst and without .pcap, .pcapng or .cap, and .host.jsonl.
func SidePath(path string) string {
	for _, list := range [][]string{{".gz", ".zst"}, {".pcap", ".pcapng", ".cap"}} {
		for _, ext := range list {
			if s, ok := strings.CutSuffix(path, ext); ok {
				path = s
				break
			}
		}
	}
	return path + sideSuffix
}

// line is one line of a side file: a JSON object whose type is sample, loss
// or end. Keys that do not hold are left out; unknown keys are passed over.
// Text that is not UTF-8 goes into the key with _bytes, in base64.
type line struct {
	Type string `json:"type"`
	Time string `json:"time"` // RFC 3339 with nanoseconds

	// Of a loss: packets, and until when and why nobody watched.
	Kernel    uint64 `json:"kernel,omitempty"`
	Interface uint64 `json:"interface,omitempty"`
	Until     string `json:"until,omitempty"`
	Why       string `json:"why,omitempty"`

	*sampleLine // of a sample
}

type sampleLine struct {
	PID                 int            `json:"pid"`
	Process             string         `json:"process,omitempty"`
	Processes           int            `json:"processes,omitempty"` // that listen, if they are several
	ProcessBytes        []byte         `json:"process_bytes,omitempty"`
	FDs                 *int           `json:"fds,omitempty"`
	FDLimit             *int           `json:"fd_limit,omitempty"`
	Sockets             map[string]int `json:"sockets,omitempty"` // by state, zero left out
	Unaccepted          int            `json:"unaccepted"`
	UnacceptedCloseWait int            `json:"unaccepted_close_wait"`
	ListenQueue         int            `json:"listen_queue"` // the sums of listen
	ListenMax           int            `json:"listen_max"`
	Overflows           uint64         `json:"listen_overflows"`
	Drops               uint64         `json:"drops"`
	Listen              []listenLine   `json:"listen,omitzero"`
	Addrs               []netip.Addr   `json:"addrs,omitzero"`
	Conns               []connLine     `json:"conns,omitzero"` // [] is an empty table, none is no table
	Err                 string         `json:"err,omitempty"`
	ErrBytes            []byte         `json:"err_bytes,omitempty"`
}

type listenLine struct {
	Addr  netip.AddrPort `json:"addr"`
	Queue int            `json:"queue"`
	Max   int            `json:"max"`
}

type connLine struct {
	Client   netip.AddrPort `json:"client"`
	Server   netip.AddrPort `json:"server"`
	State    string         `json:"state"`
	Accepted bool           `json:"accepted"`
}

// appendLine appends it as a line, a newline at its end; nothing if a side
// file has no line for its kind.
func appendLine(dst []byte, it *capture.Item) ([]byte, error) {
	l := line{Time: it.At.Std().Format(time.RFC3339Nano)}
	switch it.Kind {
	case capture.HostSampled:
		l.Type, l.sampleLine = "sample", fromSample(it.Sample)
	case capture.PacketsLost:
		l.Type, l.Kernel, l.Interface = "loss", it.Loss.Kernel, it.Loss.Interface
		if d := it.Loss.Unwatched; d > 0 {
			l.Until, l.Why = it.At.Add(d).Std().Format(time.RFC3339Nano), it.Loss.Why.String()
		}
	case capture.Tick:
		l.Type = "end"
	default:
		return dst, nil
	}
	b, err := json.Marshal(&l)
	if err != nil {
		return dst, err
	}
	return append(append(dst, b...), '\n'), nil
}

func fromSample(s *capture.Sample) *sampleLine {
	l := &sampleLine{
		PID: s.PID, Processes: s.Processes, FDs: known(s.FDs), FDLimit: known(s.FDLimit),
		Unaccepted: s.Unaccepted, UnacceptedCloseWait: s.UnacceptedCloseWait,
		Overflows: s.Overflows, Drops: s.Drops, Addrs: s.Addrs,
	}
	l.Process, l.ProcessBytes = splitText(s.Process)
	l.Err, l.ErrBytes = splitText(s.Err)
	for st, n := range s.Sockets {
		if n != 0 && st > 0 {
			if l.Sockets == nil {
				l.Sockets = make(map[string]int)
			}
			l.Sockets[capture.State(st).String()] = n
		}
	}
	if s.Listen != nil {
		l.Listen = make([]listenLine, len(s.Listen))
	}
	for i, b := range s.Listen {
		l.Listen[i] = listenLine(b)
		l.ListenQueue += b.Queue
		l.ListenMax += b.Max
	}
	if s.Conns != nil {
		l.Conns = make([]connLine, len(s.Conns))
	}
	for i, c := range s.Conns {
		l.Conns[i] = connLine{c.Flow.Client.AddrPort(), c.Flow.Server.AddrPort(), c.State.String(), c.Accepted}
	}
	return l
}

func (l *sampleLine) sample() (*capture.Sample, error) {
	s := &capture.Sample{
		PID: l.PID, Processes: l.Processes, FDs: orUnknown(l.FDs), FDLimit: orUnknown(l.FDLimit),
		Process: l.Process + string(l.ProcessBytes), Err: l.Err + string(l.ErrBytes),
		Unaccepted: l.Unaccepted, UnacceptedCloseWait: l.UnacceptedCloseWait,
		Overflows: l.Overflows, Drops: l.Drops, Addrs: l.Addrs,
	}
	for name, n := range l.Sockets {
		st, ok := capture.ParseState(name)
		if !ok {
			return nil, fmt.Errorf("no such state: %.40q", name)
		}
		s.Sockets[st] = n
	}
	if l.Listen != nil {
		s.Listen = make([]capture.Backlog, len(l.Listen))
	} else if l.ListenMax > 0 || l.ListenQueue > 0 { // another program's line may have the sums alone
		s.Listen = []capture.Backlog{{Queue: l.ListenQueue, Max: l.ListenMax}}
	}
	for i, b := range l.Listen {
		s.Listen[i] = capture.Backlog(b)
	}
	if l.Conns != nil {
		s.Conns = make([]capture.Socket, len(l.Conns))
	}
	for i, c := range l.Conns {
		st, ok := capture.ParseState(c.State)
		if !ok {
			return nil, fmt.Errorf("no such state: %.40q", c.State)
		}
		s.Conns[i] = capture.Socket{Flow: capture.Flow{Client: capture.EndpointOf(c.Client), Server: capture.EndpointOf(c.Server)}, State: st, Accepted: c.Accepted}
	}
	return s, nil
}

// known leaves out -1, which stands for "not allowed to know".
func known(n int) *int {
	if n == -1 {
		return nil
	}
	return &n
}

func orUnknown(n *int) int {
	if n == nil {
		return -1
	}
	return *n
}

// splitText puts text that JSON would change into bytes.
func splitText(s string) (text string, raw []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

// errNotOurs is a line that is no observation, and no error either.
var errNotOurs = errors.New("not an observation")

// parseLine reads a line into *it; an end becomes a Tick.
func parseLine(b []byte, it *capture.Item) error {
	l := line{sampleLine: &sampleLine{}}
	if err := json.Unmarshal(b, &l); err != nil {
		return fmt.Errorf("not a JSON object of the side file's form: %w", plainJSON(err))
	}
	if l.Type == "stream" {
		return errNotOurs // a header with a version, as the stream of records has it
	}
	at, err := parseTime(l.Time)
	if err != nil {
		return err
	}
	*it = capture.Item{At: at}
	switch l.Type {
	case "sample":
		it.Kind = capture.HostSampled
		it.Sample, err = l.sample()
		return err
	case "loss":
		it.Kind, it.Loss = capture.PacketsLost, capture.Loss{Kernel: l.Kernel, Interface: l.Interface}
		return l.pause(it)
	case "end":
		it.Kind = capture.Tick
		return nil
	}
	return fmt.Errorf("no such type: %.40q; want sample, loss or end", l.Type)
}

func parseTime(s string) (capture.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, fmt.Errorf("no time in RFC 3339: %.40q", s)
	}
	if y := at.UTC().Year(); y < 1970 || y > 2115 {
		return 0, fmt.Errorf("a time out of range: %.40q", s)
	}
	return clamp(at.UnixNano()), nil
}

// pause reads the time that nobody watched, if a loss has one.
func (l *line) pause(it *capture.Item) error {
	if l.Until == "" {
		return nil
	}
	until, err := parseTime(l.Until)
	why, ok := capture.ParsePause(l.Why)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("no such reason: %.40q", l.Why)
	case until <= it.At:
		return fmt.Errorf("ends before it begins: %.40q", l.Until)
	}
	it.Loss.Unwatched, it.Loss.Why = until.Sub(it.At), why
	return nil
}

// plainJSON keeps an error of encoding/json from quoting much of the line.
func plainJSON(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("key %.40q has the wrong type", wrong.Field)
	}
	return fmt.Errorf("%.120q", err.Error())
}

// sideReader streams a side file.
type sideReader struct {
	r    *bufio.Reader
	long []byte
	line int
}

// next reads the next observation. io.EOF is the end; a *badLine may be
// followed by more lines.
func (s *sideReader) next(it *capture.Item) error {
	for {
		b, err := s.read()
		if len(bytes.TrimSpace(b)) > 0 {
			if bad := parseLine(b, it); bad == nil {
				return nil
			} else if bad != errNotOurs {
				return &badLine{bad}
			}
		}
		if err != nil {
			return err
		}
	}
}

// badLine is an error that does not end the file.
type badLine struct{ error }

// read returns the next line; with an error it may be the last one.
func (s *sideReader) read() ([]byte, error) {
	s.line++
	s.long = s.long[:0]
	for {
		b, err := s.r.ReadSlice('\n')
		if err == nil && len(s.long) == 0 {
			return b, nil
		}
		if len(s.long)+len(b) > maxLine {
			return nil, s.passOver(err)
		}
		s.long = append(s.long, b...)
		if err != bufio.ErrBufferFull {
			return s.long, err
		}
	}
}

// passOver reads to the end of a line that is too long.
func (s *sideReader) passOver(err error) error {
	for err == bufio.ErrBufferFull {
		_, err = s.r.ReadSlice('\n')
	}
	if err == nil || err == io.EOF {
		return &badLine{fmt.Errorf("a line of more than %d bytes", maxLine)}
	}
	return err
}
