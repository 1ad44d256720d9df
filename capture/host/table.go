package host

import (
	"net/netip"
	"slices"

	"stallwatch/capture"
)

// maxConns bounds Sample.Conns: 65,536 connections are some 4 MiB. What does
// not fit is still counted by state.
const maxConns = 65536

// maxListeners bounds Sample.Listen; a port has one a listening address.
const maxListeners = 256

// entry is one row of the kernel's socket table.
type entry struct {
	local, remote netip.AddrPort
	state         capture.State
	inode         uint64
	queue, max    int // accept queue; valid iff state is Listen
}

// table folds rows into what a Sample says.
type table struct {
	ports     []uint16 // watched
	served    []uint16 // those of the process; the others' sockets are not its own. nil: all
	wantConns bool
	expect    int // conns, so that they are not moved again and again

	sockets             [capture.NumStates]int
	unaccepted          int
	unacceptedCloseWait int
	listen              []capture.Backlog
	inodes              []uint64 // of the listeners of all watched ports
	doors               []uint16 // their ports
	conns               []capture.Socket
}

func (t *table) watches(port uint16) bool { return slices.Contains(t.ports, port) }

func (t *table) add(e *entry) {
	if e.state >= capture.NumStates || !t.watches(e.local.Port()) {
		return
	}
	if e.state == capture.Listen && len(t.inodes) < maxListeners {
		t.inodes = append(t.inodes, e.inode)
		t.doors = append(t.doors, e.local.Port())
	}
	if t.served != nil && !slices.Contains(t.served, e.local.Port()) {
		return
	}
	t.sockets[e.state]++
	switch e.state {
	case capture.Listen:
		if len(t.listen) < maxListeners {
			t.listen = append(t.listen, capture.Backlog{Addr: e.local, Queue: e.queue, Max: e.max})
		}
		return
	case capture.Established:
		t.count(e, &t.unaccepted)
	case capture.CloseWait:
		t.count(e, &t.unaccepted)
		t.count(e, &t.unacceptedCloseWait)
	case capture.TimeWait:
		return // over: nothing of it is in the process any more
	}
	if t.wantConns && len(t.conns) < maxConns {
		if t.conns == nil {
			t.conns = make([]capture.Socket, 0, min(t.expect, maxConns))
		}
		t.conns = append(t.conns, capture.Socket{
			Flow: capture.Flow{Client: capture.EndpointOf(e.remote), Server: capture.EndpointOf(e.local)}, State: e.state, Accepted: e.inode != 0})
	}
}

// count counts e if it has no inode: in these two states that means that the
// process has not accepted it. (In the others an orphan has none either: the
// process has closed it and the kernel is finishing.)
func (t *table) count(e *entry, n *int) {
	if e.inode == 0 {
		*n++
	}
}

func (t *table) total() (n int) {
	for _, k := range t.sockets {
		n += k
	}
	return n
}

func (t *table) fill(s *capture.Sample) {
	s.Sockets, s.Listen = t.sockets, t.listen
	s.Unaccepted, s.UnacceptedCloseWait = t.unaccepted, t.unacceptedCloseWait
	if t.wantConns && t.conns == nil {
		t.conns = []capture.Socket{} // none, and known to be none
	}
	s.Conns = t.conns
}
