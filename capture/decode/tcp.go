package decode

import (
	"encoding/binary"

	"stallwatch/capture"
)

// TCP option kinds (IANA TCP parameters).
const (
	optEnd        = 0
	optNop        = 1
	optWScale     = 3
	optSACK       = 4
	optTimestamps = 8
	optMD5        = 19
	optAO         = 29
)

// maxShift bounds the window scale (RFC 7323 section 2.3): a larger one
// counts as this.
const maxShift = 14

// noopsAndTimestamps is how Linux, Windows and the BSDs begin the options of
// every segment after the handshake (RFC 7323 appendix A).
const noopsAndTimestamps = 0x0101080a

// tcp fills *s from b, a TCP segment of wire bytes of which len(b) were
// captured.
func tcp(b []byte, wire int, e *ends, s *capture.Segment) Skip {
	if len(b) < 20 {
		return short(wire < 20)
	}
	head := int(b[12]>>4) * 4
	if head < 20 || head > wire {
		return BadLength
	}
	*s = capture.Segment{}
	s.Src.Set(&e.src, binary.BigEndian.Uint16(b))
	s.Dst.Set(&e.dst, binary.BigEndian.Uint16(b[2:]))
	s.Seq, s.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	s.Flags = capture.Flags(b[13])
	s.Window, s.Urgent = binary.BigEndian.Uint16(b[14:]), binary.BigEndian.Uint16(b[18:])
	s.Strange, s.Unsummed = e.strange, e.unsummed
	s.TCP = b
	s.Pseudo = uint32(capture.Fold(e.sum + protoTCP + uint64(wire)>>16 + uint64(wire)&0xffff))
	// The snap length may cut within the options: what they say is lost, but
	// the segment is not.
	end := min(head, len(b))
	s.Payload = b[end:]
	s.Missing = wire - head - len(s.Payload)
	if end == 32 && binary.BigEndian.Uint32(b[20:]) == noopsAndTimestamps && s.Flags&capture.SYN == 0 {
		s.HasTS, s.TSVal, s.TSEcr = true, binary.BigEndian.Uint32(b[24:]), binary.BigEndian.Uint32(b[28:])
		return none
	}
	if end > 20 {
		options(b[20:end], s)
	}
	return none
}

// options walks the list; at the first impossible length it stops, as
// tcp_parse_options of Linux does.
func options(o []byte, s *capture.Segment) {
	for len(o) > 0 && o[0] != optEnd {
		if o[0] == optNop {
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return
		}
		option(o[0], o[2:o[1]], s)
		o = o[o[1]:]
	}
}

func option(kind byte, v []byte, s *capture.Segment) {
	switch {
	case kind == optTimestamps && len(v) == 8:
		s.HasTS, s.TSVal, s.TSEcr = true, binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
	case kind == optWScale && len(v) == 1 && s.Flags.Has(capture.SYN):
		s.HasWScale, s.WScale = true, min(v[0], maxShift)
	case kind == optSACK && len(v) == 0 && s.Flags.Has(capture.SYN):
		s.HasSACK = true
	case kind == optMD5 || kind == optAO:
		s.Signed = true
	}
}
