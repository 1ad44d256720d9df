package httpreassembly

import (
	"net/netip"
	"testing"

	"stallwatch/capture"
)

func TestRealClient(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/24")}
	for _, row := range []struct{ name, from, xff, forwarded, proxy, want string }{
		{"nobody behind", "127.0.0.1:5", "", "", "", "invalid AddrPort"},
		{"one hop", "127.0.0.1:5", "203.0.113.9", "", "", "203.0.113.9:0"},
		{"not believed", "203.0.113.1:5", "192.0.2.9", "", "", "invalid AddrPort"},
		{"what the client claims", "127.0.0.1:5", "192.0.2.66, 203.0.113.9", "", "", "203.0.113.9:0"},
		{"through another proxy", "127.0.0.1:5", "203.0.113.9,10.0.0.7", "", "", "203.0.113.9:0"},
		{"with a port", "127.0.0.1:5", "203.0.113.9:81", "", "", "203.0.113.9:81"},
		{"IPv6", "127.0.0.1:5", "2001:db8::1", "", "", "[2001:db8::1]:0"},
		{"no address", "127.0.0.1:5", "203.0.113.9, unknown", "", "", "invalid AddrPort"},
		{"leading zeros", "127.0.0.1:5", "203.0.113.09", "", "", "invalid AddrPort"},
		{"Forwarded", "127.0.0.1:5", "", `for=192.0.2.43, proto=http;For="[2001:db8::17]:4711"`, "", "[2001:db8::17]:4711"},
		{"Forwarded, hidden", "127.0.0.1:5", "", `for=_hidden`, "", "invalid AddrPort"},
		{"PROXY goes first", "10.0.0.3:5", "203.0.113.9", "", "198.51.100.1:77", "198.51.100.1:77"},
	} {
		t.Run(row.name, func(t *testing.T) {
			x := &Exchange{Flow: capture.Flow{Client: capture.EndpointOf(netip.MustParseAddrPort(row.from))}, Head: &Head{ForwardedFor: []byte(row.xff), Forwarded: []byte(row.forwarded)}}
			if row.proxy != "" {
				x.Peer = &capture.Flow{Client: capture.EndpointOf(netip.MustParseAddrPort(row.proxy))}
			}
			if got := RealClient(x, trusted).String(); got != row.want {
				t.Errorf("RealClient = %s, want %s", got, row.want)
			}
		})
	}
}

func TestRealClientAllocatesNothing(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	x := &Exchange{Flow: capture.Flow{Client: capture.EndpointOf(netip.MustParseAddrPort("127.0.0.1:5"))}, Head: &Head{ForwardedFor: []byte("192.0.2.66, 203.0.113.9")}}
	if n := testing.AllocsPerRun(100, func() { RealClient(x, trusted) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzRealClient(f *testing.F) {
	f.Add([]byte("203.0.113.9, 10.0.0.7"), []byte(`for="[2001:db8::17]:4711"`))
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, xff, forwarded []byte) {
		x := &Exchange{Flow: capture.Flow{Client: capture.EndpointOf(netip.MustParseAddrPort("10.0.0.1:5"))}, Head: &Head{ForwardedFor: xff, Forwarded: forwarded}}
		if a := RealClient(x, trusted); a.IsValid() && (within(trusted, a.Addr()) || a.Addr().Zone() != "") {
			t.Errorf("RealClient(%q, %q) = %s", xff, forwarded, a)
		}
	})
}
