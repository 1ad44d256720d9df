package capture

import "net/netip"

// State is a TCP state as Linux numbers it (include/net/tcp_states.h).
type State uint8

// The states of include/net/tcp_states.h.
const (
	Established State = iota + 1
	SynSent
	SynRecv
	FinWait1
	FinWait2
	TimeWait
	Closed
	CloseWait
	LastAck
	Listen
	Closing
	NewSynRecv
	NumStates
)

var stateNames = [NumStates]string{"", "established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2",
	"time_wait", "close", "close_wait", "last_ack", "listen", "closing", "new_syn_recv"}

// String returns the name in lower case with underscores, as records use it.
func (s State) String() string {
	if s < NumStates && s > 0 {
		return stateNames[s]
	}
	return "unknown"
}

// ParseState is the inverse of String; ok is false for any other word.
func ParseState(name string) (s State, ok bool) {
	for i, n := range stateNames {
		if n == name && i > 0 {
			return State(i), true
		}
	}
	return 0, false
}

// Sample is what the host says about the node's process and port at one
// instant. A probe that failed is a sample too: Err says why, and the rest is
// zero.
type Sample struct {
	PID     int
	Process string // the process's own short name (comm): not to be trusted as text
	// Processes is how many listen on the port, if they are several: PID is the
	// one nearest to its own limit, and Sockets are those of all.
	Processes int
	FDs       int // open descriptors; -1: not allowed to know
	FDLimit   int // soft limit of open files; -1: not allowed to know

	// Sockets counts the sockets of the watched ports by state, those in the
	// accept queue included (they have a state but no descriptor yet).
	Sockets [NumStates]int
	// Unaccepted counts the sockets of Sockets that the process has not
	// accepted (inode 0); UnacceptedCloseWait those of them in CLOSE_WAIT.
	Unaccepted          int
	UnacceptedCloseWait int

	// Stale says that Sockets and Unaccepted are those of an earlier sample,
	// and before Linux 6.2 FDs too: what is long is read less often.
	Stale bool

	Listen    []Backlog
	Overflows uint64       // ListenOverflows of the node's network namespace, a counter
	Drops     uint64       // ListenDrops, a counter
	Addrs     []netip.Addr // addresses of the machine (or namespace) the node runs on
	Conns     []Socket     // the whole table; only in a first sample and after losses, else nil
	Err       string
}

// Backlog is one listening socket and its accept queue.
type Backlog struct {
	Addr  netip.AddrPort
	Queue int // connections waiting for accept()
	Max   int // the limit given to listen(), capped by the kernel
}

// Socket is one connection of a watched port in the kernel's table.
type Socket struct {
	Flow     Flow
	State    State
	Accepted bool
}
