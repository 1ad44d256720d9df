package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"stallwatch/capture"
	"stallwatch/capture/host"
	"stallwatch/capture/live"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/demo"
	"stallwatch/cmd/internal/metrics"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// demoFlags are what the demo command was told.
type demoFlags struct{ write, notify, evidence string }

func newDemo(std stdio) *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use:   "demo",
		Short: "The attack of January 2018 on this machine: the alerts, then the node's death",
		Long: `Demo starts a small node with the flaw of 2018 in a process of its own, lets
ordinary clients call it, then attacks it, all on loopback, and watches the
port as "watch" does. It takes about a minute. Without the right to capture it
replays a recording of the same play instead, and says so.`,
		Example: `  stallwatch demo
  stallwatch demo -w demo.pcap && stallwatch replay demo.pcap`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runDemo(c.Context(), std, &f) },
	}
	fl := c.Flags()
	fl.StringVarP(&f.write, "write", "w", "", "record the play to `FILE`.pcap, for replay")
	fl.StringVar(&f.notify, "notify", "", "send the alerts to the receivers of `FILE`, as watch does")
	fl.StringVar(&f.evidence, "evidence", "", "write a bundle to `DIR` for each alert, as watch does")
	return c
}

// newDemoNode is the hidden command under which the demo's node runs in a
// process of its own.
func newDemoNode(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:                demo.NodeCommand,
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if code := demo.NodeMain(args, std.in, std.out, std.err); code != 0 {
				os.Exit(code)
			}
			return nil
		},
	}
}

// stage prints the play: the node's steps and stallwatch's alerts on one
// clock, that of the wall, which is what the audience has.
type stage struct {
	mu      sync.Mutex
	w       io.Writer
	colour  bool
	start   time.Time
	attack  time.Time
	first   map[string]time.Time // alert name -> when it first fired at Warning or above
	order   []string
	failure time.Time // first honest call that failed
	death   time.Time
}

func newStage(w io.Writer) *stage {
	return &stage{w: w, colour: isTerminal(w), first: map[string]time.Time{}}
}

// line prints one line of the play; at is zero for text without a time.
func (s *stage) line(at time.Time, colour int, word, text string) {
	when := ""
	if !at.IsZero() {
		when = fmt.Sprintf("%+.1fs", at.Sub(s.start).Seconds())
	}
	word = fmt.Sprintf("%-9s", word)
	if s.colour && colour != 0 {
		word = fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, word)
	}
	fmt.Fprintf(s.w, "%7s  %s %s\n", when, word, text)
}

// step is told by the play's goroutines.
func (s *stage) step(st demo.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch st.Kind {
	case demo.Began:
		s.start = st.At
		s.line(st.At, 0, "node", "starts: "+st.Text)
	case demo.AttackBegan:
		s.attack = st.At
		s.line(st.At, 0, "attack", "begins: "+st.Text)
	case demo.FirstFailure:
		s.failure = st.At
		s.line(st.At, 35, "client", "the first honest call fails: "+st.Text)
	case demo.NodeDied:
		s.death = st.At
		s.line(st.At, 35, "node", "dies: "+st.Text)
	case demo.Ended:
		s.line(st.At, 0, "node", "the play ends: "+st.Text)
	}
}

func (*stage) Event(*httpreassembly.Event, *rules.Verdict) {}
func (*stage) Loss(capture.Time, capture.Loss)             {}

// Finding prints the alerts; told by the pipeline's goroutine.
func (s *stage) Finding(f *detect.Finding) {
	if f.Kind != detect.AlertChanged {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, at := f.Alert, f.At.Std()
	if s.start.IsZero() {
		s.start = at
	}
	colour, word := 33, "warning"
	switch {
	case a.State == detect.Resolved:
		colour, word = 32, "resolved"
	case a.Severity == detect.Critical:
		colour, word = 31, "CRITICAL"
	case a.Severity == detect.Info:
		colour, word = 36, "info"
	}
	s.line(at, colour, word, a.Name+": "+a.Summary)
	if a.State != detect.Firing || a.Severity < detect.Warning {
		return
	}
	if _, seen := s.first[a.Name]; !seen {
		s.first[a.Name] = at
		s.order = append(s.order, a.Name)
	}
}

// sum says how much time the alerts left.
func (s *stage) sum() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == 0 {
		fmt.Fprintln(s.w, "\nno alert fired")
		return
	}
	fmt.Fprintf(s.w, "\n%-22s %14s %20s %14s\n", "alert", "after attack", "before a call failed", "before death")
	for _, name := range s.order {
		at := s.first[name]
		fmt.Fprintf(s.w, "%-22s %14s %20s %14s\n", name, between(s.attack, at), between(at, s.failure), between(at, s.death))
	}
}

func between(a, b time.Time) string {
	if a.IsZero() || b.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%.1f s", b.Sub(a).Seconds())
}

func runDemo(ctx context.Context, std stdio, f *demoFlags) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	sc := demo.DefaultScenario()
	node, err := demo.Start(exe, sc.Node, nil)
	if err != nil {
		return err
	}
	defer node.Stop()
	src, err := openDemo(node)
	if errors.Is(err, live.ErrPermission) && *f == (demoFlags{}) {
		node.Stop()
		return replayDemo(ctx, std, err)
	} else if err != nil {
		return err
	}
	defer src.Close()
	fmt.Fprintf(std.out, "The attack of January 2018 on a small node with its flaw, watched live. About a minute; Ctrl-C ends it.\n")
	st := newStage(std.out)
	o := demoOptions(node.Addr.Port())
	out, err := f.openOutputs(std, st, o)
	if err != nil {
		return err
	}
	fmt.Fprintln(std.out)
	defer func() { err = errors.Join(err, out.close()) }()
	pipe, err := pipeline.New(o, out.sinks...)
	if err != nil {
		return err
	}
	fd := feed{src: src, pipe: pipe, second: func() { out.publish(pipe) }, sampled: out.sampled}
	if out.evidence != nil {
		fd.item = out.evidence.Item
	}
	if f.write != "" {
		if fd.rec, err = replay.NewRecorder(f.write, replay.RecorderOptions{}); err != nil {
			return err
		}
	}
	sc.Tell = st.step
	played := make(chan error, 1)
	go func() {
		_, err := demo.Play(ctx, node, sc)
		src.Stop()
		played <- err
	}()
	err = errors.Join(fd.run(), <-played)
	st.sum()
	fmt.Fprintf(std.out, "\nWatch your own node with: stallwatch watch -p PORT\n")
	return err
}

// openOutputs opens what watch would, for the stage and the flags given.
func (f *demoFlags) openOutputs(std stdio, st *stage, o pipeline.Options) (*outputs, error) {
	log, err := newLogger(std.err, "auto")
	if err != nil {
		return nil, err
	}
	receivers, err := loadReceivers(f.notify)
	if err != nil {
		return nil, err
	}
	out := &outputs{metrics: metrics.New(o.Rules, metrics.Options{Version: release})}
	out.sinks = []pipeline.Sink{out.metrics, st}
	w := watchFlags{evidence: f.evidence, status: statusLocal, analysis: analysis{api: "auto", memory: "128MiB", workers: o.Detect.Workers}}
	w.interfaces = []string{"lo"}
	for _, p := range o.Tracker.Ports {
		w.ports = append(w.ports, strconv.Itoa(int(p)))
	}
	out.openStatus(&w, o, receivers)
	if err := errors.Join(out.showStatus(std), out.openNotify(receivers, log), out.openEvidence(&w, log, o)); err != nil {
		return nil, errors.Join(err, out.close())
	}
	return out, nil
}

// showStatus serves the page for as long as the play lasts: where watch has
// it, or on any port if a watch is there already.
func (out *outputs) showStatus(std stdio) error {
	server, err := metrics.Listen(metrics.DefaultAddr, out.handler())
	if err != nil {
		server, err = metrics.Listen("127.0.0.1:0", out.handler())
	}
	if err != nil {
		return err
	}
	out.closers = append(out.closers, server.Close)
	fmt.Fprintf(std.out, "Its status page, while it lasts: %s\n", statusURL(server.Addr(), statusLocal))
	return nil
}

func openDemo(node *demo.NodeProc) (*live.Source, error) {
	ports := []uint16{node.Addr.Port()}
	prober, err := host.New(host.Options{Ports: ports, PID: node.PID})
	if err != nil {
		return nil, err
	}
	return live.Open(live.Options{Interfaces: []string{"lo"}, Ports: ports, Prober: prober})
}

func demoOptions(port uint16) pipeline.Options {
	return pipeline.Options{
		Tracker: httpreassembly.Options{Ports: []uint16{port}},
		Detect:  detect.Options{Workers: demo.DefaultScenario().Node.Workers},
		Rules:   rules.Default(),
	}
}
