package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// NodeCommand is the hidden sub-command under which a program calls NodeMain.
const NodeCommand = "demo-node"

// Exit codes of the node's process.
const (
	exitStopped = 0
	exitUsage   = 2
	exitDead    = 3 // the node died of its flaw
)

// startTimeout bounds the wait for the node to listen, and for its end. Only a
// very busy machine takes a second.
const startTimeout = 30 * time.Second

// NodeMain is the life of the node's own process: it lowers its descriptor
// limit, serves until its standard input ends (the parent went away or
// stopped it) or until it dies, and tells its parent on out. Its result is
// the exit code.
func NodeMain(args []string, in io.Reader, out, logTo io.Writer) int {
	// An interrupt from the keyboard goes to the parent as well, which then
	// ends the play in order; a node that dies of it would look like a victim.
	signal.Ignore(os.Interrupt)
	l := log.New(logTo, "demo-node: ", log.LUTC|log.Ldate|log.Lmicroseconds)
	o, err := parseNode(args, logTo)
	if err != nil {
		return exitUsage
	}
	var mu sync.Mutex // notes come from several goroutines
	note := func(n Note) {
		mu.Lock()
		defer mu.Unlock()
		if _, err := out.Write(n.line()); err != nil {
			l.Printf("tell the parent: %v", err)
		}
	}
	if err := limitDescriptors(o.FDLimit); err != nil {
		l.Print(err)
		return exitUsage
	}
	node, err := NewNode(o, note, l)
	if err != nil {
		l.Print(err)
		return exitUsage
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with the process: a read of standard input cannot be cancelled
		io.Copy(io.Discard, in) // an error ends the node as EOF does
		cancel()
	}()
	note(Note{Kind: Listening, Text: node.Addr().String()})
	if err := node.Run(ctx); err != nil {
		l.Printf("ERROR %v", err)
		return exitDead
	}
	return exitStopped
}

// parseNode reads the flags that nodeArgs writes.
func parseNode(args []string, usage io.Writer) (NodeOptions, error) {
	var o NodeOptions
	f := flag.NewFlagSet(NodeCommand, flag.ContinueOnError)
	f.SetOutput(usage)
	listen := f.String("listen", "127.0.0.1:0", "address and port")
	f.IntVar(&o.Workers, "workers", 16, "size of the worker pool")
	f.BoolVar(&o.Monitor, "monitor", false, "one lock around the commands that IRI synchronizes")
	f.Uint64Var(&o.FDLimit, "fd-limit", 128, "descriptors")
	f.DurationVar(&o.AppendEvery, "append-every", 500*time.Millisecond, "how often the database opens its log")
	f.IntVar(&o.DatabaseFiles, "database-files", 8, "files the database keeps open")
	f.StringVar(&o.Dir, "dir", "", "directory of the database")
	f.Func("limited", "commands answered with 401, separated by commas", func(s string) error {
		o.Limited = strings.Split(s, ",")
		return nil
	})
	f.Func("compute", "COMMAND=LEAST-MOST: how long a command computes", func(s string) error { return parseCompute(&o, s) })
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.Listen, err = netip.ParseAddrPort(*listen); err != nil {
		fmt.Fprintf(usage, "%s: -listen %q: %v\n", NodeCommand, *listen, err)
	}
	return o, err
}

// parseCompute reads "attachToTangle=5s-9s".
func parseCompute(o *NodeOptions, s string) error {
	name, span, _ := strings.Cut(s, "=")
	least, most, _ := strings.Cut(span, "-")
	from, err := time.ParseDuration(least)
	to, err2 := time.ParseDuration(most)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if from < 0 || to < from {
		return fmt.Errorf("%q is no range of times", span)
	}
	if o.Compute == nil {
		o.Compute = map[string]Span{}
	}
	o.Compute[name] = Span{from, to}
	return nil
}

func nodeArgs(o NodeOptions) []string {
	args := []string{NodeCommand, "-listen", o.Listen.String(), "-workers", strconv.Itoa(o.Workers),
		"-monitor=" + strconv.FormatBool(o.Monitor), "-fd-limit", strconv.FormatUint(o.FDLimit, 10),
		"-append-every", o.AppendEvery.String(), "-database-files", strconv.Itoa(o.DatabaseFiles), "-dir", o.Dir,
		"-limited", strings.Join(o.Limited, ",")}
	for _, name := range slices.Sorted(maps.Keys(o.Compute)) {
		s := o.Compute[name]
		args = append(args, "-compute", fmt.Sprintf("%s=%s-%s", name, s.Least, s.Most))
	}
	return args
}

// NodeProc is a node in a process of its own.
type NodeProc struct {
	Addr    netip.AddrPort // where it listens
	PID     int
	FDLimit uint64

	cmd   *exec.Cmd
	stdin io.Closer
	dir   string        // removed by Stop iff not empty
	ended chan struct{} // closed when the process is gone and waited for

	mu    sync.Mutex // guards what follows
	notes []Note
	err   error
	end   time.Time // zero while the process lives
}

// Start runs exe (a program that calls NodeMain for NodeCommand: os.Executable
// as a rule) as a node and returns when it listens. logTo gets the node's
// log; nil drops it. The caller must Stop the process.
func Start(exe string, o NodeOptions, logTo io.Writer) (*NodeProc, error) {
	o = o.withDefaults()
	p := &NodeProc{FDLimit: o.FDLimit, ended: make(chan struct{})}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "stallwatch-demo-")
		if err != nil {
			return nil, err
		}
		o.Dir, p.dir = dir, dir
	}
	line := append(append(append([]string(nil), o.Wrap...), exe), nodeArgs(o)...)
	p.cmd = exec.Command(line[0], line[1:]...)
	p.cmd.Stderr = logTo
	listening := make(chan Note, 1)
	if err := p.run(listening); err != nil {
		return nil, errors.Join(fmt.Errorf("start the demo node: %w", err), p.clean())
	}
	select {
	case n := <-listening:
		addr, err := netip.ParseAddrPort(n.Text)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("demo node listens on %q: %w", n.Text, err), p.Stop())
		}
		p.Addr = addr
		return p, nil
	case <-p.ended:
		return nil, errors.Join(fmt.Errorf("demo node ended before it listened: %w", p.Err()), p.clean())
	case <-time.After(startTimeout):
		return nil, errors.Join(errors.New("demo node does not listen"), p.Stop())
	}
}

// run starts the process and the goroutine that reads its notes and waits for
// its end.
func (p *NodeProc) run(listening chan<- Note) error {
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.stdin, p.PID = stdin, p.cmd.Process.Pid
	go func() { // waited for through ended
		defer close(p.ended)
		p.read(stdout, listening)
		err := p.cmd.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.err, p.end = err, time.Now().UTC()
	}()
	return nil
}

// read collects the notes. A node has three to tell; what else a broken one
// writes is read and dropped.
func (p *NodeProc) read(r io.Reader, listening chan<- Note) {
	const most = 16
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var n Note
		if json.Unmarshal(lines.Bytes(), &n) != nil {
			continue
		}
		p.mu.Lock()
		if len(p.notes) < most {
			p.notes = append(p.notes, n)
		}
		p.mu.Unlock()
		if n.Kind == Listening {
			select {
			case listening <- n:
			default:
			}
		}
	}
}

// Ended is closed when the process is gone.
func (p *NodeProc) Ended() <-chan struct{} { return p.ended }

// Err is what the process ended with; valid after Ended.
func (p *NodeProc) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Note returns the first note of a kind; ok is false if there is none.
func (p *NodeProc) Note(k NoteKind) (n Note, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.notes {
		if n.Kind == k {
			return n, true
		}
	}
	return Note{}, false
}

// death is the node's own word on its death or, if it was killed and had no
// time for one, what the system says; ok is false while it lives.
func (p *NodeProc) death() (n Note, ok bool) {
	if n, ok := p.Note(Dead); ok {
		return n, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	text := "process stopped"
	if p.err != nil {
		text = fmt.Sprintf("process ended: %v", p.err)
	}
	return Note{Time: p.end, Kind: Dead, Text: text}, !p.end.IsZero()
}

// Kill ends the process as kill -9 does and waits for it. Stop must still be
// called.
func (p *NodeProc) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the demo node: %w", err)
	}
	<-p.ended
	return nil
}

// Quit has the node end in order, as an operator's restart does: it closes its
// port and its connections. Stop must still be called.
func (p *NodeProc) Quit() error {
	if err := p.stdin.Close(); err != nil {
		return fmt.Errorf("tell the demo node to end: %w", err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(startTimeout):
		return errors.New("demo node does not end")
	}
}

// Stop kills the process, waits for it and removes its database. It may be
// called again.
func (p *NodeProc) Stop() error {
	if err := p.Kill(); err != nil {
		return err
	}
	return p.clean()
}

func (p *NodeProc) clean() error {
	if p.stdin != nil {
		p.stdin.Close() // the reader is gone; a second Close is harmless
	}
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}
