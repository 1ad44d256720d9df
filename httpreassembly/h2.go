package httpreassembly

import (
	"encoding/binary"

	"stallwatch/capture"
)

// h2 is the HTTP half of a connection that speaks HTTP/2 in clear (RFC 9113),
// by prior knowledge or after an Upgrade. Streams are exchanges:
//
//	client: HEADERS … CONTINUATION  DATA …  END_STREAM ──> RequestSeen
//	server: (1xx)  HEADERS ──> ResponseSeen   DATA …  END_STREAM ──> ExchangeDone
//	either: RST_STREAM, GOAWAY ──> ExchangeDone
//
// Frames are read here, nine bytes and a payload that is used as it comes; a
// library that reads whole frames from a blocking Reader would have to hold
// them, and drag an HTTP server into the core. Header blocks are for package
// hpack.
//
// Frames that break the rules end the reading: so does the peer (RFC 9113
// section 5.4.1). A header block that cannot be decoded ends the decoding of
// its direction only: frames still say which stream began, was answered and
// ended, so that its calls are timed without a name.
type h2 struct {
	side    [2]h2side
	streams map[uint32]*call // open, by number: at most Options.MaxPipeline
	last    uint32           // the highest number the client has used
	resets  int              // streams that the client reset before their answer
	charged int              // bytes reserved for the header tables
}

// h2side is one direction.
type h2side struct {
	place  h2place
	n      int // bytes of the preface or the frame's header so far
	header [9]byte
	began  capture.Time // first byte of the frame

	kind, flags uint8
	stream      uint32
	left        int // payload that follows, without padding
	pad         int
	lead        int // bytes to collect before the rest
	nlead       int
	fixed       [8]byte

	block h2block
}

type h2place uint8

const (
	h2Preface h2place = iota
	h2Header
	h2Lead
	h2Payload
	h2Padding
)

// Frames and flags (RFC 9113 section 6).
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePush         = 5
	frameGoAway       = 7
	frameContinuation = 9

	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// startH2 switches the connection to HTTP/2. The client sends its preface
// next in any case.
func (m *messages) startH2(f *feed) {
	m.proto = ProtoHTTP2
	m.h2 = &h2{streams: map[uint32]*call{}}
	m.h2.side[capture.ToClient].place = h2Header
	m.side[0].discard(f.sh, framed)
	m.side[1].discard(f.sh, framed)
}

// frames reads b, the next bytes of f.dir.
func (m *messages) frames(f *feed, b []byte) int {
	h := m.h2
	s := &h.side[f.dir]
	all := len(b)
	for len(b) > 0 && m.h2 != nil {
		n, ok := m.frameStep(f, s, b)
		if !ok {
			m.oddity(f, BadFrame, "")
			m.stop(f, m.outcome(Lost))
			return all
		}
		b = b[n:]
	}
	return all
}

// frameStep reads some of b.
func (m *messages) frameStep(f *feed, s *h2side, b []byte) (n int, ok bool) {
	switch s.place {
	case h2Preface:
		for n = 0; n < len(b) && s.n < len(preface); n++ {
			if b[n] != preface[s.n] {
				return 0, false
			}
			s.n++
		}
		if s.n == len(preface) {
			s.place, s.n = h2Header, 0
		}
		return n, true
	case h2Header:
		if s.n == 0 {
			s.began = f.at
		}
		n = copy(s.header[s.n:], b)
		if s.n += n; s.n == len(s.header) {
			s.n = 0
			return n, m.frameHeader(f, s)
		}
		return n, true
	case h2Lead:
		n = copy(s.fixed[s.nlead:s.lead], b)
		if s.nlead += n; s.nlead == s.lead {
			return n, m.frameLead(f, s)
		}
		return n, true
	case h2Padding:
		n = min(len(b), s.pad)
		if s.pad -= n; s.pad == 0 {
			return n, m.frameEnd(f, s)
		}
		return n, true
	}
	n = min(len(b), s.left)
	s.left -= n
	m.framePayload(f, s, b[:n])
	if s.left == 0 && m.h2 != nil {
		return n, m.framePad(f, s)
	}
	return n, true
}

// frameHeader judges a frame by its header. RFC 9113 section 4.3: nothing
// comes between the parts of a header block.
func (m *messages) frameHeader(f *feed, s *h2side) bool {
	s.left = int(s.header[0])<<16 | int(s.header[1])<<8 | int(s.header[2])
	s.kind, s.flags = s.header[3], s.header[4]
	s.stream = binary.BigEndian.Uint32(s.header[5:]) & (1<<31 - 1)
	s.lead, s.nlead, s.pad = 0, 0, 0
	if (s.block.stream != 0) != (s.kind == frameContinuation) || s.kind == frameContinuation && s.stream != s.block.stream {
		return false
	}
	padded := 0
	if s.flags&flagPadded != 0 {
		padded = 1
	}
	switch s.kind {
	case frameData:
		s.lead = padded
	case frameHeaders:
		s.lead = padded
		if s.flags&flagPriority != 0 {
			s.lead += 5
		}
	case framePush:
		s.lead = padded + 4
	case frameReset:
		if s.lead = 4; s.left != 4 {
			return false
		}
	case frameGoAway:
		s.lead = 8
	case frameSettings:
		if s.left%6 != 0 {
			return false
		}
		s.lead = min(s.left, 6)
	}
	if s.lead > s.left || s.stream == 0 && (s.kind == frameData || s.kind == frameHeaders || s.kind == frameReset) {
		return false
	}
	s.left -= s.lead
	if s.kind == frameHeaders {
		m.beginBlock(f, s, s.stream)
	}
	if s.lead > 0 {
		s.place = h2Lead
		return true
	}
	return m.frameBody(f, s)
}

// frameLead handles the fixed fields that a payload begins with.
func (m *messages) frameLead(f *feed, s *h2side) bool {
	switch s.kind {
	case frameData, frameHeaders, framePush:
		if s.flags&flagPadded != 0 {
			s.pad = int(s.fixed[0])
			if s.pad > s.left {
				return false
			}
			s.left -= s.pad
		}
		if s.kind == framePush {
			m.beginBlock(f, s, s.stream) // of the server's own stream: decoded for the table alone
			s.block.push = true
		}
	case frameReset:
		m.resetStream(f, s.stream, binary.BigEndian.Uint32(s.fixed[:]))
	case frameGoAway:
		m.goAway(f, binary.BigEndian.Uint32(s.fixed[:])&(1<<31-1))
	case frameSettings:
		if s.flags&flagAck == 0 {
			m.h2.setting(f.dir, binary.BigEndian.Uint16(s.fixed[:]), binary.BigEndian.Uint32(s.fixed[2:]))
		}
		if s.left > 0 {
			s.left -= 6
			s.nlead = 0
			return true
		}
	}
	return m.h2 == nil || m.frameBody(f, s)
}

// frameBody goes on behind the fixed fields.
func (m *messages) frameBody(f *feed, s *h2side) bool {
	if s.place = h2Payload; s.left > 0 {
		return true
	}
	return m.framePad(f, s)
}

func (m *messages) framePad(f *feed, s *h2side) bool {
	if s.place = h2Padding; s.pad > 0 {
		return true
	}
	return m.frameEnd(f, s)
}

// framePayload takes p, the next bytes of a payload.
func (m *messages) framePayload(f *feed, s *h2side, p []byte) {
	switch s.kind {
	case frameData:
		if x := m.h2.streams[s.stream]; x != nil && !x.ended(f.dir) {
			m.contentOf(f, x, p, 0)
		}
	case frameHeaders, framePush, frameContinuation:
		m.decodeBlock(f, s, p)
	}
}

// frameEnd acts on a frame that is whole.
func (m *messages) frameEnd(f *feed, s *h2side) bool {
	s.place = h2Header
	switch s.kind {
	case frameData:
		if s.flags&flagEndStream != 0 {
			m.endStream(f, s.stream)
		}
	case frameHeaders, framePush, frameContinuation:
		if s.kind == frameHeaders {
			s.block.ends = s.flags&flagEndStream != 0
		}
		if s.flags&flagEndHeaders != 0 {
			m.endBlock(f, s)
		}
	}
	return true
}

// h2Hole is told that n bytes of dir are missing. Within the payload of a
// DATA frame nothing shifts; anywhere else the frames are lost.
func (m *messages) h2Hole(f *feed, n int64) {
	s := &m.h2.side[f.dir]
	if n > 0 && s.place == h2Payload && s.kind == frameData && n < int64(s.left) {
		s.left -= int(n)
		if x := m.h2.streams[s.stream]; x != nil && !x.ended(f.dir) {
			x.Lost += n
			x.flags |= bodyCut
			x.count(f.sh, f.dir, n)
			if f.dir == capture.ToClient {
				x.ResponseTail = x.ResponseTail[:0]
			}
		}
		return
	}
	m.stop(f, Lost)
}
