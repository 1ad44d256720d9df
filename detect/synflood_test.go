package detect

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// A flood from a hundred thousand addresses is one incident and takes no more
// room than a thousand of them; a minute later it takes none.
func TestSynFloodSources(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := netip.MustParseAddrPort("10.0.0.5:14265")
	at, fired := epoch, 0
	var out []Finding
	count := func() {
		for _, f := range out {
			if f.Kind == AlertChanged && f.Alert.Name == "SynFlood" && f.Alert.State == Firing {
				fired++
			}
		}
		out = out[:0]
	}
	for i := range 100_000 {
		at = at.Add(100 * time.Microsecond)
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 0x0b000000+uint32(i))
		ev := httpreassembly.Event{At: at, Kind: httpreassembly.Opened, Conn: httpreassembly.ConnID(at - 1), Slot: int32(i),
			Flow: capture.Flow{Client: capture.EndpointOf(netip.AddrPortFrom(netip.AddrFrom4(a), 1024)), Server: capture.EndpointOf(server)}}
		out = e.Observe(out, &ev, nil)
		count()
		if n := e.view.nodes[0]; n.sources != nil && len(n.sources.last) > maxSources {
			t.Fatalf("%d addresses are remembered after %d SYNs, want at most %d", len(n.sources.last), i+1, maxSources)
		}
	}
	if fired != 1 {
		t.Errorf("SynFlood fired %d times, want once", fired)
	}
	if n := e.view.nodes[0]; n.sources == nil {
		t.Error("no address is remembered during the flood")
	}
	out = e.Advance(out[:0], at.Add(time.Minute))
	if n := e.view.nodes[0]; n.sources != nil {
		t.Errorf("%d addresses are remembered a minute after the flood", len(n.sources.last))
	}
}

// What an ordinary connection pays for the detector is a counter.
func TestSynFloodAllocatesNothing(t *testing.T) {
	v := newView(&Options{SynFlood: SynFloodOptions{Few: 20}})
	n := v.addNode(capture.EndpointOf(netip.MustParseAddrPort("10.0.0.5:14265")))
	ev := httpreassembly.Event{At: epoch, Kind: httpreassembly.Opened, Flow: capture.Flow{Client: capture.EndpointOf(netip.MustParseAddrPort("192.0.2.1:1024")), Server: capture.EndpointOf(n.server)}}
	if got := testing.AllocsPerRun(100, func() { v.knocked(n, &ev) }); got != 0 || n.sources != nil {
		t.Errorf("%g allocations, sources %v; want none of either", got, n.sources)
	}
}
