package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"stallwatch/cmd/internal/demo"
)

// Events is NAME.events.json: what happened in a capture. The times of a play
// are those of demo.Result.
type Events struct {
	Scenario string       `json:"scenario"`
	Doc      string       `json:"doc"`
	Kernel   string       `json:"kernel"`
	Packets  string       `json:"tcpdump"` // tcpdump's own last words: captured, received, dropped
	Play     *demo.Result `json:"play,omitempty"`
	Failures []demo.Call  `json:"first_failures,omitempty"` // the first honest calls that failed, at most ten
	Marks    []Mark       `json:"marks,omitempty"`          // what else happened, in order
}

// Mark is something that a scenario did at one instant.
type Mark struct {
	Time time.Time `json:"time"`
	What string    `json:"what"`
}

// Stage is where a scenario runs: its files, its tools, its end. Its methods
// are for one goroutine.
type Stage struct {
	Name string
	Dir  string // of the output
	Temp string // of configurations and sockets; removed afterwards
	Exe  string // a program that calls demo.NodeMain
	Log  io.Writer

	// Inside is put before commands that must run in the node's network
	// namespace; empty: the stage's own.
	Inside []string

	lossy   bool       // tcpdump is meant to lose packets
	marking sync.Mutex // guards events.Marks
	events  Events
	closers []func() error // run last to first when the scenario is over
}

// Run plays one scenario and leaves its files in dir.
func Run(ctx context.Context, s Scenario, exe, dir string, log io.Writer) error {
	temp, err := os.MkdirTemp("", "stallwatch-lab-")
	if err != nil {
		return err
	}
	st := &Stage{Name: s.Name, Dir: dir, Temp: temp, Exe: exe, Log: log, events: Events{Scenario: s.Name, Doc: s.Doc}}
	st.onClose(func() error { return os.RemoveAll(temp) })
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		st.events.Kernel = string(release[:max(len(release)-1, 0)])
	}
	err = s.Play(ctx, st)
	// An interrupted play may end without an error of its own, and its
	// capture must not pass for a whole one.
	if err = errors.Join(err, ctx.Err(), st.close()); err != nil {
		return fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	b, err := json.MarshalIndent(st.events, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(st.file(".events.json"), append(b, '\n'), 0o644)
}

func (st *Stage) file(suffix string) string { return filepath.Join(st.Dir, st.Name+suffix) }

func (st *Stage) onClose(f func() error) { st.closers = append(st.closers, f) }

func (st *Stage) close() error {
	var all error
	for i := len(st.closers) - 1; i >= 0; i-- {
		all = errors.Join(all, st.closers[i]())
	}
	st.closers = nil
	return all
}

// Mark notes what happens now; any goroutine may call it.
func (st *Stage) Mark(what string) {
	st.marking.Lock()
	defer st.marking.Unlock()
	st.events.Marks = append(st.events.Marks, Mark{time.Now().UTC(), what})
	fmt.Fprintf(st.Log, "%s %s: %s\n", time.Now().UTC().Format("15:04:05.000"), st.Name, what)
}

// Node starts the demo node, in the node's namespace, until the end.
func (st *Stage) Node(o demo.NodeOptions) (*demo.NodeProc, error) {
	o.Wrap = st.Inside
	p, err := demo.Start(st.Exe, o, st.Log)
	if err != nil {
		return nil, err
	}
	st.onClose(p.Stop)
	return p, nil
}

// Truth records the kernel's truth beside the capture until the end.
func (st *Stage) Truth(targets ...Target) error { return st.truthEvery(Every, targets...) }

// truthEvery is Truth with another time between two of them, for captures so
// long that five a second would be too many.
func (st *Stage) truthEvery(d time.Duration, targets ...Target) error {
	f, err := os.Create(st.file(".truth.jsonl"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Record(ctx, "/proc", targets, d, f) }()
	st.onClose(func() error {
		cancel()
		return errors.Join(<-done, f.Close())
	})
	return nil
}

// Capture runs tcpdump on an interface in the node's namespace until the end,
// and returns when it captures. extra are further arguments before the filter.
func (st *Stage) Capture(iface, filter string, extra ...string) error {
	args := append([]string{"-i", iface, "-n", "-s", "0", "-B", "32768",
		"--time-stamp-precision=nano", "-Z", "root", "-w", st.file(".pcap")}, extra...)
	said := newWatch("listening on")
	cmd := st.command(append([]string{"tcpdump"}, append(args, filter)...)...)
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		return err
	}
	st.onClose(func() error {
		time.Sleep(2 * time.Second) // the kernel hands over its last block up to 1 s late
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		err := cmd.Wait()
		st.events.Packets = said.lastLines(3)
		switch whole := strings.Contains(st.events.Packets, " 0 packets dropped by kernel"); {
		case !whole && !st.lossy:
			err = errors.Join(err, fmt.Errorf("tcpdump lost packets, the machine is too busy: %s", st.events.Packets))
		case whole && st.lossy:
			err = errors.Join(err, fmt.Errorf("tcpdump was to lose packets: %s", st.events.Packets))
		}
		return err
	})
	return said.wait(10 * time.Second)
}

// Serve runs a server until the end and returns when it accepts connections.
func (st *Stage) Serve(addr netip.AddrPort, line ...string) (*exec.Cmd, error) {
	cmd := st.command(line...)
	cmd.Stdout, cmd.Stderr = st.Log, st.Log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	st.onClose(func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) { // an exit code of a stopped server means nothing
			return err
		}
		return nil
	})
	return cmd, waitForListener("/proc", cmd.Process.Pid, addr.Port())
}

// waitForListener looks into the socket table rather than connecting: a probe
// would be in the capture.
func waitForListener(proc string, pid int, port uint16) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if t, err := read(proc, Target{PID: pid, Port: port}); err != nil || t.Sockets["listen"] > 0 {
			return err
		}
	}
	return fmt.Errorf("nothing listens on port %d", port)
}

// Play plays a scenario of the demo and keeps its result for events.json.
func (st *Stage) Play(ctx context.Context, p *demo.NodeProc, s demo.Scenario) error {
	s.Tell = func(step demo.Step) {
		fmt.Fprintf(st.Log, "%s %s: %s %s\n", step.At.Format("15:04:05.000"), st.Name, step.Kind, step.Text)
	}
	r, err := demo.Play(ctx, p, s)
	if err != nil {
		return err
	}
	st.events.Play = &r
	for _, c := range r.Calls {
		if c.Outcome.Failed() && len(st.events.Failures) < 10 {
			st.events.Failures = append(st.events.Failures, c)
		}
	}
	return nil
}

// Tool runs a load generator to its end. Its exit code is logged only: tools
// report a server's misery by it.
func (st *Stage) Tool(ctx context.Context, line ...string) error {
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir = st.Temp
	cmd.Stderr = st.Log // what it prints besides is the answers it got
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		fmt.Fprintf(st.Log, "%s: %v\n", line[0], exit)
		return nil
	}
	return err
}

// command prepares a command in the node's namespace.
func (st *Stage) command(line ...string) *exec.Cmd {
	line = append(append([]string(nil), st.Inside...), line...)
	return exec.Command(line[0], line[1:]...)
}

// write puts a file into Temp and returns its path.
func (st *Stage) write(name, content string) (string, error) {
	path := filepath.Join(st.Temp, name)
	return path, os.WriteFile(path, []byte(content), 0o644)
}
