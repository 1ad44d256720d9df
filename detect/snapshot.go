package detect

import (
	"cmp"
	"slices"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Snapshot is what an Engine knows at an instant, for gauges.
type Snapshot struct {
	At       capture.Time
	Commands []CommandGauge // by Command.Index, as many as were seen
	// Connections by state, as the wire tells it: StateOpen, StateHalfClosed
	// (CLOSE_WAIT), StateServerClosed, StateZombie.
	Connections     [httpreassembly.NumConnStates]int
	CloseWait       int
	CloseWaitOldest time.Duration // 0 when there is none
	FDsWire         int           // connections and zombies: a lower bound of what is open

	Host                        bool // the five below are valid; -1: not known
	CloseWaitKernel, Unaccepted int
	FDs                         int
	ListenQueue, ListenMax      int

	FDLimit      int           // the host's, else Options.FDLimit
	LimitAssumed bool          // it is Options.FDLimit
	ETA          time.Duration // the soonest of all nodes; valid iff HasETA
	HasETA       bool

	Alerts []AlertGauge // firing, by name and severity
	Nodes  []Node       // in order of appearance
	Calls  []OpenCall   // the oldest in flight for certain, at most MaxOpenCalls
	Stats  Stats
}

// CommandGauge is the state of a command.
type CommandGauge struct {
	Command  *rules.Command // nil: never seen
	InFlight int
	Oldest   time.Duration // 0 when none is in flight
	// Fresh is how long ago it was last answered by a status of 2xx, by any
	// node; valid iff Succeeded.
	Fresh     time.Duration
	Succeeded bool
}

// AlertGauge counts the incidents of a name that fire at a severity.
type AlertGauge struct {
	Name     string
	Severity Severity
	N        int
}

// Snapshot fills dst; its slices are used again.
func (e *Engine) Snapshot(dst *Snapshot) {
	commands, alerts, nodes, calls := dst.Commands[:0], dst.Alerts[:0], dst.Nodes[:0], dst.Calls[:0]
	v := e.view
	*dst = Snapshot{At: e.now, Stats: v.stats, FDLimit: v.o.FDLimit, LimitAssumed: true,
		CloseWaitKernel: -1, Unaccepted: -1, FDs: -1, ListenQueue: -1, ListenMax: -1}
	v.each(func(n *node) {
		commands = v.gaugeCommands(commands, n, e.now)
		e.gaugeNode(dst, n)
		if n != v.others || n.opened > 0 {
			nodes = append(nodes, v.state(n, e.now))
		}
	})
	e.gaugeHost(dst)
	dst.Commands, dst.Nodes, dst.Calls = commands, nodes, v.openCalls(calls, e.now)
	dst.Alerts = e.life.gauge(alerts)
}

func (v *view) gaugeCommands(dst []CommandGauge, n *node, at capture.Time) []CommandGauge {
	for i := range n.cells {
		if i == len(dst) {
			dst = append(dst, CommandGauge{})
		}
		c := &n.cells[i]
		if c.command == nil {
			continue
		}
		dst[i].Command = c.command
		dst[i].InFlight += int(c.list.n + c.doubted.n)
		if fresh := at.Sub(c.succeeded); c.succeeded != 0 && (!dst[i].Succeeded || fresh < dst[i].Fresh) {
			dst[i].Fresh, dst[i].Succeeded = fresh, true
		}
		if c.list.n > 0 {
			dst[i].Oldest = max(dst[i].Oldest, at.Sub(v.calls.at(c.list.head).since))
		}
	}
	return dst
}

func (e *Engine) gaugeNode(dst *Snapshot, n *node) {
	dst.Connections[httpreassembly.StateOpen] += max(0, n.live-n.half-n.serverClosed)
	dst.Connections[httpreassembly.StateHalfClosed] += n.half
	dst.Connections[httpreassembly.StateServerClosed] += n.serverClosed
	dst.Connections[httpreassembly.StateZombie] += n.zombies
	dst.CloseWait += n.half
	dst.FDsWire += max(0, n.live-n.phases[opening]) + n.held
	if since, ok := e.view.oldestHalf(n); ok {
		dst.CloseWaitOldest = max(dst.CloseWaitOldest, e.now.Sub(since))
	}
	if eta, ok := e.view.eta(n, e.view.use(n, e.now)); ok && (!dst.HasETA || eta < dst.ETA) {
		dst.ETA, dst.HasETA = eta, true
	}
}

func (e *Engine) gaugeHost(dst *Snapshot) {
	h := &e.view.host
	if !h.fresh(e.now) {
		return
	}
	s := &h.sample
	dst.Host = true
	dst.CloseWaitKernel, dst.Unaccepted, dst.FDs = s.Sockets[capture.CloseWait], s.Unaccepted, s.FDs
	if s.FDLimit > 0 {
		dst.FDLimit, dst.LimitAssumed = s.FDLimit, false
	}
	if b, ok := h.queue(); ok {
		dst.ListenQueue, dst.ListenMax = b.Queue, b.Max
	}
}

func (l *lifecycle) gauge(dst []AlertGauge) []AlertGauge {
	for _, in := range l.order {
		if !in.firing {
			continue
		}
		i := slices.IndexFunc(dst, func(g AlertGauge) bool {
			return g.Name == in.alert.Name && g.Severity == in.alert.Severity
		})
		if i < 0 {
			i = len(dst)
			dst = append(dst, AlertGauge{Name: in.alert.Name, Severity: in.alert.Severity})
		}
		dst[i].N++
	}
	slices.SortFunc(dst, func(a, b AlertGauge) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Severity, b.Severity))
	})
	return dst
}
