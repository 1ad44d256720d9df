package decode

import (
	"encoding/binary"
	"slices"

	"stallwatch/capture"
)

// IP protocol numbers and IPv6 extension headers (IANA protocol numbers).
const (
	protoHopByHop = 0
	protoTCP      = 6
	protoRouting  = 43
	protoFragment = 44
	protoAH       = 51
	protoDestOpts = 60
)

// maxExtensions bounds the walk through IPv6 extension headers; RFC 8200
// section 4.1 names seven at most in a packet.
const maxExtensions = 8

// maxUnsplit is the largest packet, in bytes, that nobody leaves to a card to
// split: with a length of zero it is none but an attacker's.
const maxUnsplit = 1500

// maxPacket bounds what a packet of unknown length may claim, in bytes: what
// a file says was on the wire is anything up to 4 GiB, and so much missing is
// more than TCP's numbers can tell. BIG TCP has half a MiB.
const maxPacket = 16 << 20

// ends are the two addresses of a packet, with the sum of both as the pseudo
// header of TCP needs it.
type ends struct {
	src, dst capture.Endpoint // of port 0
	sum      uint64
	joined   bool // the packet was put together of fragments
	strange  bool // as Segment.Strange
	unsummed bool // the IP header has no checksum
}

// ipv4 decodes b, of which wire bytes were on the wire.
func (d *Decoder) ipv4(b []byte, wire int, at capture.Time, s *capture.Segment) Skip {
	if len(b) < 20 {
		return short(wire < 20)
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	small := total == 0 && wire <= maxUnsplit
	if total == 0 {
		total = wire // TSO: the card, or BIG TCP, sets it after the capture
	}
	if head < 20 || head > total || total > min(wire, maxPacket) {
		return BadLength
	}
	if len(b) < head {
		return CutHeader
	}
	right := summed(b[:head])
	if !right && b[10]|b[11] != 0 { // zero: some systems leave it to the card
		return BadIPChecksum
	}
	if b[9] != protoTCP {
		return other(b[9], b[head:])
	}
	e := ends{strange: small || head > 20 && optioned(b[20:head]), unsummed: !right}
	e.sum = uint64(binary.BigEndian.Uint32(b[12:])) + uint64(binary.BigEndian.Uint32(b[16:]))
	e.src.Set4((*[4]byte)(b[12:]), 0)
	e.dst.Set4((*[4]byte)(b[16:]), 0)
	body := b[head:min(total, len(b))] // what follows is padding of the link
	if frag := binary.BigEndian.Uint16(b[6:]); frag&0x3fff != 0 {
		if !right { // a host that leaves sums to its card makes no fragments
			return BadIPChecksum
		}
		return d.fragment(piece{
			key:  fragKey{e.src, e.dst, uint32(binary.BigEndian.Uint16(b[4:])), 4},
			from: int(frag&0x1fff) * 8, more: frag&0x2000 != 0, next: protoTCP,
			data: body, wire: total - head, odd: e.strange,
		}, e, at, s)
	}
	return tcp(body, total-head, &e, s)
}

// Protocols that carry packets (IANA, Protocol Numbers), and the ports of
// VXLAN: IANA's (RFC 7348 section 5) and the one Linux had before.
const (
	protoIPIP    = 4
	protoUDP     = 17
	proto6in4    = 41
	protoGRE     = 47
	portVXLAN    = 4789
	portOldVXLAN = 8472
)

// other says what IP of a protocol that is not TCP is.
func other(proto byte, body []byte) Skip {
	switch proto {
	case protoIPIP, proto6in4, protoGRE:
		return Tunnelled
	case protoUDP:
		if len(body) < 4 {
			return NotTCP
		}
		if port := binary.BigEndian.Uint16(body[2:]); port == portVXLAN || port == portOldVXLAN {
			return Tunnelled
		}
	}
	return NotTCP
}

// short says why a header is not there: the sender's fault or the snap
// length's.
func short(onWire bool) Skip {
	if onWire {
		return BadLength
	}
	return CutHeader
}

// optioned reports whether the options o of an IPv4 header say anything.
func optioned(o []byte) bool {
	return slices.ContainsFunc(o, func(b byte) bool { return b > 1 }) // 0 ends the list, 1 pads it (RFC 791 section 3.1)
}

// summed reports whether the checksum of an IPv4 header is right.
func summed(h []byte) bool {
	var x uint64
	for i := 0; i+4 <= len(h); i += 4 {
		x += uint64(binary.BigEndian.Uint32(h[i:]))
	}
	return capture.Fold(x) == 0xffff
}

// ipv6 decodes b, of which wire bytes were on the wire.
func (d *Decoder) ipv6(b []byte, wire int, at capture.Time, s *capture.Segment) Skip {
	if len(b) < 40 {
		return short(wire < 40)
	}
	total := int(binary.BigEndian.Uint16(b[4:])) + 40
	if total == 40 {
		total = wire // a jumbogram (RFC 2675; Linux BIG TCP) or TSO
	}
	if total > min(wire, maxPacket) {
		return BadLength
	}
	e := ends{strange: total == wire && wire <= maxUnsplit && b[4]|b[5] == 0}
	e.src.Set6((*[16]byte)(b[8:]), 0)
	e.dst.Set6((*[16]byte)(b[24:]), 0)
	for i := 8; i < 40; i += 4 {
		e.sum += uint64(binary.BigEndian.Uint32(b[i:]))
	}
	body := b[40:min(total, len(b))]
	if b[6] == protoTCP {
		return tcp(body, total-40, &e, s)
	}
	return d.extensions(b[6], body, total-40, e, at, s)
}

// extensions walks the headers between IPv6 and TCP; wire is the length that
// body had on the wire.
func (d *Decoder) extensions(next byte, body []byte, wire int, e ends, at capture.Time, s *capture.Segment) Skip {
	for range maxExtensions {
		var n int
		switch next {
		case protoTCP:
			return tcp(body, wire, &e, s)
		case protoHopByHop, protoRouting, protoDestOpts, protoFragment, protoAH:
		default:
			return other(next, body)
		}
		if len(body) < 8 {
			return short(wire < 8)
		}
		switch next {
		case protoFragment:
			p := fragment6(body, wire, &e)
			if p.from > 0 || p.more {
				return d.fragment(p, e, at, s)
			}
			n = 8 // an atomic fragment is no fragment (RFC 6946)
		case protoAH:
			n = (int(body[1]) + 2) * 4 // RFC 4302 section 2.2
		default:
			n = (int(body[1]) + 1) * 8
		}
		e.strange = e.strange || next != protoFragment
		if n > len(body) {
			return short(n > wire)
		}
		next, body, wire = body[0], body[n:], wire-n
	}
	if next == protoTCP {
		return tcp(body, wire, &e, s)
	}
	return ExtensionsTooMany
}

// fragment6 reads a fragment header (RFC 8200 section 4.5). Linux drops a first
// fragment without a whole TCP header since 5.11 (ipv6frag_thdr_truncated);
// behind further headers it is not looked for here.
func fragment6(b []byte, wire int, e *ends) piece {
	off := binary.BigEndian.Uint16(b[2:])
	p := piece{
		key:  fragKey{e.src, e.dst, binary.BigEndian.Uint32(b[4:]), 6},
		from: int(off &^ 7), more: off&1 != 0, next: b[0],
		data: b[8:], wire: wire - 8,
	}
	p.odd = e.strange || p.from == 0 && p.more && (p.next != protoTCP || p.wire < 20)
	return p
}
