package capture

import (
	"net/netip"
	"testing"
	"unsafe"
)

func TestEndpoint(t *testing.T) {
	all := []netip.AddrPort{{},
		netip.MustParseAddrPort("0.0.0.0:0"), netip.MustParseAddrPort("192.0.2.1:14265"), netip.MustParseAddrPort("192.0.2.1:14266"),
		netip.MustParseAddrPort("192.0.2.2:14265"), netip.MustParseAddrPort("[::]:0"), netip.MustParseAddrPort("[::1]:14265"),
		netip.MustParseAddrPort("[2001:db8::c000:201]:14265"), netip.MustParseAddrPort("[::ffff:192.0.2.1]:14265"), netip.MustParseAddrPort("[::192.0.2.1]:14265"),
	}
	for i, a := range all {
		e := EndpointOf(a)
		if e.AddrPort() != a || e.Addr() != a.Addr() || e.Port() != a.Port() || e.String() != a.String() || e.IsValid() != a.IsValid() {
			t.Errorf("%v came back as %v", a, e.AddrPort())
		}
		for j, b := range all {
			f := EndpointOf(b)
			if same := i == j; (e == f) != same || e.Is(&f) != same {
				t.Errorf("%v and %v: ==%v, Is %v", a, b, e == f, e.Is(&f))
			}
			if (e.Hash(7) == f.Hash(7)) && i != j && a.Addr().Unmap() != b.Addr().Unmap() && (a.IsValid() && b.IsValid()) {
				t.Errorf("%v and %v have one hash", a, b)
			}
		}
		if e.IsValid() && (e.Hash(1) == e.Hash(2) || e.WithPort(9).AddrPort() != netip.AddrPortFrom(a.Addr(), 9)) {
			t.Errorf("%v: the seed or the port does not count", a)
		}
	}
	for _, row := range []struct {
		name string
		got  Endpoint
		want string
	}{
		{"IPv4", Endpoint4([4]byte{192, 0, 2, 1}, 80), "192.0.2.1:80"},
		{"IPv6", Endpoint6([16]byte{0x20, 1, 0xd, 0xb8, 15: 1}, 80), "[2001:db8::1]:80"},
		{"mapped", Endpoint6([16]byte{10: 0xff, 11: 0xff, 12: 192, 14: 2, 15: 1}, 80), "192.0.2.1:80"},
		{"compatible", Endpoint6([16]byte{12: 192, 14: 2, 15: 1}, 80), "[::c000:201]:80"},
		{"a zone", EndpointOf(netip.MustParseAddrPort("[fe80::1%eth0]:80")), "[fe80::1]:80"},
	} {
		if row.got.String() != row.want || row.got != EndpointOf(netip.MustParseAddrPort(row.want)) {
			t.Errorf("%s: %v, want %s", row.name, row.got, row.want)
		}
	}
}

func TestFlowStaysCompact(t *testing.T) {
	if n := unsafe.Sizeof(Flow{}); n > 40 {
		t.Errorf("a Flow takes %d bytes, want at most 40: a connection has several", n)
	}
}
