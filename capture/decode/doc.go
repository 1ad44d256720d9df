// Package decode turns a captured frame into a TCP segment, or into a count
// of why it is none.
//
//	frame ── link ──> IPv4 | IPv6 ── fragments? ──> TCP ──> capture.Segment
//
// # What goes in, what comes out
//
// Ethernet (with VLAN tags), Linux cooked v1 and v2, BSD loopback and raw IP
// go in. A [capture.Segment] comes out that points into the frame: nothing is
// copied and nothing allocated, but for fragments. Every frame is either a
// segment or one [Skip], so their sum is the number of frames.
//
// # What is trusted
//
// No length in a frame is: each is held against the one around it and against
// what was captured. A frame that the snap length cut is decoded as far as it
// goes, and Segment.Missing says what is not there. A frame that claims more
// than was on the wire is dropped, as Linux drops it.
//
// # Fragments
//
// TCP hardly ever comes in IP fragments, except from those who hide something
// in them. They are put together within bounds of number, bytes and time
// ([Options]); when a bound is met the oldest datagram goes. A datagram whose
// fragments overlap goes as a whole, as in Linux (RFC 5722 for IPv6,
// CVE-2018-5391 for IPv4).
//
// # What it never does
//
// It follows no tunnel (GRE, VXLAN, IP in IP), and it asks no clock: a
// fragment's age is measured in packet time.
package decode
