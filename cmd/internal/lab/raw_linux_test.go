package lab

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// TestSYNPacket reads a SYN back and sums it as a receiver does.
func TestSYNPacket(t *testing.T) {
	from, to := netip.MustParseAddrPort("10.79.37.102:1031"), netip.MustParseAddrPort("10.77.0.2:14265")
	b := synPacket(from, to, 0xfedcba98)
	p := gopacket.NewPacket(b, layers.LayerTypeIPv4, gopacket.Default)
	ip, _ := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	tcp, _ := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if ip == nil || tcp == nil || int(ip.Length) != len(b) || ip.SrcIP.String() != "10.79.37.102" || ip.DstIP.String() != "10.77.0.2" ||
		tcp.SrcPort != 1031 || tcp.DstPort != 14265 || tcp.Seq != 0xfedcba98 || !tcp.SYN || tcp.ACK || len(tcp.Options) != 1 {
		t.Fatalf("got %v, want a SYN from %s to %s with one option; packet %x", p, from, to, b)
	}
	sum := uint32(6 + len(b) - 20)
	for i := 12; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if sum = sum>>16 + sum&0xffff; sum>>16+sum&0xffff != 0xffff {
		t.Errorf("pseudo header and segment of %x sum to %x, want ffff", b, sum)
	}
}
