package live

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/gopacket/pcap"

	"stallwatch/capture"
)

// pollEvery is how often the kernel's counters are read.
const pollEvery = time.Second

// counters follows what libpcap counts. libpcap keeps 32 bits, which wrap
// after some hours at 1 M packets/s: only differences are used. The handle's
// goroutine writes, any may read.
type counters struct {
	lastRecv, lastDrop, lastIf uint32
	lost                       capture.Loss // not yet taken
	received, kernel, iface    atomic.Uint64
}

// start notes where the counters stand.
func (c *counters) start(p *pcap.Handle, name string) {
	if s, err := p.Stats(); err == nil {
		c.lastRecv, c.lastDrop = uint32(s.PacketsReceived), uint32(s.PacketsDropped)
	}
	c.lastIf = interfaceDrops(name)
}

func (c *counters) read(p *pcap.Handle, name string) error {
	s, err := p.Stats()
	if err != nil {
		return err
	}
	c.add(uint32(s.PacketsReceived), uint32(s.PacketsDropped), interfaceDrops(name))
	return nil
}

func (c *counters) add(recv, drop, iface uint32) {
	c.received.Add(uint64(recv - c.lastRecv))
	kernel, onIface := uint64(drop-c.lastDrop), uint64(iface-c.lastIf)
	c.kernel.Add(kernel)
	c.iface.Add(onIface)
	c.lost.Kernel += kernel
	c.lost.Interface += onIface
	c.lastRecv, c.lastDrop, c.lastIf = recv, drop, iface
}

// take returns what was lost since the last take.
func (c *counters) take() capture.Loss {
	l := c.lost
	c.lost = capture.Loss{}
	return l
}

// interfaceDrops reads what the interface itself lost. libpcap tells it for
// promiscuous handles only (linux_if_drops of pcap-linux.c, whose two
// counters these are). An interface without such counters, and "any", give 0.
func interfaceDrops(name string) uint32 {
	if name == anyInterface || strings.ContainsAny(name, "/\x00") || name == ".." {
		return 0
	}
	return sysCounter(name, "rx_missed_errors") + sysCounter(name, "rx_fifo_errors")
}

func sysCounter(name, counter string) uint32 {
	b, err := os.ReadFile("/sys/class/net/" + name + "/statistics/" + counter)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// Stats says what has been captured and lost since Open.
type Stats struct {
	Interfaces []InterfaceStats // in the order of Options.Interfaces
	Delivered  uint64           // packets that Next returned
	Clamped    uint64           // packets out of order, moved to the time of the one before + 1ns
	Jumps      uint64           // times the clock was set back
	Shift      time.Duration    // by how much the times are ahead of it since
	Unsampled  uint64           // samples dropped because Next was not called for a long while
	Uncounted  bool             // the last look at the counters failed: there may be more losses
}

// InterfaceStats says the same of one interface. Received counts what passed
// the filter; on lo and "any" the kernel counts a local packet twice, so that
// it may exceed what was delivered without any loss.
type InterfaceStats struct {
	Name             string
	Link             capture.LinkType
	Received         uint64
	KernelDrops      uint64 // no room in the ring
	InterfaceDropped uint64 // dropped by the interface or its driver
}
