package httpreassembly

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"stallwatch/capture"
)

// What a client's first bytes can be.
type verdict uint8

const (
	undecided verdict = iota
	blank             // empty lines
	plainHTTP
	tlsHello
	http2Preface
	proxyText   // PROXY protocol version 1
	proxyBinary // version 2
	foreign
)

const (
	preface   = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" // RFC 9113 3.4
	proxySig  = "\r\n\r\n\x00\r\nQUIT\n"           // proxy-protocol.txt 2.2
	proxyLine = 107                                // bytes of version 1 at most (2.1)
	proxyHead = 16                                 // bytes of version 2 before the addresses
	proxyAddr = 36                                 // bytes of two IPv6 addresses and ports
	maxLine   = 1024                               // bytes of a first line that starts with no known method
)

// open decides what the client's first bytes are. It waits until they can be
// told, whatever they are cut into; nothing is reported before.
func (m *messages) open(f *feed, s *stream, b []byte) int {
	if s.left > 0 { // of a PROXY header
		n := int(min(int64(len(b)), s.left))
		s.left -= int64(n)
		return n
	}
	if len(s.head) == 0 {
		v, n := m.look(b)
		if v == undecided {
			s.began = f.at
			m.keep(f, s, b)
			return len(b)
		}
		m.opened(f, s, v, b[:n])
		return n
	}
	k := min(len(b), maxLine)
	if !m.keep(f, s, b[:k]) {
		return k
	}
	v, n := m.look(s.head)
	if v == undecided {
		return k
	}
	h := s.head
	s.head = nil
	m.opened(f, s, v, h[:n])
	m.run(f, h[n:])
	f.sh.pool.give(h)
	return k
}

// look judges the bytes b, the first of the connection or behind a PROXY
// header; n of them are used up by the verdict. Once decided, more bytes do
// not change it.
func (m *messages) look(b []byte) (v verdict, n int) {
	if !m.has(proxyOver) {
		if v, n = proxy(b); v != foreign {
			return v, n
		}
	}
	if n = blanks(b); n > 0 {
		return blank, n
	}
	switch {
	case b[0] == 0x16 && len(b) < 2:
		return undecided, 0
	case b[0] == 0x16 && b[1] == 3: // RFC 8446 5.1: handshake, legacy version 3.x
		return tlsHello, 0
	case matches(b, preface[:16]):
		if len(b) >= 16 {
			return http2Preface, 0
		}
		return undecided, 0
	}
	return firstLine(b), 0
}

// proxy judges whether b is a PROXY header; foreign means that it is none.
func proxy(b []byte) (verdict, int) {
	switch {
	case matches(b, "PROXY "):
		i := bytes.IndexByte(b[:min(len(b), proxyLine)], '\n')
		if i >= 0 && begins(capture.ToServer, b[:i+1]) {
			return foreign, 0 // a method like any other
		}
		if i >= 0 {
			return proxyText, i + 1
		}
		if len(b) >= proxyLine {
			return foreign, 0
		}
		return undecided, 0
	case matches(b, proxySig):
		if len(b) < proxyHead {
			return undecided, 0
		}
		n := proxyHead + min(int(binary.BigEndian.Uint16(b[14:])), proxyAddr)
		if len(b) < n {
			return undecided, 0
		}
		return proxyBinary, n
	}
	return foreign, 0
}

// firstLine judges whether b begins an HTTP/1 request. A known method is
// enough; any other needs the whole line, or its beginning with a path behind
// it. That may be malformed: there are servers that take any word for a method,
// and what is foreign here is not timed.
func firstLine(b []byte) verdict {
	b = b[:min(len(b), maxLine)]
	i := 0
	for i < len(b) && isToken[b[i]] {
		i++
	}
	switch {
	case i == len(b) && i < maxLine:
		return undecided
	case i == 0 || i == len(b) || b[i] != ' ':
		return foreign
	case knownMethod(b[:i]) != nil:
		return plainHTTP
	}
	n := bytes.IndexByte(b, '\n')
	switch {
	case n >= 0 && hasVersion(b[:n]), n < 0 && len(b) == maxLine && b[min(i+1, maxLine-1)] == '/':
		return plainHTTP
	case n >= 0 || len(b) == maxLine:
		return foreign
	}
	return undecided
}

// opened acts on a verdict; b is what it used up.
func (m *messages) opened(f *feed, s *stream, v verdict, b []byte) {
	switch v {
	case blank:
		m.flags |= proxyOver
		s.began = 0
	case plainHTTP:
		m.flags |= proxyOver | begun
		m.proto = ProtoHTTP1
	case tlsHello:
		m.notHTTP(f, ProtoTLS, TLSInstead, "")
	case http2Preface:
		m.startH2(f)
		if len(f.sh.opts.Ports) > 0 {
			m.oddity(f, HTTP2Instead, "prior knowledge")
		}
	case foreign:
		m.notHTTP(f, ProtoOther, NotHTTP, "")
	default:
		m.proxied(f, s, v, b)
	}
}

// proxied consumes a PROXY header: HTTP follows behind it.
func (m *messages) proxied(f *feed, s *stream, v verdict, b []byte) {
	m.flags |= proxyOver
	s.began = 0
	var peer capture.Flow
	detail, ok := "version 1", true
	if v == proxyText {
		peer, ok = proxyTextPeer(string(b))
	} else {
		detail = "version 2"
		peer, ok = proxyBinaryPeer(b)
		s.left = max(0, int64(binary.BigEndian.Uint16(b[14:]))-proxyAddr)
	}
	if !ok {
		m.notHTTP(f, ProtoOther, NotHTTP, "malformed PROXY header")
		return
	}
	if len(f.sh.opts.Ports) > 0 {
		m.oddity(f, ProxyHeader, detail)
	}
	if peer.Client.IsValid() {
		if m.rare == nil {
			m.rare = new(rare)
		}
		m.rare.peer = &peer
	}
}

// proxyTextPeer reads "PROXY TCP4 src dst sport dport\r\n", or UNKNOWN.
func proxyTextPeer(l string) (p capture.Flow, ok bool) {
	l, ok = strings.CutSuffix(l, "\r\n")
	w := strings.Split(l, " ")
	if !ok || len(w) >= 2 && w[1] == "UNKNOWN" {
		return p, ok
	}
	if len(w) != 6 || w[1] != "TCP4" && w[1] != "TCP6" {
		return p, false
	}
	p.Client, ok = ends(w[2], w[4])
	if ok {
		p.Server, ok = ends(w[3], w[5])
	}
	return p, ok && p.Client.Addr().Is4() == (w[1] == "TCP4") && p.Server.Addr().Is4() == (w[1] == "TCP4")
}

func ends(addr, port string) (capture.Endpoint, bool) {
	a, err := netip.ParseAddr(addr)
	n, err2 := strconv.ParseUint(port, 10, 16)
	return capture.EndpointOf(netip.AddrPortFrom(a, uint16(n))), err == nil && err2 == nil && a.Zone() == ""
}

// proxyBinaryPeer reads a version 2 header, cut behind its addresses. LOCAL
// and what is not TCP name nobody.
func proxyBinaryPeer(b []byte) (p capture.Flow, ok bool) {
	addr := b[proxyHead:]
	switch {
	case b[12]>>4 != 2 || b[12]&15 > 1:
		return p, false
	case b[12]&15 == 0: // LOCAL: the proxy itself, for a health check
		return p, true
	case b[13] == 0x11 && len(addr) >= 12:
		p.Client = capture.Endpoint4([4]byte(addr), binary.BigEndian.Uint16(addr[8:]))
		p.Server = capture.Endpoint4([4]byte(addr[4:]), binary.BigEndian.Uint16(addr[10:]))
	case b[13] == 0x21 && len(addr) >= 36:
		p.Client = capture.EndpointOf(netip.AddrPortFrom(netip.AddrFrom16([16]byte(addr)), binary.BigEndian.Uint16(addr[32:])))
		p.Server = capture.EndpointOf(netip.AddrPortFrom(netip.AddrFrom16([16]byte(addr[16:])), binary.BigEndian.Uint16(addr[34:])))
	case b[13] == 0x11 || b[13] == 0x21:
		return p, false
	}
	return p, true
}
