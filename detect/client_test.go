package detect

import (
	"net/netip"
	"strings"
	"testing"
)

func TestClient(t *testing.T) {
	for _, row := range []struct{ name, seen, text, network string }{
		{"one IPv4 address", "192.0.2.7", "192.0.2.7", "192.0.2.7/32"},
		{"the same in IPv6 clothes", "::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7/32"},
		{"one IPv6 address", "2001:db8::7", "2001:db8::7", "2001:db8::/64"},
		{"two of a /64", "2001:db8::7 2001:db8::6", "2001:db8::/64", "2001:db8::/64"},
		{"the same twice", "2001:db8::7 2001:db8::7", "2001:db8::7", "2001:db8::/64"},
		{"a zone is free text", "2001:db8::7%evil", "2001:db8::7", "2001:db8::/64"},
		{"this machine has one address", "::1", "::1", "::1/128"},
		{"a link is shared by machines", "fe80::1%eth0", "fe80::1", "fe80::1/128"},
	} {
		var c Client
		for _, a := range strings.Fields(row.seen) {
			if !c.IsValid() {
				c = ClientOf(netip.MustParseAddr(a))
			}
			c = c.with(ClientOf(netip.MustParseAddr(a)))
		}
		if c.String() != row.text || c.Network().String() != row.network {
			t.Errorf("%s: got %s of %s, want %s of %s", row.name, c, c.Network(), row.text, row.network)
		}
		text, _ := c.MarshalText()
		var again Client
		if err := again.UnmarshalText(text); err != nil || again.String() != c.String() || again.Prefix() != c.Prefix() {
			t.Errorf("%s: %s is read as %s: %v", row.name, text, again, err)
		}
	}
	for _, bad := range []string{"2001:db8::1/64", "2001:db8::/32", "192.0.2.0/24", "x", "2001:db8::/65"} {
		if err := new(Client).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a client, want an error", bad)
		}
	}
	one, all := ClientOf(netip.MustParseAddr("2001:db8::7")), Client{netip.MustParseAddr("2001:db8::7"), true}
	other := netip.MustParseAddr("2001:db8::8")
	if one.Contains(other) || !all.Contains(other) || !one.owns(other) || one.owns(netip.MustParseAddr("2001:db8:0:1::8")) {
		t.Error("a client contains what was seen of it, and owns its network")
	}
}
