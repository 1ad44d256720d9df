package kernellab

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stallwatch/capture"
)

// Frame is a captured frame.
type Frame struct {
	At   capture.Time
	Data []byte
}

// Socket is one of the server's sockets in the kernel's table.
type Socket struct {
	Port     uint16 `json:"port"`  // of the client
	State    string `json:"state"` // as capture.State prints it
	Unread   int    `json:"unread,omitempty"`
	Accepted bool   `json:"accepted,omitempty"` // it has an inode
}

// queued reports whether s waits in the accept queue. Sockets that are half
// open, or whose process has closed them, have no inode either.
func (s *Socket) queued() bool {
	return !s.Accepted && (s.State == capture.Established.String() || s.State == capture.CloseWait.String())
}

// App is what the application has of a connection that it accepted.
type App struct {
	Port   uint16 `json:"port"` // of the client
	Read   string `json:"read,omitempty"`
	Wrote  int    `json:"wrote,omitempty"` // bytes
	End    string `json:"end,omitempty"`   // EOF, or the error that reading ended with
	Closed bool   `json:"closed,omitempty"`
	fd     int    // valid in the server process only
}

// Kernel is what the server's host says at one instant.
type Kernel struct {
	Sockets     []Socket `json:"sockets,omitempty"`
	Queue       int      `json:"queue,omitempty"`       // of the listening socket
	Descriptors int      `json:"descriptors,omitempty"` // that are sockets of accepted connections
	Apps        []App    `json:"apps,omitempty"`        // in order of accept
}

// count returns how many sockets are in one of the states.
func (k *Kernel) count(states ...capture.State) int {
	n := 0
	for _, s := range k.Sockets {
		if slices.ContainsFunc(states, func(st capture.State) bool { return st.String() == s.State }) {
			n++
		}
	}
	return n
}

func (k *Kernel) unaccepted() int {
	n := 0
	for i := range k.Sockets {
		if k.Sockets[i].queued() {
			n++
		}
	}
	return n
}

// dead returns how many descriptors, and places in the accept queue, have no
// socket in the kernel's table any more: it was reset.
func (k *Kernel) dead() int {
	n := k.Descriptors + k.Queue - k.unaccepted()
	for _, s := range k.Sockets {
		if s.Accepted {
			n--
		}
	}
	return n
}

// String says the same in words that rows use: the states with their counts in
// the order of their names, then unaccepted and dead, as far as they are not 0.
func (k *Kernel) String() string {
	count := map[string]int{}
	for _, s := range k.Sockets {
		count[s.State]++
	}
	var words []string
	for _, state := range slices.Sorted(maps.Keys(count)) {
		words = append(words, fmt.Sprintf("%s=%d", state, count[state]))
	}
	for _, c := range []struct {
		name string
		n    int
	}{{"unaccepted", k.unaccepted()}, {"dead", k.dead()}} {
		if c.n != 0 {
			words = append(words, fmt.Sprintf("%s=%d", c.name, c.n))
		}
	}
	return strings.Join(words, " ")
}

// Blind is what packets cannot tell at a checkpoint: how many connections the
// tracker must see differently from the kernel, and in which way. Its zero
// value demands that they agree in everything.
type Blind struct {
	// Deferred connections are SYN_RECV to the kernel (TCP_DEFER_ACCEPT, or a
	// full accept queue that dropped the last ACK) and open, but unconfirmed,
	// to the tracker.
	Deferred int `json:"deferred,omitempty"`
	// Stateless ones are nothing to the kernel (SYN cookies and a full accept
	// queue) and open, but unconfirmed, to the tracker.
	Stateless int `json:"stateless,omitempty"`
	// Cookies are SYNs that the kernel answered and forgot; half open to the
	// tracker.
	Cookies int `json:"cookies,omitempty"`
	// Expired ones were reset by the server's kernel because the client had
	// gone silent. A process that ends looks the same.
	Expired int `json:"expired,omitempty"`
	// Idle ones were reset with no call on them. The tracker forgets them: a
	// server that reads from them notices and closes. The lab's does not.
	Idle int `json:"idle,omitempty"`
}

// Check is a checkpoint: what the host said when the packets until At had
// passed.
type Check struct {
	At     capture.Time `json:"at"`
	Label  string       `json:"label"`
	Kernel Kernel       `json:"kernel"`
	Blind  Blind        `json:"blind,omitzero"`
	Says   []string     `json:"says,omitempty"` // events that the tracker must have given by now, or, behind "not ", must not
}
