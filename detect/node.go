package detect

import (
	"net/netip"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// node is one watched server: an address and port, or all addresses of the
// machine that the host's samples speak of, with one port. Zero server: all
// that did not fit into Options.MaxNodes.
type node struct {
	id     int32 // in order of appearance, never reused
	server netip.AddrPort
	cells  []cell // by Command.Index

	live         int // connections that are not closed
	half         int // of them half closed by the client
	serverClosed int // of them half closed by the server
	zombies      int // reset by the client with a call unanswered: perhaps descriptors without a socket
	held         int // of them believed to hold theirs
	inFlight     int // calls, the doubted ones included
	doubted      int // calls that may be over, see doubt.go
	behind       int // calls that wait for their turn, see turns.go; none of them doubted
	opened       uint64
	asked        uint64 // requests seen whole
	cw           list   // the half-closed ones in order of stuckSince
	phases       [numPhases]int
	aged         [numPhases]int         // of phases, those that last for long
	once         int                    // idle connections that asked once and never again
	readers      int                    // answers whose client's window was closed
	resent       [synWindow]secondCount // clients that sent again what the node did not acknowledge
	hot          []visitorRef           // clients that ask or connect too often
	scanners     []scanner
	probers      []Client // clients that probe admin commands as checks do

	requests   [synWindow]secondCount
	deeds      [numDeeds]*deeds // nil: nothing of the kind happened
	unknown    *nameSet         // command names that no pack knows
	references *referenceSet    // IRI's `reference`, by fingerprint
	sight      sight
	life       nodeLife
	served     httpreassembly.ConnID // the youngest connection that was answered
	lastOpened capture.Time

	lastEvent  capture.Time
	lastAnswer capture.Time           // an answer's first or last byte
	syns       [synWindow]secondCount // without an answer
	unheard    knockers               // whose they were
	shut       knockers               // whose SYNs were answered by RST
	openers    openers                // who was let in
	knocks     [synWindow]secondCount // SYNs, answered or not
	sources    *sourceSet             // of SYNs that came while others stood half open; nil: of none lately
	ramp       ramp
	forecast   forecastState
	cwHistory  history // half closed and without reaction, by second
	reported   int64   // bucket of the last NodeSeen
	changed    bool    // an alert of it changed
	firing     int     // incidents of it that fire
	stalls     int     // of them CallStalled
	gone       bool
	doorstep   bool // it was first known by those who knocked in vain
	legs       nodeLegs
}

// cell is the state of one command on one node.
type cell struct {
	command      *rules.Command
	list         list // calls in flight, oldest first
	overWarn     int  // of list
	overCritical int
	doubted      list // calls in flight or over, nobody knows
	endings      endings
	base         *baseline     // nil: nothing was answered yet
	succeeded    capture.Time  // when it was last answered by a status of 2xx; zero: never
	learned      time.Duration // the warn budget as the baseline has it; 0: as the rules have it
}

func (c *cell) count(o overBudget) {
	if o&overWarn != 0 {
		c.overWarn++
	}
	if o&overCritical != 0 {
		c.overCritical++
	}
}

func (c *cell) forget(o overBudget) {
	if o&overWarn != 0 {
		c.overWarn--
	}
	if o&overCritical != 0 {
		c.overCritical--
	}
}

// maxCommands bounds the cells of a node. Indices come from the rules, which
// are ours; a set beyond it shares its last cell.
const maxCommands = 4096

func (n *node) cell(c *rules.Command) *cell {
	i := min(max(c.Index, 0), maxCommands-1)
	for len(n.cells) <= i {
		n.cells = append(n.cells, cell{list: emptyList, doubted: emptyList})
	}
	if n.cells[i].command == nil {
		n.cells[i].command = c
	}
	return &n.cells[i]
}

// idle reports whether nothing would be lost with the node.
func (n *node) idle() bool {
	return n.live == 0 && n.inFlight == 0 && n.zombies == 0 && n.cw.n == 0
}

// waiting counts the calls that are in flight for certain and wait for the
// node, not for their turn.
func (n *node) waiting() int { return n.inFlight - n.doubted - n.behind }

// oldest returns the call of the node that waits longest for certain; none if
// none waits.
func (v *view) oldest(n *node) int32 {
	first := none
	for i := range n.cells {
		h := n.cells[i].list.head
		if h != none && (first == none || v.calls.at(h).since < v.calls.at(first).since) {
			first = h
		}
	}
	return first
}

// nodeKey maps the machine's own addresses to one.
func (v *view) nodeKey(a capture.Endpoint) capture.Endpoint {
	if v.isLocal(a.Addr()) {
		return capture.Endpoint6([16]byte{}, a.Port())
	}
	return a
}

func (v *view) isLocal(a netip.Addr) bool {
	if len(v.local) == 0 {
		return false
	}
	_, ok := v.local[a]
	return ok || a.IsLoopback()
}

// find returns the node of a server, or the one for all others.
func (v *view) find(server capture.Endpoint) *node {
	for i := range v.recent {
		if r := &v.recent[i]; r.node != nil && r.server.Is(&server) {
			return r.node
		}
	}
	n := v.byServer[v.nodeKey(server)]
	if n == nil {
		return v.others
	}
	v.recent[v.found%len(v.recent)] = recentNode{server, n}
	v.found++
	return n
}

// recentNode is a server that find found: there are few, one or two a node.
type recentNode struct {
	server capture.Endpoint
	node   *node
}

// findOrAdd returns the node of a server and makes it if there is room.
func (v *view) findOrAdd(server capture.Endpoint, at capture.Time) *node {
	if n := v.find(server); n != v.others {
		return n
	}
	if len(v.nodes) >= v.o.MaxNodes && !v.evictNode(at) {
		v.stats.NodesFolded++
		return v.others
	}
	return v.addNode(server)
}

func (v *view) addNode(server capture.Endpoint) *node {
	v.nodeIDs++
	n := &node{id: v.nodeIDs, server: server.AddrPort(), cw: emptyList}
	v.nodes = append(v.nodes, n)
	v.byServer[v.nodeKey(server)] = n
	return n
}

// evictNode makes room by forgetting the idle node that was silent longest.
// The search is linear and an attacker who invents servers can ask for it
// with every connection, so it happens once a second at most.
func (v *view) evictNode(at capture.Time) bool {
	if at < v.nextEviction {
		return false
	}
	victim := -1
	for i, n := range v.nodes {
		if n.idle() && n != v.host.node && (victim < 0 || n.lastEvent < v.nodes[victim].lastEvent) {
			victim = i
		}
	}
	if victim < 0 {
		v.nextEviction = at.Add(second)
		return false
	}
	v.removeNode(victim)
	v.stats.NodesEvicted++
	return true
}

func (v *view) removeNode(i int) {
	n := v.nodes[i]
	n.gone = true
	delete(v.byServer, v.nodeKey(capture.EndpointOf(n.server)))
	v.nodes = append(v.nodes[:i], v.nodes[i+1:]...)
	clear(v.recent[:])
}
