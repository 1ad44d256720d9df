package records

import (
	"net/netip"

	"stallwatch/httpreassembly"
)

// realClient writes who stands behind a trusted proxy.
func (r *Writer) realClient(x *httpreassembly.Exchange) {
	r.end("real_client", httpreassembly.RealClient(x, r.opts.Trusted))
}

// end writes one end of a connection, of which perhaps only the address is
// known.
func (r *Writer) end(key string, a netip.AddrPort) {
	if a.Port() == 0 {
		r.l.addr(key, a.Addr())
	} else {
		r.l.addrPort(key, a)
	}
}
