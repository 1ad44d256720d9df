package live

import (
	"fmt"
	"time"

	"stallwatch/capture"
)

// Prober says what the host knows about the node's process.
type Prober interface {
	// Sample returns what is so at now. It never returns nil: what went wrong
	// is in the sample's Err. It is called from one goroutine of the Source.
	Sample(now time.Time) *capture.Sample
	// WantConns asks for the whole socket table with one of the next samples.
	// The Source does after a loss: connections may have come and gone
	// unseen. It may be called while Sample runs.
	WantConns()
}

// Options says what to capture. The zero value captures TCP on every
// interface and port.
type Options struct {
	Interfaces []string // empty: "any"
	Ports      []uint16 // TCP ports to watch; empty: every TCP segment
	Filter     string   // a pcap-filter(7) expression, and-ed with the ports
	Perimeter  bool     // SYN and RST of every other port as well

	// SnapLen is how many bytes of a packet are kept (0: 262144, tcpdump's
	// own: larger than any packet, offloaded ones included).
	SnapLen int
	// Buffer is the size of an interface's ring in bytes (0: 32 MiB, some
	// 250 ms of a 1 Gbit/s burst). It is kernel memory, not subject to an
	// RLIMIT but to what the machine has.
	Buffer int
	// Immediate hands over each packet when it comes, not a block of them.
	Immediate bool
	// Promiscuous asks the interface for the packets of others as well. It
	// has no meaning for "any".
	Promiscuous bool

	// Timeout is how long the kernel may keep a block that is not full (0:
	// 20ms). After a long one packets come in bursts that keep a core from the
	// node: at 100ms the slowest of its calls took up to five times as long.
	Timeout time.Duration
	// Grace is how far a tick stays behind the clock, and how long one
	// interface waits for another (0: 250ms, of several interfaces, whose
	// packets wait in memory for so long, 4 times Timeout). It must be longer than Timeout, or a tick would overtake
	// packets; the kernel's timer retires a block after twice that, at worst.
	Grace time.Duration

	Prober     Prober        // nil: no samples
	ProbeEvery time.Duration // 0: 1s

	// Drop gives up every capability and the way to new ones once the
	// handles are open. Not the default: before Linux 6.2 the prober needs
	// CAP_SYS_PTRACE all the time.
	Drop bool
}

// Bounds of Options. The largest snap length is libpcap's own
// (MAXIMUM_SNAPLEN of pcap-int.h); the smallest holds every header that
// decode reads. A ring under 64 KiB cannot hold a block; one over 2 GiB
// overflows the int that libpcap keeps it in.
const (
	minSnapLen = 128
	maxSnapLen = 262144
	minBuffer  = 64 << 10
	maxBuffer  = 2<<30 - 1
)

// withDefaults returns o with the defaults filled in.
func (o Options) withDefaults() Options {
	if len(o.Interfaces) == 0 {
		o.Interfaces = []string{anyInterface}
	}
	if o.SnapLen == 0 {
		o.SnapLen = maxSnapLen
	}
	if o.Buffer == 0 {
		o.Buffer = 32 << 20
	}
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Millisecond
	}
	switch {
	case o.Grace == 0 && len(o.Interfaces) > 1:
		o.Grace = 4 * o.Timeout
	case o.Grace == 0:
		o.Grace = max(250*time.Millisecond, 5*o.Timeout/2)
	}
	if o.ProbeEvery == 0 {
		o.ProbeEvery = time.Second
	}
	return o
}

// Validate says what is wrong with o and what to do about it.
func (o Options) Validate() error {
	o = o.withDefaults()
	if o.SnapLen < minSnapLen || o.SnapLen > maxSnapLen {
		return fmt.Errorf("%w: %d bytes; give %d to %d, or leave it out", ErrSnapLen, o.SnapLen, minSnapLen, maxSnapLen)
	}
	if o.Buffer < minBuffer || o.Buffer > maxBuffer {
		return fmt.Errorf("buffer of %d bytes: give 64KiB to 2GiB, or leave it out", o.Buffer)
	}
	if o.Timeout < time.Millisecond || o.Timeout > time.Second {
		return fmt.Errorf("read timeout %v: give 1ms to 1s", o.Timeout)
	}
	if o.Grace <= o.Timeout {
		return fmt.Errorf("grace %v: must be longer than the read timeout %v", o.Grace, o.Timeout)
	}
	if o.ProbeEvery < 0 {
		return fmt.Errorf("probe interval %v: give a positive one", o.ProbeEvery)
	}
	return o.checkInterfaces()
}

func (o Options) checkInterfaces() error {
	seen := map[string]bool{}
	for _, name := range o.Interfaces {
		if seen[name] {
			return fmt.Errorf("interface %q is given twice", name)
		}
		seen[name] = true
	}
	if seen[anyInterface] && len(seen) > 1 {
		return fmt.Errorf("interface %q already covers the others: give it alone", anyInterface)
	}
	return nil
}
