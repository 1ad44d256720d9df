package synth

import "time"

// Profile says what the traffic is like.
type Profile struct {
	Name       string
	Packets    int           // how many; the last connections are cut off
	Conns      int           // connections at once
	Exchanges  int           // mean exchanges a connection
	Request    int           // mean bytes of a request's content
	Response   int           // mean bytes of a response's content
	Think      time.Duration // mean time a server takes
	Gap        time.Duration // mean time between exchanges
	Retransmit float64       // share of data segments sent twice
	Reorder    float64       // share of data segments that arrive after their successor
	IPv6       float64       // share of connections
	Stall      float64       // share of requests that are never answered; the client gives up after Patience
	Patience   time.Duration
	HalfClose  float64 // share of connections whose client half-closes after its last request and still reads
	Abort      float64 // share of connections ended by RST
	Loss       float64 // share of packets the capture missed
	Duplicate  float64 // share of packets the capture saw twice
}

// Small, Mixed and Bulk are the three profiles of the benchmarks: mostly
// exchanges under 1 KB; a mix; large bodies.
var (
	Small = Profile{Name: "small", Packets: 2_000_000, Conns: 400, Exchanges: 8, Request: 160, Response: 500,
		Think: 2 * time.Millisecond, Gap: 20 * time.Millisecond, Retransmit: 0.005, Reorder: 0.005, IPv6: 0.1}
	Mixed = Profile{Name: "mixed", Packets: 2_000_000, Conns: 400, Exchanges: 6, Request: 2000, Response: 6000,
		Think: 5 * time.Millisecond, Gap: 20 * time.Millisecond, Retransmit: 0.005, Reorder: 0.005, IPv6: 0.1}
	Bulk = Profile{Name: "bulk", Packets: 1_500_000, Conns: 200, Exchanges: 4, Request: 20_000, Response: 75_000,
		Think: 20 * time.Millisecond, Gap: 20 * time.Millisecond, Retransmit: 0.005, Reorder: 0.005, IPv6: 0.1}
	// Hostile is everything at once, for properties rather than speed.
	Hostile = Profile{Name: "hostile", Packets: 8_000, Conns: 60, Exchanges: 3, Request: 900, Response: 2500,
		Think: 30 * time.Millisecond, Gap: 50 * time.Millisecond, Retransmit: 0.03, Reorder: 0.03, IPv6: 0.3,
		Stall: 0.04, Patience: 3 * time.Second, HalfClose: 0.1, Abort: 0.1, Loss: 0.004, Duplicate: 0.02}
)

// Profiles lists those of the benchmarks.
var Profiles = []Profile{Small, Mixed, Bulk}
