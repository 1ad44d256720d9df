package status

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/metrics"
	"stallwatch/cmd/internal/notify"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Options configure a Status.
type Options struct {
	Build      string // what runs, one line
	Rules      string // digest of the rules
	Instance   string // who speaks, as in messages; "": nobody in particular
	Interfaces []string
	Ports      []uint16
	Proxy      string       // "haproxy", "nginx" or "": what to advise
	Node       string       // "iri", "hornet" or ""
	Links      notify.Links // Status has the name under which a proxy asks for the page
	Remote     bool         // tell those on other machines as well
	// Health says whether what is shown can be trusted; nil: always. It is
	// called from any goroutine.
	Health func() metrics.Health
	Now    func() time.Time // nil: time.Now
}

// Bounds of what is kept.
const (
	maxFiring   = 100 // incidents that fire; detect bounds those it follows at 1000
	maxResolved = 20
	maxCurves   = 8 // nodes with a history
)

// Status keeps what the page shows. Event, Finding, Loss, Publish and Sampled
// belong to the pipeline's goroutine; Handler and Document may be used from
// any.
type Status struct {
	opts    Options
	started time.Time
	curves  map[netip.AddrPort]*curve // the pipeline's goroutine changes it, under mu

	mu    sync.Mutex
	board board
	told  told
}

// board is what there is to show. Of its slices and pointers nothing changes
// afterwards but by Status, under its lock; a copy of the board shares them.
type board struct {
	generation uint64
	published  time.Time // zero: nothing yet
	at         capture.Time
	packets    uint64
	bytes      uint64
	last       capture.Time
	loss       capture.Loss
	gapBytes   uint64
	level      httpreassembly.Level
	bounds     []pipeline.Bound
	conns      [httpreassembly.NumConnStates]int
	nodes      []detect.Node
	calls      []detect.OpenCall
	hostNode   netip.AddrPort // the one that the host's samples spoke of last
	firing     []*detect.Alert
	hidden     int             // incidents that fire, beyond firing
	resolved   []*detect.Alert // oldest first
	host       hostState
}

// hostState is what the samples of the host said last.
type hostState struct {
	known   bool // there was a sample
	seen    bool // the process was in sight once
	problem string
	since   time.Time // of problem, or of the process in sight
	pid     int
	process string
	sockets [capture.NumStates]int // valid iff problem is ""
	queue   int                    // -1: not known
	max     int
}

// curve is what is remembered of a node.
type curve struct {
	history history
	pace    pace
	round   uint64 // generation in which the node was last there
}

// New returns a Status that has seen nothing.
func New(o Options) *Status {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Status{opts: o, started: o.Now(), curves: make(map[netip.AddrPort]*curve)}
}

// Event implements pipeline.Sink: what a single event changes comes with
// Publish.
func (*Status) Event(*httpreassembly.Event, *rules.Verdict) {}

// Loss implements pipeline.Sink. The sums come with Publish.
func (*Status) Loss(capture.Time, capture.Loss) {}

// Finding implements pipeline.Sink.
func (s *Status) Finding(f *detect.Finding) {
	if f.Kind != detect.AlertChanged {
		return
	}
	a := notify.Sanitized(f.Alert)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.board.generation++
	if a.State == detect.Resolved {
		s.board.resolve(&a)
	} else {
		s.board.fire(&a)
	}
}

func same(a *detect.Alert) func(*detect.Alert) bool {
	return func(b *detect.Alert) bool { return a.Name == b.Name && a.Subject == b.Subject }
}

// fire makes new slices: copies of the board may be read meanwhile.
func (b *board) fire(a *detect.Alert) {
	list := slices.DeleteFunc(slices.Clone(b.firing), same(a))
	list = append(list, a)
	if len(list) > maxFiring { // the least of them goes: the newest of the lowest severity
		least := 0
		for i, x := range list {
			if x.Severity <= list[least].Severity {
				least = i
			}
		}
		list = slices.Delete(list, least, least+1)
	}
	b.firing = list
}

func (b *board) resolve(a *detect.Alert) {
	b.firing = slices.DeleteFunc(slices.Clone(b.firing), same(a))
	b.resolved = append(slices.Clone(b.resolved), a)
	b.resolved = b.resolved[max(0, len(b.resolved)-maxResolved):]
}

// Sampled takes what the host says of the node's process.
func (s *Status) Sampled(sample *capture.Sample) {
	now := s.opts.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.board.host
	problem := text.Escape(sample.Err)
	if !h.known || problem != h.problem || problem == "" && sample.PID != h.pid {
		h.since = now
		s.board.generation++
	}
	h.known, h.problem = true, problem
	if problem != "" {
		return
	}
	h.seen, h.pid, h.process, h.sockets = true, sample.PID, text.Escape(sample.Process), sample.Sockets
	h.queue, h.max = -1, -1
	for _, l := range sample.Listen { // several addresses: the fullest
		if l.Queue > h.queue {
			h.queue, h.max = l.Queue, l.Max
		}
	}
}

// Publish replaces what is shown but for incidents and the host's words. It
// copies what it keeps of both arguments. Call it about once a second.
func (s *Status) Publish(st pipeline.Stats, snap *detect.Snapshot) {
	now := s.opts.Now()
	nodes, calls, bounds := slices.Clone(snap.Nodes), slices.Clone(snap.Calls), st.Bounds()
	firing := 0
	for _, a := range snap.Alerts {
		firing += a.N
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.board
	b.generation++
	b.published, b.at = now, snap.At
	b.packets, b.bytes, b.last, b.loss = st.Packets, st.Bytes, st.Last, st.Loss
	b.gapBytes, b.level, b.conns, b.bounds = st.Tracker.GapBytes, st.Tracker.Level, st.Tracker.Conns, bounds
	b.nodes, b.calls = nodes, calls
	b.hidden = max(0, firing-len(b.firing))
	if snap.At == 0 {
		return
	}
	for i := range nodes {
		if nodes[i].Host {
			b.hostNode = nodes[i].Server
		}
		s.draw(&nodes[i])
	}
	s.forget()
}

// draw adds the present state of a node to its curves.
func (s *Status) draw(n *detect.Node) {
	c := s.curves[n.Server]
	if c == nil {
		if len(s.curves) >= maxCurves {
			return
		}
		c = new(curve)
		s.curves[n.Server] = c
	}
	c.round = s.board.generation
	c.history.observe(s.board.at, n)
	c.pace.observe(s.board.at, n.Calls)
}

// forget gives up the curves of nodes that are not followed any more.
func (s *Status) forget() {
	for server, c := range s.curves {
		if c.round != s.board.generation {
			delete(s.curves, server)
		}
	}
}

// copied is a board with the curves as they were at the same instant.
type copied struct {
	board
	told   told
	curves map[netip.AddrPort]curve
}

// copy holds the lock for as long as some 100 kB take to be copied.
func (s *Status) copy() *copied {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &copied{board: s.board, told: s.told, curves: make(map[netip.AddrPort]curve, len(s.curves))}
	for server, x := range s.curves {
		c.curves[server] = *x
	}
	return c
}
