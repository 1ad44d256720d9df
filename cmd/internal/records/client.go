package records

import "stallwatch/httpreassembly"

// realClient writes who stands behind a trusted proxy.
func (r *Writer) realClient(x *httpreassembly.Exchange) {
	switch a := httpreassembly.RealClient(x, r.opts.Trusted); {
	case !a.IsValid():
	case a.Port() == 0:
		r.l.addr("real_client", a.Addr())
	default:
		r.l.addrPort("real_client", a)
	}
}
