package httpreassembly

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"stallwatch/capture"
)

// Ports do not depend on the order of adding, nor on how many trackers share
// the traffic.
func TestPorts(t *testing.T) {
	want := Ports{22, 80, 443, 8080}
	all := []uint16{8080, 443, 80, 22, 14265, 65535, 443, 0, 9000}
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var parts [3]Stats
		for _, i := range r.Perm(len(all)) {
			parts[r.IntN(3)].HTTPElsewhere.add(all[i])
		}
		var sum Stats
		for i := range parts {
			sum.Add(&parts[i])
		}
		if sum.HTTPElsewhere != want {
			t.Fatalf("seed %d: %v, want %v", seed, sum.HTTPElsewhere, want)
		}
	}
}

// A request to a port that is not watched leaves its port; nothing else does.
func TestHTTPElsewhere(t *testing.T) {
	tr := New(Options{Ports: []uint16{8545}})
	for i, row := range []struct {
		src, dst string
		payload  string
	}{
		{"192.0.2.1:40000", "192.0.2.9:14265", "POST / HTTP/1.1\r\n"},
		{"192.0.2.9:14265", "192.0.2.1:40000", "HTTP/1.1 200 OK\r\n"},
		{"192.0.2.1:40001", "192.0.2.9:22", "SSH-2.0-x\r\n"},
		{"192.0.2.1:40002", "192.0.2.9:8545", "GET / HTTP/1.1\r\n"},
	} {
		s := capture.Segment{At: capture.Time(i + 1), Flags: capture.ACK, Payload: []byte(row.payload)}
		s.Src, s.Dst = capture.EndpointOf(netip.MustParseAddrPort(row.src)), capture.EndpointOf(netip.MustParseAddrPort(row.dst))
		tr.Segment(nil, &s)
	}
	if st := tr.Stats(); st.HTTPElsewhere != (Ports{14265}) || st.Ignored != 3 {
		t.Errorf("ignored %d, elsewhere %v; want 3 and 14265 alone", st.Ignored, st.HTTPElsewhere)
	}
}
