package live

import (
	"encoding/binary"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcap"
)

// The packets of the filter tests, from the network header up. Only the
// fields that a filter reads are set.
func ip4(proto byte, offset uint16, port uint16) []byte {
	b := make([]byte, 60)
	b[0], b[9] = 0x45, proto
	binary.BigEndian.PutUint16(b[2:], 60)
	binary.BigEndian.PutUint16(b[6:], offset)
	binary.BigEndian.PutUint16(b[20:], 40000)
	binary.BigEndian.PutUint16(b[22:], port)
	return b
}

func ip6(next byte, then byte, port uint16) []byte {
	b := make([]byte, 100)
	b[0], b[6], b[40] = 0x60, next, then
	if next == 6 {
		binary.BigEndian.PutUint16(b[40:], 40000)
		binary.BigEndian.PutUint16(b[42:], port)
	}
	return b
}

// later makes an IPv6 fragment one of offset 8, with more to come.
func later(b []byte) []byte {
	b[43] = 8 | 1
	return b
}

// linkRaw12 is DLT_RAW as libpcap has it in memory; files say 101.
const linkRaw12 layers.LinkType = 12

// frames wraps network packets in the link layers we capture on.
var frames = map[layers.LinkType]func(etherType uint16, b []byte) []byte{
	layers.LinkTypeEthernet: func(et uint16, b []byte) []byte {
		return append(binary.BigEndian.AppendUint16(make([]byte, 12), et), b...)
	},
	layers.LinkTypeLinuxSLL: func(et uint16, b []byte) []byte {
		return append(binary.BigEndian.AppendUint16(make([]byte, 14), et), b...)
	},
	linkRaw12: func(_ uint16, b []byte) []byte { return b },
}

func TestFilterOnEveryLink(t *testing.T) {
	for _, tt := range []struct {
		name      string
		user      string
		etherType uint16
		packet    []byte
		want      bool
	}{
		{name: "the port", etherType: 0x800, packet: ip4(6, 0, 14265), want: true},
		{name: "another port", etherType: 0x800, packet: ip4(6, 0, 80)},
		{name: "second port", etherType: 0x800, packet: ip4(6, 0, 14700), want: true},
		{name: "UDP", etherType: 0x800, packet: ip4(17, 0, 14265)},
		{name: "later fragment of TCP", etherType: 0x800, packet: ip4(6, 3, 9), want: true},
		{name: "later fragment of UDP", etherType: 0x800, packet: ip4(17, 3, 9)},
		{name: "IPv6", etherType: 0x86dd, packet: ip6(6, 0, 14265), want: true},
		{name: "IPv6, another port", etherType: 0x86dd, packet: ip6(6, 0, 80)},
		{name: "IPv6 fragment of TCP", etherType: 0x86dd, packet: ip6(44, 6, 0), want: true},
		{name: "IPv6 fragment of UDP", etherType: 0x86dd, packet: ip6(44, 17, 0)},
		{name: "IPv6 fragment of options", etherType: 0x86dd, packet: ip6(44, 60, 0), want: true},
		{name: "later IPv6 fragment that claims UDP", etherType: 0x86dd, packet: later(ip6(44, 17, 0)), want: true},
		{name: "IPv6 destination options", etherType: 0x86dd, packet: ip6(60, 6, 0), want: true},
		{name: "user lets through", user: "host 0.0.0.0 or udp", etherType: 0x800, packet: ip4(6, 0, 14265), want: true},
		{name: "user holds back", user: "host 192.0.2.1 or udp", etherType: 0x800, packet: ip4(6, 0, 14265)},
		{name: "user cannot widen", user: "tcp or udp", etherType: 0x800, packet: ip4(17, 0, 14265)},
	} {
		for link, wrap := range frames {
			t.Run(tt.name+" on "+link.String(), func(t *testing.T) {
				expr := BuildFilter([]uint16{14265, 14700}, tt.user, link == layers.LinkTypeEthernet, false)
				match(t, link, expr, wrap(tt.etherType, tt.packet), tt.want)
			})
		}
	}
}

func match(t *testing.T, link layers.LinkType, expr string, data []byte, want bool) {
	t.Helper()
	bpf, err := pcap.NewBPF(link, 65536, expr)
	if err != nil {
		t.Fatalf("compile %q for %s: %v", expr, link, err)
	}
	if got := bpf.Matches(gopacket.CaptureInfo{CaptureLength: len(data), Length: len(data)}, data); got != want {
		t.Errorf("%q on %s %x = %v, want %v", expr, link, data[:min(len(data), 48)], got, want)
	}
}

// TestFilterTags checks the alternatives that stand behind vlan, where every
// offset has moved: the user's part must move with the rest.
func TestFilterTags(t *testing.T) {
	tag := func(b []byte, tags int) []byte {
		frame := make([]byte, 12)
		for range tags {
			frame = append(frame, 0x81, 0x00, 0x00, 0x05)
		}
		return append(append(frame, 0x08, 0x00), b...)
	}
	for _, tt := range []struct {
		name string
		user string
		tags int
		port uint16
		want bool
	}{
		{name: "none", port: 14265, want: true},
		{name: "one tag", tags: 1, port: 14265, want: true},
		{name: "two tags", tags: 2, port: 14265, want: true},
		{name: "one tag, another port", tags: 1, port: 80},
		{name: "two tags, another port", tags: 2, port: 80},
		{name: "one tag, user agrees", user: "src port 40000", tags: 1, port: 14265, want: true},
		{name: "two tags, user agrees", user: "src port 40000", tags: 2, port: 14265, want: true},
		{name: "one tag, user holds back", user: "src port 40001", tags: 1, port: 14265},
		{name: "user's own vlan", user: "vlan 5", tags: 1, port: 14265, want: true},
		{name: "user's own vlan, another", user: "vlan 6", tags: 1, port: 14265},
		{name: "user's own vlan, untagged", user: "vlan 5", port: 14265},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expr := BuildFilter([]uint16{14265}, tt.user, true, false)
			match(t, layers.LinkTypeEthernet, expr, tag(ip4(6, 0, tt.port), tt.tags), tt.want)
		})
	}
}

func TestFilterWithoutPorts(t *testing.T) {
	expr := BuildFilter(nil, "", false, false)
	match(t, linkRaw12, expr, ip4(6, 0, 4711), true)
	match(t, linkRaw12, expr, ip4(17, 0, 4711), false)
}

// TestFilterPerimeter: with the perimeter SYN and RST of every port pass, and
// nothing else of other ports.
func TestFilterPerimeter(t *testing.T) {
	flags := func(b []byte, tcp int, f byte) []byte {
		b = append([]byte(nil), b...)
		b[tcp+13] = f
		return b
	}
	for _, tt := range []struct {
		name      string
		etherType uint16
		packet    []byte
		want      bool
	}{
		{"SYN", 0x800, flags(ip4(6, 0, 22), 20, 0x02), true},
		{"RST", 0x800, flags(ip4(6, 0, 22), 20, 0x14), true},
		{"ACK", 0x800, flags(ip4(6, 0, 22), 20, 0x10), false},
		{"ACK of the port", 0x800, flags(ip4(6, 0, 14265), 20, 0x10), true},
		{"UDP", 0x800, flags(ip4(17, 0, 22), 20, 0x02), false},
		{"IPv6 SYN", 0x86dd, flags(ip6(6, 0, 22), 40, 0x02), true},
		{"IPv6 ACK", 0x86dd, flags(ip6(6, 0, 22), 40, 0x10), false},
	} {
		for link, wrap := range frames {
			t.Run(tt.name+" on "+link.String(), func(t *testing.T) {
				expr := BuildFilter([]uint16{14265}, "", link == layers.LinkTypeEthernet, true)
				match(t, link, expr, wrap(tt.etherType, tt.packet), tt.want)
			})
		}
	}
}
