package lab

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"
)

// TestTable reads lines of a kernel's tables, as a little-endian machine
// prints them.
func TestTable(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the lines are those of a little-endian machine")
	}
	const lines = "header\n" +
		"  0: 0200004D:37B9 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 7 1\n" +
		"  1: 0200004D:37B9 6400004D:C350 08 00000000:00000000 00:00000000 00000000     0        0 9 1\n" +
		"  2: 0000000000000000FFFF00000200004D:37B9 0000000000000000FFFF00006500004D:C351 01 00000000:00000000 00:00000000 00000000     0        0 0 1\n" +
		"  3: 0200004D:0016 6400004D:C352 01 00000000:00000000 00:00000000 00000000     0        0 9 1\n"
	tr := Truth{Port: nodePort, Sockets: map[string]int{}}
	if err := tr.count([]byte(lines), true); err != nil {
		t.Fatal(err)
	}
	server := netip.MustParseAddrPort("77.0.0.2:14265")
	want := []Conn{
		{netip.MustParseAddrPort("77.0.0.100:50000"), server, "close_wait", true},
		{netip.MustParseAddrPort("77.0.0.101:50001"), server, "established", false},
	}
	if !reflect.DeepEqual(tr.Conns, want) || len(tr.Listen) != 1 || tr.Listen[0].Addr != server {
		t.Errorf("got %v, listening %v; want %v, listening %v", tr.Conns, tr.Listen, want, server)
	}
	for _, bad := range []string{"0200004D", "0200004D:xyz", "02:37B9", "zz00004D:37B9"} {
		if a, err := endOf(bad); err == nil {
			t.Errorf("%q was read as %s", bad, a)
		}
	}
}
