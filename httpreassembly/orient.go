package httpreassembly

import (
	"bytes"

	"stallwatch/capture"
)

// ports is the set of watched ports; empty means all.
type ports struct {
	any  bool
	bits [1 << 10]uint64
}

func (p *ports) init(list []uint16) {
	p.any = len(list) == 0
	for _, n := range list {
		p.bits[n>>6] |= 1 << (n & 63)
	}
}

func (p *ports) has(n uint16) bool { return p.bits[n>>6]&(1<<(n&63)) != 0 }

// watched reports whether s belongs to a watched port.
func (p *ports) watched(s *capture.Segment) bool {
	return p.any || p.has(s.Dst.Port()) || p.has(s.Src.Port())
}

// orient says which way s, the first segment seen of a connection, goes. A
// watched port is the server's. Where that does not decide (every port is
// watched, or both ends are), the handshake does, then what the payload looks
// like, and last, as a guess, the lower port.
func (p *ports) orient(s *capture.Segment) capture.Dir {
	if toServer, toClient := p.has(s.Dst.Port()), p.has(s.Src.Port()); toServer != toClient {
		return dirIf(toServer)
	}
	switch {
	case s.Flags.Has(capture.SYN | capture.ACK):
		return capture.ToClient
	case s.Flags.Has(capture.SYN), looksLikeRequest(s.Payload):
		return capture.ToServer
	case looksLikeResponse(s.Payload):
		return capture.ToClient
	}
	return dirIf(s.Dst.Port() <= s.Src.Port())
}

func dirIf(toServer bool) capture.Dir {
	if toServer {
		return capture.ToServer
	}
	return capture.ToClient
}

// flowOf returns the flow of s if it goes in dir.
func flowOf(s *capture.Segment, dir capture.Dir) capture.Flow {
	if dir == capture.ToServer {
		return capture.Flow{Client: s.Src, Server: s.Dst}
	}
	return capture.Flow{Client: s.Dst, Server: s.Src}
}

// looksLikeResponse reports whether a payload begins an HTTP/1 answer.
func looksLikeResponse(b []byte) bool { return bytes.HasPrefix(b, []byte("HTTP/1.")) }

// looksLikeRequest reports whether a payload begins an HTTP/1 request: a
// method of the IANA registry that servers meet, and a space.
func looksLikeRequest(b []byte) bool {
	i := bytes.IndexByte(b[:min(len(b), 9)], ' ')
	if i < 3 {
		return false
	}
	switch string(b[:i]) {
	case "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT":
		return true
	}
	return false
}
