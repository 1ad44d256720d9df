package detect

import (
	"fmt"
	"net/netip"
)

// Client is whom calls and sockets are counted for: an IPv4 address, or an
// IPv6 /64, since whoever has one address there has them all. One that uses
// a single address is named by it, others by their network.
type Client struct {
	addr netip.Addr // the lowest that was seen
	wide bool       // others of its /64 were seen
}

// ClientOf is the client with one address, less its zone.
func ClientOf(a netip.Addr) Client { return Client{addr: a.Unmap().WithZone("")} }

// IsValid reports whether c is anybody.
func (c Client) IsValid() bool { return c.addr.IsValid() }

// Addr returns an address of c.
func (c Client) Addr() netip.Addr { return c.addr }

// Prefix returns the addresses of c that were seen: one, or its network.
func (c Client) Prefix() netip.Prefix {
	if c.wide {
		return clientsOf(c.addr)
	}
	return netip.PrefixFrom(c.addr, c.addr.BitLen())
}

// Network returns what c may use: its address, or the /64 that it is of.
func (c Client) Network() netip.Prefix { return clientsOf(c.addr) }

// Contains reports whether an address is one of c's that were seen.
func (c Client) Contains(a netip.Addr) bool {
	return c.addr == a || c.wide && c.owns(a)
}

// String is an address, or a network: "192.0.2.7", "2001:db8:0:1::/64"; "" of
// nobody.
func (c Client) String() string {
	if !c.IsValid() {
		return ""
	}
	return NetworkName(c.Prefix())
}

// MarshalText writes c as String does.
func (c Client) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Client) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*c = Client{}
		return nil
	}
	if a, err := netip.ParseAddr(string(text)); err == nil {
		*c = ClientOf(a)
		return nil
	}
	p, err := netip.ParsePrefix(string(text))
	if err != nil || p.Bits() != clientsOf(p.Addr()).Bits() || p != p.Masked() {
		return fmt.Errorf("client %q: want an address, or an IPv6 network of 64 bits", text)
	}
	*c = Client{p.Addr(), !p.IsSingleIP()}
	return nil
}

// owns reports whether an address is of the same client, seen or not.
func (c Client) owns(a netip.Addr) bool {
	return c.addr == a || c.addr.Is6() && clientsOf(c.addr).Contains(a)
}

// with is c with another of its addresses.
func (c Client) with(o Client) Client {
	if c.addr != o.addr || o.wide {
		c.wide = true
		if o.addr.Less(c.addr) {
			c.addr = o.addr
		}
	}
	return c
}

// clientsOf is the network of a client. Loopback and link-local addresses are
// their machine's alone.
func clientsOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if hops(a) {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// hops reports whether the owner of an address has its whole /64.
func hops(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
}

// NetworkName is a network as people write it: an address alone without its
// length.
func NetworkName(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
