package capture

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Endpoint is an IP address and a TCP port: what a netip.AddrPort says, in 20
// bytes without a pointer instead of 32 with one. A connection names two in
// every Event and in three tables, and there may be a million. It has no
// zone: a packet carries none. The zero Endpoint is no address; Endpoints can
// be compared and are keys of maps.
type Endpoint struct {
	ip     [16]byte // of IPv4 in the mapped form
	port   uint16
	family uint16 // 0: invalid, 4 or 6
}

// EndpointOf converts a, less its zone.
func EndpointOf(a netip.AddrPort) Endpoint {
	e := Endpoint{ip: a.Addr().As16(), port: a.Port()}
	switch {
	case a.Addr().Is4():
		e.family = 4
	case a.Addr().Is6():
		e.family = 6
	default: // invalid
		return Endpoint{}
	}
	return e
}

// Endpoint4 is an IPv4 address and a port.
func Endpoint4(ip [4]byte, port uint16) (e Endpoint) {
	e.Set4(&ip, port)
	return e
}

// Endpoint6 is an IPv6 address and a port. An IPv4-mapped address becomes the
// IPv4 address.
func Endpoint6(ip [16]byte, port uint16) (e Endpoint) {
	e.Set6(&ip, port)
	return e
}

// Set4 makes e an IPv4 address and a port. Like the Sets below it writes
// whole words, which a processor can read back at once: in the bytes of a
// packet's path a narrow write before a wide read costs more than the rest.
func (e *Endpoint) Set4(ip *[4]byte, port uint16) {
	e.set(0, 0xffff0000|uint64(binary.LittleEndian.Uint32(ip[:]))<<32)
	e.port, e.family = port, 4
}

// Set6 makes e an IPv6 address, or the IPv4 address that is mapped into it,
// and a port.
func (e *Endpoint) Set6(ip *[16]byte, port uint16) {
	hi, lo := binary.LittleEndian.Uint64(ip[:8]), binary.LittleEndian.Uint64(ip[8:])
	e.set(hi, lo)
	e.port, e.family = port, 6
	if hi == 0 && uint32(lo) == 0xffff0000 {
		e.family = 4
	}
}

// Set makes e the address of a and a port.
func (e *Endpoint) Set(a *Endpoint, port uint16) {
	e.set(a.words())
	e.port, e.family = port, a.family
}

func (e *Endpoint) set(hi, lo uint64) {
	binary.LittleEndian.PutUint64(e.ip[:8], hi)
	binary.LittleEndian.PutUint64(e.ip[8:], lo)
}

// AddrPort returns e as the standard library has it.
func (e Endpoint) AddrPort() netip.AddrPort { return netip.AddrPortFrom(e.Addr(), e.port) }

// Addr returns the address of e; of the zero Endpoint the zero Addr.
func (e Endpoint) Addr() netip.Addr {
	switch e.family {
	case 4:
		return netip.AddrFrom4([4]byte(e.ip[12:]))
	case 6:
		return netip.AddrFrom16(e.ip)
	}
	return netip.Addr{}
}

// WithPort returns e with another port.
func (e Endpoint) WithPort(port uint16) Endpoint {
	e.port = port
	return e
}

// Port returns the port of e.
func (e Endpoint) Port() uint16 { return e.port }

// As16 returns the address of e, an IPv4 one in its mapped form.
func (e Endpoint) As16() [16]byte { return e.ip }

// IsValid reports whether e is an address at all.
func (e Endpoint) IsValid() bool { return e.family != 0 }

// String returns e as netip.AddrPort's String does.
func (e Endpoint) String() string { return e.AddrPort().String() }

// Is reports whether e and f are the same; it is == without a call.
func (e *Endpoint) Is(f *Endpoint) bool {
	ehi, elo := e.words()
	fhi, flo := f.words()
	return (ehi^fhi)|(elo^flo)|uint64(e.port^f.port)|uint64(e.family^f.family) == 0
}

// words are the bytes of the address, little end first: for hashing and
// comparing alone.
func (e *Endpoint) words() (hi, lo uint64) {
	return binary.LittleEndian.Uint64(e.ip[:8]), binary.LittleEndian.Uint64(e.ip[8:])
}

// Hash hashes the two ends of s, to the same value in both directions. Who
// does not know seed cannot find segments of one hash: every factor of a
// product has a part of it that he would have to meet.
func (s *Segment) Hash(seed uint64) uint64 {
	other := bits.RotateLeft64(seed, 32) ^ 0xa0761d6478bd642f
	a, b := s.Src.mix(seed, other), s.Dst.mix(seed, other)
	p, q := uint64(s.Src.port), uint64(s.Dst.port)
	return mix(a+b^(p+q)*0x9e3779b97f4a7c15^p^q, seed^0xe7037ed1a0b428db)
}

func (e *Endpoint) mix(seed, other uint64) uint64 {
	hi, lo := e.words()
	return mix(hi^seed, lo^other)
}

// mix is the multiply-and-fold step of wyhash.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
