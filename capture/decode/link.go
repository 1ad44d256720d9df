package decode

import (
	"encoding/binary"

	"stallwatch/capture"
)

// anyVersion means that the link does not say which IP follows.
const anyVersion = 0

// maxTags bounds the VLAN tags of a frame: QinQ has two, and nobody who has
// four is a client.
const maxTags = 4

// EtherTypes (IEEE 802 Numbers, IANA).
const (
	etherIPv4   = 0x0800
	etherIPv6   = 0x86dd
	etherVLAN   = 0x8100
	etherQinQ   = 0x88a8
	etherOldQnQ = 0x9100 // QinQ before IEEE 802.1ad named 0x88a8
	etherMPLS   = 0x8847
	etherPPPoE  = 0x8864 // of a session
)

// network returns where the IP header begins in a frame and which version the
// link announces.
func network(link capture.LinkType, b []byte) (off int, version byte, why Skip) {
	switch link {
	case capture.LinkEthernet:
		return ether(b, 12)
	case capture.LinkSLL:
		return cooked1(b)
	case capture.LinkSLL2:
		return cooked2(b)
	case capture.LinkRaw, capture.LinkRaw12, capture.LinkRaw14:
		return 0, anyVersion, none
	case capture.LinkIPv4:
		return 0, 4, none
	case capture.LinkIPv6:
		return 0, 6, none
	case capture.LinkNull, capture.LinkLoop:
		return loopback(b)
	}
	return 0, 0, UnknownLink
}

// ether reads the EtherType at off, and the VLAN tags that may stand there.
func ether(b []byte, off int) (int, byte, Skip) {
	for tags := 0; ; tags++ {
		if len(b) < off+2 {
			return 0, 0, CutHeader
		}
		switch binary.BigEndian.Uint16(b[off:]) {
		case etherIPv4:
			return off + 2, 4, none
		case etherIPv6:
			return off + 2, 6, none
		case etherVLAN, etherQinQ, etherOldQnQ:
			off += 4
		case etherMPLS, etherPPPoE:
			return 0, 0, Tunnelled
		default:
			return 0, 0, NotIP
		}
		if tags == maxTags {
			return 0, 0, VLANTooDeep
		}
	}
}

// Lengths of the cooked headers
// (https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html).
const (
	cooked1Len = 16
	cooked2Len = 20
)

// cooked1 has the ARPHRD_ type at 2 and the EtherType last.
func cooked1(b []byte) (int, byte, Skip) {
	if len(b) < cooked1Len {
		return 0, 0, CutHeader
	}
	if !speaksEther(binary.BigEndian.Uint16(b[2:])) {
		return 0, 0, NotIP
	}
	return ether(b, cooked1Len-2)
}

// cooked2 has the EtherType first and the ARPHRD_ type at 8. VLAN tags follow
// the header, and the EtherType in them decides.
func cooked2(b []byte) (int, byte, Skip) {
	if len(b) < cooked2Len {
		return 0, 0, CutHeader
	}
	if !speaksEther(binary.BigEndian.Uint16(b[8:])) {
		return 0, 0, NotIP
	}
	switch binary.BigEndian.Uint16(b) {
	case etherIPv4:
		return cooked2Len, 4, none
	case etherIPv6:
		return cooked2Len, 6, none
	case etherVLAN, etherQinQ, etherOldQnQ:
		return ether(b, cooked2Len+2)
	}
	return 0, 0, NotIP
}

// speaksEther reports whether a cooked header's protocol is an EtherType for
// this ARPHRD_ type (include/uapi/linux/if_arp.h): it is for all but Frame
// Relay (770), 802.11 (801 to 803) and netlink (824).
func speaksEther(arphrd uint16) bool {
	return arphrd != 770 && (arphrd < 801 || arphrd > 803) && arphrd != 824
}

// loopback reads the address family of BSD loopback, in either byte order:
// LINKTYPE_NULL has the order of the machine that wrote the file, and a
// family is below 65536, so the order shows.
func loopback(b []byte) (int, byte, Skip) {
	if len(b) < 4 {
		return 0, 0, CutHeader
	}
	family := binary.BigEndian.Uint32(b)
	if family > 0xffff {
		family = binary.LittleEndian.Uint32(b)
	}
	switch family {
	case 2:
		return 4, 4, none
	case 10, 24, 28, 30: // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin
		return 4, 6, none
	}
	return 0, 0, NotIP
}
