package kernellab

import (
	"encoding/binary"
	"net/netip"

	"stallwatch/capture"
)

// The two ends of the wire. The client's addresses belong to no interface, so
// that no kernel answers in its place.
var (
	serverAddr = netip.MustParseAddr("10.77.0.1")
	clientAddr = netip.MustParseAddr("10.77.0.2")
	serverEnd  = netip.AddrPortFrom(serverAddr, 14265)
	serverMAC  = [6]byte{2, 0, 0, 0, 77, 1}
	clientMAC  = [6]byte{2, 0, 0, 0, 77, 2}
)

// SumKind says which TCP checksum a segment gets.
type SumKind uint8

// The checksums. BareSum is the sum over the pseudo header alone, which a host
// leaves to its network card: from a client on the wire it is simply wrong.
const (
	GoodSum SumKind = iota
	BadSum
	BareSum
)

// header is what a segment's TCP header says.
type header struct {
	port     uint16 // of the client
	seq, ack uint32
	flags    capture.Flags
	window   uint16
	urgent   uint16
	options  []byte // padded to words
	sum      SumKind
}

// appendTCP appends the segment.
func appendTCP(b []byte, h *header, payload string) []byte {
	start, be := len(b), binary.BigEndian
	b = be.AppendUint16(b, h.port)
	b = be.AppendUint16(b, serverEnd.Port())
	b = be.AppendUint32(b, h.seq)
	b = be.AppendUint32(b, h.ack)
	b = append(b, byte(5+len(h.options)/4)<<4, byte(h.flags))
	b = be.AppendUint16(b, h.window)
	b = append(b, 0, 0)
	b = be.AppendUint16(b, h.urgent)
	b = append(b, h.options...)
	b = append(b, payload...)
	tcp := b[start:]
	pseudo := capture.Sum(6+uint64(len(tcp)), clientAddr.AsSlice())
	pseudo = capture.Sum(pseudo, serverAddr.AsSlice())
	field := ^capture.Fold(capture.Sum(pseudo, tcp))
	switch h.sum {
	case BadSum:
		field ^= 0x5a5a
	case BareSum:
		field = capture.Fold(pseudo)
	}
	be.PutUint16(tcp[16:], field)
	return b
}

// appendIPv4 appends an Ethernet frame with an IPv4 packet. off is the
// fragment's offset in bytes, a multiple of 8.
func appendIPv4(b []byte, proto byte, id uint16, off int, more bool, content []byte) []byte {
	b = append(b, serverMAC[:]...)
	b = append(b, clientMAC[:]...)
	b = append(b, 8, 0)
	start, be := len(b), binary.BigEndian
	b = append(b, 0x45, 0)
	b = be.AppendUint16(b, uint16(20+len(content)))
	b = be.AppendUint16(b, id)
	frag := uint16(off / 8)
	if more {
		frag |= 0x2000
	}
	b = be.AppendUint16(b, frag)
	b = append(b, 64, proto, 0, 0)
	b = append(b, clientAddr.AsSlice()...)
	b = append(b, serverAddr.AsSlice()...)
	be.PutUint16(b[start+10:], ^capture.Fold(capture.Sum(0, b[start:])))
	return append(b, content...)
}

// appendEcho appends an ICMP echo request.
func appendEcho(b []byte, id, n uint16) []byte {
	start, be := len(b), binary.BigEndian
	b = append(b, 8, 0, 0, 0)
	b = be.AppendUint16(b, id)
	b = be.AppendUint16(b, n)
	be.PutUint16(b[start+2:], ^capture.Fold(capture.Sum(0, b[start:])))
	return b
}

// echoReply reports whether a frame is the server's answer to an echo request,
// and to which.
func echoReply(frame []byte) (id, n uint16, ok bool) {
	const icmp = 14 + 20
	if len(frame) < icmp+8 || frame[12] != 8 || frame[13] != 0 || frame[14+9] != 1 || frame[icmp] != 0 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint16(frame[icmp+4:]), binary.BigEndian.Uint16(frame[icmp+6:]), true
}
