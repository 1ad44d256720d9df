package detect

import (
	"fmt"
	"net/netip"

	"stallwatch/capture"
)

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
		key := incidentKey{detector: d.name(), node: n.id, clients: clientsOf(s.client.addr)}
		a := l.raise(at, key, n, Warning, float64(count))
		if a == nil {
			continue
		}
		a.Unit, a.Limit, a.Confidence = "ports", float64(o.Ports), v.loss.confidence()
		a.Client, a.Evidence.Clients = s.client, []ClientCount{{s.client, count}}
		a.Summary = fmt.Sprintf("a client tries ports of %s that nobody serves", n.server.Addr())
		a.Why = fmt.Sprintf("%d different ports refused it within %s (fires at %d)", count, inSeconds(o.Within), o.Ports)
		l.remember(key, a)
	}
}

// scanner is a client that met closed doors, and which: at most maxTried.
type scanner struct {
	client Client
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
		if s.client.owns(client) {
			s.client = s.client.with(ClientOf(client))
			s.last = at
			return s
		}
		if s.last < n.scanners[oldest].last {
			oldest = i
		}
	}
	if len(n.scanners) < maxScanners {
		n.scanners = append(n.scanners, scanner{client: ClientOf(client), last: at})
		return &n.scanners[len(n.scanners)-1]
	}
	v.stats.NamesDropped++
	n.scanners[oldest] = scanner{client: ClientOf(client), last: at, ports: n.scanners[oldest].ports[:0]}
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
