package capture

// Flags are the TCP flags of a segment, as they stand in the header's 14th
// byte (RFC 9293 section 3.1).
type Flags uint8

// The flags the tracker looks at.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// Has reports whether every flag of f is set.
func (s Flags) Has(f Flags) bool { return s&f == f }

// Checksum is the verdict on a segment's TCP checksum.
type Checksum uint8

// Offloaded is a sum over the pseudo header alone: the sending host left the
// rest to its network card, so captures on lo, on veth and of a machine's own
// outgoing packets are full of it. The kernel accepts such a segment, and so
// must we. So it is with a segment whose IP header has no sum.
// Unverified means that the packet was cut and nothing can be said.
const (
	Unverified Checksum = iota
	Good
	Offloaded
	Bad
)

// Segment is one TCP segment. Which end is the server is not known here: the
// tracker decides, by the watched ports or by what it sees.
type Segment struct {
	At        Time
	Src, Dst  Endpoint // IPv4-mapped addresses are unmapped
	Seq, Ack  uint32
	Window    uint16
	Urgent    uint16 // valid iff Flags has URG
	Flags     Flags
	WScale    uint8 // shift count, valid iff Flags has SYN and HasWScale
	HasWScale bool
	HasSACK   bool // selective acknowledgement is offered (RFC 2018); only with SYN
	Signed    bool // an MD5 or AO option (RFC 2385, RFC 5925): who does not expect one drops the segment
	Strange   bool // its IP header is one that a host may drop: options or extension headers, of which some are malformed or route by the source, or a length of zero
	Unsummed  bool // the IP header has no checksum: its host left it to the network card
	HasTS     bool // TSVal and TSEcr are valid (RFC 7323)
	TSVal     uint32
	TSEcr     uint32
	Payload   []byte // what was captured of the payload; holds as long as the packet
	Missing   int    // payload bytes on the wire that the snap length cut off

	// TCP is the segment from the first byte of its TCP header, as captured,
	// and Pseudo the folded-in sum of the pseudo header. Both exist so that
	// Sum can judge the checksum when a caller needs it, which is seldom.
	TCP    []byte
	Pseudo uint32
}

// Len returns the payload's length on the wire in bytes.
func (s *Segment) Len() int { return len(s.Payload) + s.Missing }

// Sum verifies the TCP checksum. It reads the whole segment: about 60 ns for
// 1 KiB, so callers ask only where a lie would matter.
func (s *Segment) Sum() Checksum {
	if s.Missing > 0 || len(s.TCP) < 20 || len(s.TCP) < int(s.TCP[12]>>4)*4 {
		return Unverified // the snap length cut the payload, or the options
	}
	field := uint32(s.TCP[16])<<8 | uint32(s.TCP[17])
	if field == uint32(Fold(uint64(s.Pseudo))) {
		return Offloaded
	}
	switch {
	case Fold(Sum(uint64(s.Pseudo), s.TCP)) != 0xffff:
		return Bad
	case s.Unsummed:
		return Offloaded
	}
	return Good
}
