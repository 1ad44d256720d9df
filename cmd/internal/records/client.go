package records

import (
	"bytes"
	"net/netip"

	"stallwatch/httpreassembly"
)

// realClient writes who stands behind a trusted proxy. The PROXY protocol
// comes from the hop itself and goes first; of X-Forwarded-For the rightmost
// address that is not a trusted proxy counts, since everything left of it is
// the client's own claim.
func (r *Writer) realClient(x *httpreassembly.Exchange) {
	if !r.trusted(x.Flow.Client.Addr()) {
		return
	}
	if x.Peer != nil {
		if x.Peer.Client != x.Flow.Client {
			r.l.addrPort("real_client", x.Peer.Client)
		}
		return
	}
	r.l.addr("real_client", r.forwarded(x.ForwardedFor))
}

func (r *Writer) trusted(a netip.Addr) bool {
	for _, p := range r.opts.Trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// forwarded walks a list of addresses from its end; the zero Addr means that
// nothing can be said. A list that was cut has lost its end, the only part
// that can be believed.
func (r *Writer) forwarded(list []byte) netip.Addr {
	if len(list) >= httpreassembly.MaxField {
		return netip.Addr{}
	}
	for len(list) > 0 {
		i := bytes.LastIndexByte(list, ',')
		a, ok := parseAddr(bytes.TrimSpace(list[i+1:]))
		if !ok {
			return netip.Addr{}
		}
		if !r.trusted(a) {
			return a
		}
		list = list[:max(i, 0)]
	}
	return netip.Addr{}
}

// parseAddr reads "192.0.2.1", "192.0.2.1:443", "2001:db8::1" and
// "[2001:db8::1]:443": all are in use.
func parseAddr(b []byte) (netip.Addr, bool) {
	const longest = len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535")
	if len(b) > longest {
		return netip.Addr{}, false
	}
	s := string(b)
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return a.Unmap(), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Addr().Zone() == "" {
		return ap.Addr().Unmap(), true
	}
	return netip.Addr{}, false
}
