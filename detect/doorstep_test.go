package detect

import (
	"net/netip"
	"testing"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// Whoever invents servers fills the table of doorsteps, and no more.
func TestDoorstepsAreBounded(t *testing.T) {
	e, err := New(Options{Ports: []uint16{14265}})
	if err != nil {
		t.Fatal(err)
	}
	at := epoch
	knock := func(client, server [4]byte) {
		at++
		f := capture.Flow{Client: capture.EndpointOf(netip.AddrPortFrom(netip.AddrFrom4(client), 5000)), Server: capture.EndpointOf(netip.AddrPortFrom(netip.AddrFrom4(server), 14265))}
		e.Observe(nil, &httpreassembly.Event{Kind: httpreassembly.SynUnanswered, At: at, Slot: -1, Conn: httpreassembly.ConnID(at), Flow: f}, nil)
	}
	for i := range 10_000 {
		knock([4]byte{10, 6, byte(i >> 8), byte(i)}, [4]byte{192, 0, byte(i >> 8), byte(i)})
	}
	if n := len(e.view.doorsteps); n != maxDoorsteps || len(e.view.nodes) != 0 {
		t.Errorf("%d doorsteps and %d nodes, want %d and none", n, len(e.view.nodes), maxDoorsteps)
	}
	for i := range byte(doorstepClients) {
		knock([4]byte{10, 7, 0, i}, [4]byte{198, 51, 100, 1})
	}
	if n := len(e.view.doorsteps); n != maxDoorsteps-1 || len(e.view.nodes) != 1 {
		t.Errorf("%d doorsteps and %d nodes, want %d and 1", n, len(e.view.nodes), maxDoorsteps-1)
	}
}
