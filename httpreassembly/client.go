package httpreassembly

import (
	"bytes"
	"net/netip"
)

// RealClient returns who stands behind the peer of x, if that peer is in a
// trusted network and says so; the zero AddrPort means that nothing can be
// said, and the port is 0 if only an address was named.
//
// The PROXY protocol comes from the hop itself and goes first. Of
// X-Forwarded-For, or without it of Forwarded (RFC 7239), the rightmost
// address that is not trusted counts, since everything left of it is the
// client's own claim.
func RealClient(x *Exchange, trusted []netip.Prefix) netip.AddrPort {
	if !within(trusted, x.Flow.Client.Addr()) {
		return netip.AddrPort{}
	}
	if x.Peer != nil && x.Peer.Client.IsValid() {
		if x.Peer.Client == x.Flow.Client {
			return netip.AddrPort{}
		}
		return x.Peer.Client.AddrPort()
	}
	if len(x.ForwardedFor) > 0 {
		return rightmost(x.ForwardedFor, trusted, func(b []byte) []byte { return b })
	}
	return rightmost(x.Forwarded, trusted, forParameter)
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	for _, p := range networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// rightmost walks a list of addresses from its end. A list that was cut has
// lost its end, the only part that can be believed.
func rightmost(list []byte, trusted []netip.Prefix, node func([]byte) []byte) netip.AddrPort {
	if len(list) >= MaxField {
		return netip.AddrPort{}
	}
	for len(list) > 0 {
		i := bytes.LastIndexByte(list, ',')
		a, ok := parseEnd(node(bytes.TrimSpace(list[i+1:])))
		if !ok {
			return netip.AddrPort{}
		}
		if !within(trusted, a.Addr()) {
			return a
		}
		list = list[:max(i, 0)]
	}
	return netip.AddrPort{}
}

// forParameter returns the value of "for" of one element of Forwarded,
// unquoted.
func forParameter(element []byte) []byte {
	for len(element) > 0 {
		var pair []byte
		pair, element, _ = bytes.Cut(element, []byte(";"))
		name, value, ok := bytes.Cut(bytes.TrimSpace(pair), []byte("="))
		if !ok || !is(name, "for") {
			continue
		}
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
		return value
	}
	return nil
}

// parseEnd reads "192.0.2.1", "192.0.2.1:443", "2001:db8::1",
// "[2001:db8::1]" and "[2001:db8::1]:443": all are in use.
func parseEnd(b []byte) (netip.AddrPort, bool) {
	const longest = len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535")
	if len(b) > longest {
		return netip.AddrPort{}, false
	}
	if a, ok := parseIPv4(b); ok { // nearly always, and without an allocation
		return netip.AddrPortFrom(a, 0), true
	}
	s := string(b)
	if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		s = s[1 : n-1]
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.AddrPortFrom(a.Unmap(), 0), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Addr().Zone() == "" {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), true
	}
	return netip.AddrPort{}, false
}

// parseIPv4 reads four decimal numbers without leading zeros.
func parseIPv4(b []byte) (netip.Addr, bool) {
	var a [4]byte
	for i := range a {
		n, digits := 0, 0
		for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' && digits < 3 {
			n = 10*n + int(b[digits]-'0')
			digits++
		}
		if digits == 0 || n > 255 || digits > 1 && b[0] == '0' {
			return netip.Addr{}, false
		}
		a[i], b = byte(n), b[digits:]
		if i < 3 {
			if len(b) == 0 || b[0] != '.' {
				return netip.Addr{}, false
			}
			b = b[1:]
		}
	}
	return netip.AddrFrom4(a), len(b) == 0
}
