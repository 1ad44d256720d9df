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
		}
		if e.IsValid() && e.WithPort(9).AddrPort() != netip.AddrPortFrom(a.Addr(), 9) {
			t.Errorf("%v with port 9 is %v", a, e.WithPort(9))
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

// Flows that differ in little, as an attacker's do, spread over the hashes
// like random ones; both directions of one have the same.
func TestHashSpreads(t *testing.T) {
	const bins = 1 << 12
	for _, row := range []struct {
		name string
		end  func(i int) Endpoint
	}{
		{"ports", func(i int) Endpoint { return Endpoint4([4]byte{192, 0, 2, 1}, uint16(i)) }},
		{"addresses", func(i int) Endpoint { return Endpoint4([4]byte{10, byte(i >> 8), byte(i), 1}, 40000) }},
		{"low addresses of IPv6", func(i int) Endpoint { return Endpoint6([16]byte{0x20, 1, 14: byte(i >> 8), 15: byte(i)}, 40000) }},
		{"prefixes of IPv6", func(i int) Endpoint { return Endpoint6([16]byte{0x20, 1, byte(i >> 8), byte(i), 15: 1}, 40000) }},
		{"both at once", func(i int) Endpoint { return Endpoint4([4]byte{10, byte(i >> 8), byte(i), 1}, uint16(i)) }},
	} {
		for _, seed := range []uint64{1, 0x9e3779b97f4a7c15, 0xfeedfacecafebeef} {
			var hits [bins]int
			for i := range 1 << 16 {
				s := Segment{Src: row.end(i), Dst: Endpoint4([4]byte{198, 51, 100, 1}, 14265)}
				back := Segment{Src: s.Dst, Dst: s.Src}
				h := s.Hash(seed)
				if h != back.Hash(seed) {
					t.Fatalf("%s: %v and %v hash differently", row.name, s.Src, s.Dst)
				}
				hits[uint32(h>>32)%bins]++
			}
			for i, n := range hits { // 16 on average; a Poisson count reaches 48 once in 10^10
				if n > 48 {
					t.Errorf("%s, seed %#x: bin %d has %d of 65536, want some 16", row.name, seed, i, n)
				}
			}
		}
	}
}
