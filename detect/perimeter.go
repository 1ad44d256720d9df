package detect

import (
	"fmt"
	"net/netip"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// perimeter folds what happens at the other doors of a machine that a watched
// node is on. Nothing of it is told unless httpreassembly.Options.Perimeter
// asks for it.
func (v *view) perimeter(ev *httpreassembly.Event) {
	client := ev.Flow.Client.Addr()
	n := v.machine(ev.Flow.Server.Addr())
	if n == nil || v.trusted(client) || v.machine(client) != nil {
		return
	}
	port := ev.Flow.Server.Port()
	switch {
	case ev.Kind == httpreassembly.PortRefused:
		if v.scanner(n, client, ev.At).tried(port, ev.At) {
			n.did(scanned, ev.At, client)
		}
	case port == sshPort:
		n.did(login, ev.At, client)
	}
}

// sshPort is where SSH listens (RFC 4253 section 4.1).
const sshPort = 22

// machine returns the first node with an address; nil if none has it.
func (v *view) machine(a netip.Addr) *node {
	for _, n := range v.nodes {
		if n.server.Addr() == a {
			return n
		}
	}
	if v.isLocal(a) {
		return v.host.node
	}
	return nil
}

// scanner is a client that met closed doors, and which: at most maxTried.
type scanner struct {
	client netip.Addr
	last   capture.Time
	ports  []triedPort
}

type triedPort struct {
	port uint16
	at   capture.Time
}

// maxScanners bounds the clients of a node that are looked at, maxTried the
// ports of each. Beyond them the one that was quiet longest goes.
const (
	maxScanners = 64
	maxTried    = 64
)

func (v *view) scanner(n *node, client netip.Addr, at capture.Time) *scanner {
	oldest := 0
	for i := range n.scanners {
		s := &n.scanners[i]
		if s.client == client {
			s.last = at
			return s
		}
		if s.last < n.scanners[oldest].last {
			oldest = i
		}
	}
	if len(n.scanners) < maxScanners {
		n.scanners = append(n.scanners, scanner{client: client, last: at})
		return &n.scanners[len(n.scanners)-1]
	}
	v.stats.NamesDropped++
	n.scanners[oldest] = scanner{client: client, last: at, ports: n.scanners[oldest].ports[:0]}
	return &n.scanners[oldest]
}

// tried notes a port and reports whether it is new among the latest.
func (s *scanner) tried(port uint16, at capture.Time) bool {
	oldest := 0
	for i := range s.ports {
		if s.ports[i].port == port {
			s.ports[i].at = at
			return false
		}
		if s.ports[i].at < s.ports[oldest].at {
			oldest = i
		}
	}
	if len(s.ports) < maxTried {
		s.ports = append(s.ports, triedPort{port, at})
	} else {
		s.ports[oldest] = triedPort{port, at}
	}
	return true
}

// within counts the ports tried since before.
func (s *scanner) since(before capture.Time) int {
	n := 0
	for i := range s.ports {
		if s.ports[i].at >= before {
			n++
		}
	}
	return n
}

// portScan fires when a client tries doors that do not open.
type portScan struct{}

func (portScan) name() string { return "PortScan" }

func (d portScan) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.PortScan
	for i := range n.scanners {
		s := &n.scanners[i]
		count := s.since(at.Add(-o.Within))
		if count < o.Ports {
			continue
		}
		key := incidentKey{detector: d.name(), node: n.id, clients: clientsOf(s.client)}
		a := l.raise(at, key, n, Warning, float64(count))
		if a == nil {
			continue
		}
		a.Unit, a.Limit, a.Confidence = "ports", float64(o.Ports), v.loss.confidence()
		a.Evidence.Clients = []ClientCount{{s.client, count}}
		a.Summary = fmt.Sprintf("a client tries ports of %s that nobody serves", n.server.Addr())
		a.Why = fmt.Sprintf("%d different ports refused it within %s (fires at %d)", count, inSeconds(o.Within), o.Ports)
		l.remember(key, a)
	}
}

// loginProbe fires when connections to the SSH port come one after the other:
// people log in and stay.
type loginProbe struct{}

func (loginProbe) name() string { return "LoginProbe" }

func (d loginProbe) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.LoginProbe
	r := Rate{o.Connections, o.Within}
	count := n.lately(login, at, &r)
	if count < o.Connections {
		return
	}
	a := raiseDeeds(d.name(), v, n, login, Warning, float64(count), float64(o.Connections), at, l)
	if a == nil {
		return
	}
	a.Unit = "connections"
	a.Summary = fmt.Sprintf("%s to the SSH port of %s in %s", plural(count, "connection"), n.server.Addr(), inSeconds(o.Within))
	a.Why = fmt.Sprintf("%d within %s (fires at %d)", count, inSeconds(o.Within), o.Connections)
	l.remembered(d.name(), n, a)
}
