package httpreassembly

import (
	"net/netip"
	"strings"
	"testing"

	"stallwatch/capture"
)

// TestChanges plays traces for the events that tell of segments.
func TestChanges(t *testing.T) {
	const open = "0 C>S SYN\n0.001 S>C SYNACK\n0.002 C>S ACK\n"
	const call = `0.1 C>S data "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd"` + "\n"
	const answer = `0.2 S>C data "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"` + "\n"
	for _, row := range []struct{ name, trace, want string }{
		{"an ordinary exchange", open + call + `0.2 S>C data "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"` + "\n0.3 C>S ACK\n", "0.002000 established"},
		{"nobody acknowledges a request", open + call + "0.3 C>S data \"POST / HTTP/1.1\\r\\nContent-Length: 4\\r\\n\\r\\nabcd\" at=0\n" +
			"0.7 C>S data \"POST / HTTP/1.1\\r\\nContent-Length: 4\\r\\n\\r\\nabcd\" at=0\n5 S>C ACK\n",
			"0.002000 established\n0.300000 retransmitting to_server\n5.000000 acknowledged to_server"},
		{"of an answer, twice", open + call + `0.2 S>C data "HTTP/1.1 200 OK\r\n"` + "\n" + `0.4 S>C data "HTTP/1.1 200 OK\r\n" at=0` + "\n0.5 C>S ACK\n0.6 C>S ACK\n" +
			`0.7 S>C data "A: b\r\n"` + "\n0.8 C>S ACK\n" + `0.9 S>C data "C: d\r\n"` + "\n" + `1.2 S>C data "C: d\r\n" at=23` + "\n1.3 C>S ACK\n",
			"0.002000 established\n0.400000 retransmitting to_client\n0.500000 acknowledged to_client\n1.200000 retransmitting to_client\n1.300000 acknowledged to_client"},
		{"an acknowledgement was late", open + call + "0.11 S>C ACK\n0.3 C>S data \"POST / HTTP/1.1\\r\\nContent-Length: 4\\r\\n\\r\\nabcd\" at=0\n", "0.002000 established"},
		{"a body trickles", open + `0.1 C>S data "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n"` + "\n" + `1 C>S data "a"` + "\n" + `9 C>S data "b"` + "\n",
			"0.002000 established\n0.100000 head_seen\n9.000000 request_progress to_server bytes=40"},
		{"an upload takes its time, and its answer", open + `0.1 C>S data "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"` + "\n" + `0.9 C>S data "a"` + "\n" + `1.1 C>S data "b"` + "\n" +
			`1.9 C>S data "c"` + "\n" + `2.1 C>S data "d"` + "\n" + `2.2 C>S data "e"` + "\n" + "3" + answer[3:] + `3.9 S>C data "d"` + "\n" + `4.1 S>C data "e"` + "\n",
			"0.002000 established\n0.100000 head_seen\n1.100000 request_progress to_server bytes=40\n2.100000 request_progress to_server bytes=42\n" +
				"4.100000 response_progress to_client bytes=43"},
		{"chunks trickle", open + `0.1 C>S data "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"` + "\n" + `2 C>S data "1\r\na\r\n"` + "\n" + `2.5 C>S data "1\r\nb\r\n"` + "\n" + `4 C>S data "1\r\nc\r\n"` + "\n",
			"0.002000 established\n0.100000 head_seen\n2.000000 request_progress to_server bytes=51\n4.000000 request_progress to_server bytes=63"},
		{"a head trickles", open + `0.1 C>S data "POST / HTT"` + "\n" + `1 C>S data "P"` + "\n", "0.002000 established"},
		{"an answer takes its time", open + call + answer + `0.9 S>C data "d"` + "\n" + `1.3 S>C data "e"` + "\n" + `2 S>C data "f"` + "\n" + `2.5 S>C data "g"` + "\n",
			"0.002000 established\n1.300000 response_progress to_client bytes=43\n2.500000 response_progress to_client bytes=45"},
		{"a reader that does not read", open + call + answer + "0.3 C>S ACK win=0\n4 C>S ACK win=100\n9 C>S ACK win=2000\n",
			"0.002000 established\n0.300000 window_closed to_client bytes=41\n9.000000 window_opened to_client bytes=41"},
		{"picked up in its middle", call + "0.2 S>C ACK\n", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			tr := New(Options{Ports: []uint16{14265}})
			var sc script
			var got []string
			for _, line := range strings.Split(strings.TrimSpace(row.trace), "\n") {
				segs, _, err := sc.line(line)
				if err != nil {
					t.Fatal(err)
				}
				for i := range segs {
					for _, e := range tr.Segment(nil, &segs[i]) {
						if ofSegments(&e) {
							got = append(got, describe(&e))
						}
					}
				}
			}
			if g := strings.Join(got, "\n"); g != row.want {
				t.Errorf("trace:\n%s\ngot:\n%s\nwant:\n%s", row.trace, g, row.want)
			}
		})
	}
}

// Other ports are reported when asked for, and hold no state.
func TestPerimeter(t *testing.T) {
	a, b := capture.EndpointOf(netip.MustParseAddrPort("198.51.100.7:50000")), capture.EndpointOf(netip.MustParseAddrPort("192.0.2.1:23"))
	for _, row := range []struct {
		name string
		seg  capture.Segment
		want string
	}{
		{"a SYN", capture.Segment{Src: a, Dst: b, Seq: 7, Flags: capture.SYN}, "0.000000 knocked client=50000 port=23"},
		{"its refusal", capture.Segment{Src: b, Dst: a, Ack: 8, Flags: capture.RST | capture.ACK}, "0.000000 port_refused client=50000 port=23"},
		{"the end of a connection", capture.Segment{Src: b, Dst: a, Seq: 9, Ack: 8, Flags: capture.RST | capture.ACK}, ""},
		{"an answer", capture.Segment{Src: b, Dst: a, Ack: 8, Flags: capture.SYN | capture.ACK}, ""},
		{"data", capture.Segment{Src: a, Dst: b, Seq: 8, Flags: capture.ACK, Payload: []byte("x")}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, on := range []bool{true, false} {
				tr := New(Options{Ports: []uint16{14265}, Perimeter: on})
				s := row.seg
				s.At = epoch
				var got string
				for _, e := range tr.Segment(nil, &s) {
					got += describe(&e)
				}
				if want := row.want; on && got != want || !on && got != "" {
					t.Errorf("with Perimeter %v got %q, want %q", on, got, want)
				}
				if tr.count != 0 {
					t.Errorf("%d connections", tr.count)
				}
			}
		})
	}
}
