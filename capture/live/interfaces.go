package live

import (
	"fmt"
	"net/netip"

	"github.com/google/gopacket/pcap"
)

// anyInterface is libpcap's name for all interfaces at once.
const anyInterface = "any"

// Interface is one that can be captured on.
type Interface struct {
	Name        string
	Description string // libpcap's; often empty
	Up          bool
	Loopback    bool
	Addrs       []netip.Addr
}

// Flags of pcap_if_t (pcap/pcap.h).
const (
	flagLoopback = 0x1
	flagUp       = 0x2
)

// Interfaces lists what can be captured on, as libpcap orders it.
func Interfaces() ([]Interface, error) {
	devs, err := pcap.FindAllDevs()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var list []Interface
	for _, d := range devs {
		if !captures(d) {
			continue
		}
		i := Interface{Name: d.Name, Description: d.Description, Up: d.Flags&flagUp != 0, Loopback: d.Flags&flagLoopback != 0}
		for _, a := range d.Addresses {
			if ip, ok := netip.AddrFromSlice(a.IP); ok {
				i.Addrs = append(i.Addrs, ip.Unmap())
			}
		}
		list = append(list, i)
	}
	return list, nil
}

// captures leaves out what libpcap lists besides network interfaces: USB and
// Bluetooth monitors, D-Bus, netfilter queues.
func captures(d pcap.Interface) bool {
	switch d.Name {
	case "nflog", "nfqueue", "dbus-system", "dbus-session":
		return false
	}
	for _, prefix := range []string{"usbmon", "bluetooth"} {
		if len(d.Name) >= len(prefix) && d.Name[:len(prefix)] == prefix {
			return false
		}
	}
	return true
}
