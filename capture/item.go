package capture

import "time"

// Kind says what an Item carries.
type Kind uint8

// The kinds of Item. A Tick carries nothing but its time: it tells the core
// how late it is when nothing else happens.
const (
	Tick Kind = iota
	PacketSeen
	HostSampled
	PacketsLost
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Tick:
		return "tick"
	case PacketSeen:
		return "packet"
	case HostSampled:
		return "sample"
	case PacketsLost:
		return "loss"
	}
	return "unknown"
}

// Item is one observation.
type Item struct {
	At     Time
	Kind   Kind
	Packet Packet  // valid iff Kind is PacketSeen
	Sample *Sample // valid iff Kind is HostSampled; never changed afterwards
	Loss   Loss    // valid iff Kind is PacketsLost
}

// Source yields observations in strictly growing order of At.
type Source interface {
	// Next fills it. Packet.Data holds until the next call. io.EOF ends a
	// recording or a live source that was told to stop; before it, a
	// recording's last Item is the Tick that ends its time. Any other error
	// is final as well: what was read before it stands.
	Next(it *Item) error
}

// LinkType is a LINKTYPE_ value as pcap files store it
// (https://www.tcpdump.org/linktypes.html).
type LinkType uint32

// The link types that decode understands.
const (
	LinkNull     LinkType = 0   // BSD loopback, host byte order
	LinkEthernet LinkType = 1   //
	LinkRaw12    LinkType = 12  // DLT_RAW as some systems write it to files
	LinkRaw14    LinkType = 14  // DLT_RAW on OpenBSD
	LinkRaw      LinkType = 101 //
	LinkLoop     LinkType = 108 // OpenBSD loopback, network byte order
	LinkSLL      LinkType = 113 // Linux cooked v1
	LinkIPv4     LinkType = 228 //
	LinkIPv6     LinkType = 229 //
	LinkSLL2     LinkType = 276 // Linux cooked v2
)

// Packet is a frame as it was captured.
type Packet struct {
	Data      []byte   // the captured bytes; at most Length
	Length    int      // bytes on the wire
	Link      LinkType //
	Interface int      // index among the source's interfaces
}

// Loss counts packets that the source lost since the Loss before it.
type Loss struct {
	Kernel    uint64 // no room in the ring: stallwatch was too slow
	Interface uint64 // dropped by the interface or its driver
	// Unwatched is a span, from the Item's At on, of which the source knows
	// that nobody looked, or that the clock ran through it in no time: what
	// happened in it was not seen, and nothing aged by it. Zero: there is none.
	Unwatched time.Duration
	Why       Pause // valid iff Unwatched is not zero
}

// Pause says why nobody looked.
type Pause uint8

// The pauses.
const (
	ClockSet   Pause = iota + 1 // the clock was set forward
	Asleep                      // the machine was suspended
	Stopped                     // the program did not run, and the ring overflowed meanwhile
	Unrecorded                  // between the end of a recording and the beginning of the next
	numPauses
)

var pauseNames = [numPauses]string{"", "clock_set", "asleep", "stopped", "unrecorded"}

// String names the pause, as records and side files do.
func (p Pause) String() string {
	if p < numPauses && p > 0 {
		return pauseNames[p]
	}
	return "unknown"
}

// ParsePause is the inverse of String; ok is false for any other word.
func ParsePause(name string) (p Pause, ok bool) {
	for i, n := range pauseNames {
		if n == name && i > 0 {
			return Pause(i), true
		}
	}
	return 0, false
}

// Flow is a TCP connection's pair of ends, named by role.
type Flow struct {
	Client, Server Endpoint
}

// Dir says which way bytes go.
type Dir uint8

// The two directions; they index arrays of two.
const (
	ToServer Dir = 0
	ToClient Dir = 1
)

// String names the direction.
func (d Dir) String() string {
	if d == ToServer {
		return "to_server"
	}
	return "to_client"
}

// Reverse returns the other direction.
func (d Dir) Reverse() Dir { return d ^ 1 }
