package live

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcap"

	"stallwatch/capture"
)

// handle is one libpcap handle. One goroutine owns it: libpcap's calls on a
// handle, pcap_stats among them, may not overlap.
type handle struct {
	name  string
	index int // among Options.Interfaces
	link  capture.LinkType
	pcap  *pcap.Handle
	now   func() time.Time

	clock time.Time // when looked at last
	since int       // packets since then; 0: look anew

	ifindex  int // of the kernel; 0 for "any"
	lastPoll time.Time
	lastLook time.Time // at the interface, by alive
	counters counters
}

// frame is a packet as a reader gives it; data holds until the next read.
type frame struct {
	at     capture.Time
	data   []byte
	length int
	link   capture.LinkType
	index  int
}

// openHandle opens, sets up and filters one interface.
func openHandle(o Options, index int, now func() time.Time) (*handle, error) {
	name := o.Interfaces[index]
	inactive, err := pcap.NewInactiveHandle(name)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	defer inactive.CleanUp()
	if err := configure(inactive, o, name); err != nil {
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	p, err := inactive.Activate()
	if err != nil {
		return nil, activateError(name, o.Buffer, inactive, err)
	}
	h := &handle{name: name, index: index, pcap: p, now: now, lastPoll: now()}
	if err := h.setUp(o); err != nil {
		p.Close()
		return nil, err
	}
	if i, err := net.InterfaceByName(name); err == nil {
		h.ifindex = i.Index
	}
	h.counters.start(p, name)
	return h, nil
}

func configure(i *pcap.InactiveHandle, o Options, name string) error {
	if err := i.SetSnapLen(o.SnapLen); err != nil {
		return fmt.Errorf("set the snap length: %w", err)
	}
	if err := i.SetBufferSize(o.Buffer); err != nil {
		return fmt.Errorf("set the buffer size: %w", err)
	}
	if err := i.SetTimeout(o.Timeout); err != nil {
		return fmt.Errorf("set the read timeout: %w", err)
	}
	// "any" cannot be promiscuous, and libpcap's warning of that would make
	// gopacket drop the handle.
	if err := i.SetPromisc(o.Promiscuous && name != anyInterface); err != nil {
		return fmt.Errorf("set promiscuous mode: %w", err)
	}
	if o.Immediate {
		if err := i.SetImmediateMode(true); err != nil {
			return fmt.Errorf("set immediate mode: %w", err)
		}
	}
	return nil
}

// setUp chooses the link type, then sets the filter, which depends on it.
func (h *handle) setUp(o Options) error {
	link, ok := linkType(h.pcap.LinkType())
	if !ok {
		return fmt.Errorf("%w: %q gives %s; capture on \"any\"", ErrLinkType, h.name, h.pcap.LinkType())
	}
	h.link = link
	if link == capture.LinkSLL && useSLL2(h.pcap) {
		h.link = capture.LinkSLL2
	}
	return h.setFilter(o.Ports, o.Filter, o.Perimeter)
}

// linkType translates a DLT_ value of this system into the LINKTYPE_ value
// that files use. They differ for raw IP (pcap/dlt.h, pcap-common.c).
func linkType(dlt layers.LinkType) (capture.LinkType, bool) {
	switch l := capture.LinkType(dlt); l {
	case capture.LinkRaw12, capture.LinkRaw14:
		return capture.LinkRaw, true
	case capture.LinkNull, capture.LinkEthernet, capture.LinkRaw, capture.LinkLoop, capture.LinkSLL,
		capture.LinkIPv4, capture.LinkIPv6:
		return l, true
	}
	return 0, false
}

// setFilter compiles user alone first, so that libpcap's words are about what
// the user wrote, and so that user is whole in itself: "tcp) or (udp" is not.
func (h *handle) setFilter(ports []uint16, user string, perimeter bool) error {
	if strings.ContainsRune(user, 0) {
		return fmt.Errorf("%w: it contains a zero byte", ErrFilter)
	}
	if strings.TrimSpace(user) == "" {
		user = ""
	}
	if user != "" {
		if _, err := h.pcap.CompileBPFFilter(user); err != nil {
			return fmt.Errorf("%w %q: %w%s", ErrFilter, user, err, filterHint(user))
		}
	}
	expr := BuildFilter(ports, user, h.link == capture.LinkEthernet, perimeter)
	if err := h.pcap.SetBPFFilter(expr); err != nil {
		return fmt.Errorf("%w %q on %q: %w", ErrFilter, expr, h.name, err)
	}
	return nil
}

// clockEvery is how many packets share a look at the clock, which costs a
// tenth of what libpcap takes for one.
const clockEvery = 32

// read fills f with the next packet. ok is false when the ring was empty; no
// packet older than idle less the time a block may stay open comes then. idle
// is from before the ring was looked at, for a pause after it must not count;
// after a burst it is a little older still.
func (h *handle) read(f *frame) (ok bool, idle time.Time, err error) {
	if h.since%clockEvery == 0 {
		h.clock, h.since = h.now(), 0
	}
	idle = h.clock
	data, ci, err := h.pcap.ZeroCopyReadPacketData()
	switch err {
	case nil:
		h.since++
		*f = frame{at: capture.At(ci.Timestamp), data: data, length: ci.Length, link: h.link, index: h.index}
		return true, idle, nil
	case pcap.NextErrorTimeoutExpired:
		h.since = 0
		return false, idle, h.alive(idle)
	case pcap.NextErrorReadError:
		return false, idle, h.readError()
	}
	return false, idle, fmt.Errorf("read from %q: %w", h.name, err)
}

// poll reads the kernel's counters when a second has passed, or when forced,
// and returns what was lost since the last time.
func (h *handle) poll(now time.Time, force bool) (capture.Loss, error) {
	if since := now.Sub(h.lastPoll); !force && since >= 0 && since < pollEvery {
		return capture.Loss{}, nil
	}
	h.lastPoll = now
	if err := h.counters.read(h.pcap, h.name); err != nil {
		return capture.Loss{}, fmt.Errorf("read the counters of %q: %w", h.name, err)
	}
	return h.counters.take(), nil
}

func (h *handle) close() { h.pcap.Close() }
