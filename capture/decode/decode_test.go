package decode

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"stallwatch/capture"
)

// ip4 makes an IPv4 packet 10.0.0.1 -> 10.0.0.2 with a TCP segment.
func ip4(t testing.TB, opts, segment []byte) []byte {
	t.Helper()
	h := make([]byte, 20, 60)
	h = append(h, opts...)
	total := len(h) + len(segment)
	h[0], h[2], h[3], h[8], h[9] = 0x40|byte(len(h)/4), byte(total>>8), byte(total), 64, protoTCP
	copy(h[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	seal(h)
	return append(h, segment...)
}

// seal sets an IPv4 header's checksum.
func seal(h []byte) {
	h[10], h[11] = 0, 0
	var x uint64
	for i := 0; i < len(h); i += 2 {
		x += uint64(h[i])<<8 | uint64(h[i+1])
	}
	c := ^capture.Fold(x)
	h[10], h[11] = byte(c>>8), byte(c)
}

var src6, dst6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")

func ip6(next byte, body []byte) []byte {
	h := make([]byte, 40)
	h[0], h[4], h[5], h[6], h[7] = 0x60, byte(len(body)>>8), byte(len(body)), next, 64
	s, d := src6.As16(), dst6.As16()
	copy(h[8:], s[:])
	copy(h[24:], d[:])
	return append(h, body...)
}

// segment makes a TCP segment 40000 -> 14265 without a checksum.
func segment(flags capture.Flags, opts, payload []byte) []byte {
	h := make([]byte, 20, 60)
	h[0], h[1], h[2], h[3] = 0x9c, 0x40, 0x37, 0xb9
	h[7], h[11] = 100, 200
	h[12], h[13], h[14] = byte(20+len(opts))/4<<4, byte(flags), 0x10
	return append(append(h, opts...), payload...)
}

func cat(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func macs() []byte { return make([]byte, 12) }

func TestLinks(t *testing.T) {
	v4, v6 := ip4(t, nil, segment(capture.ACK, nil, []byte("hello"))), ip6(protoTCP, segment(capture.ACK, nil, []byte("hello")))
	for _, tt := range []struct {
		name  string
		link  capture.LinkType
		frame []byte
		want  Skip
	}{
		{"ethernet 4", capture.LinkEthernet, cat(macs(), unhex("0800"), v4), none},
		{"ethernet 6", capture.LinkEthernet, cat(macs(), unhex("86dd"), v6), none},
		{"padding", capture.LinkEthernet, cat(macs(), unhex("0800"), v4, make([]byte, 9)), none},
		{"vlan", capture.LinkEthernet, cat(macs(), unhex("8100 0001 0800"), v4), none},
		{"qinq", capture.LinkEthernet, cat(macs(), unhex("88a8 0001 8100 0002 86dd"), v6), none},
		{"old qinq", capture.LinkEthernet, cat(macs(), unhex("9100 0001 8100 0002 0800"), v4), none},
		{"five tags", capture.LinkEthernet, cat(macs(), unhex("8100 0001 8100 0001 8100 0001 8100 0001 8100 0001 0800"), v4), VLANTooDeep},
		{"cut in a tag", capture.LinkEthernet, cat(macs(), unhex("8100 00")), CutHeader},
		{"arp", capture.LinkEthernet, cat(macs(), unhex("0806"), make([]byte, 28)), NotIP},
		{"mpls", capture.LinkEthernet, cat(macs(), unhex("8847 000101ff"), v4), Tunnelled},
		{"pppoe behind a tag", capture.LinkEthernet, cat(macs(), unhex("8100 0001 8864 11000001 0036 0021"), v4), Tunnelled},
		{"802.3", capture.LinkEthernet, cat(macs(), unhex("0040"), make([]byte, 64)), NotIP},
		{"version lies", capture.LinkEthernet, cat(macs(), unhex("0800"), v6), NotIP},
		{"empty", capture.LinkEthernet, nil, CutHeader},
		{"only the link", capture.LinkEthernet, cat(macs(), unhex("0800")), CutHeader},
		{"cooked lo", capture.LinkSLL, cat(unhex("0000 0304 0006 000000000000 0000 0800"), v4), none},
		{"cooked none", capture.LinkSLL, cat(unhex("0000 fffe 0000 000000000000 0000 86dd"), v6), none},
		{"cooked vlan", capture.LinkSLL, cat(unhex("0000 0001 0006 000000000000 0000 8100 0001 0800"), v4), none},
		{"cooked netlink", capture.LinkSLL, cat(unhex("0000 0338 0000 000000000000 0000 0800"), v4), NotIP},
		{"cooked short", capture.LinkSLL, make([]byte, 15), CutHeader},
		{"cooked2 lo", capture.LinkSLL2, cat(unhex("0800 0000 00000001 0304 00 06 0000000000000000"), v4), none},
		{"cooked2 ethernet", capture.LinkSLL2, cat(unhex("86dd 0000 00000002 0001 00 06 0000000000000000"), v6), none},
		{"cooked2 vlan", capture.LinkSLL2, cat(unhex("8100 0000 00000002 0001 00 06 0000000000000000 0001 0800"), v4), none},
		{"cooked2 arp", capture.LinkSLL2, cat(unhex("0806 0000 00000002 0001 00 06 0000000000000000"), v4), NotIP},
		{"cooked2 netlink", capture.LinkSLL2, cat(unhex("0800 0000 00000002 0338 00 06 0000000000000000"), v4), NotIP},
		{"cooked2 short", capture.LinkSLL2, make([]byte, 19), CutHeader},
		{"raw 4", capture.LinkRaw, v4, none},
		{"raw 6", capture.LinkRaw12, v6, none},
		{"raw 14", capture.LinkRaw14, v4, none},
		{"raw garbage", capture.LinkRaw, unhex("ff00"), NotIP},
		{"ipv4", capture.LinkIPv4, v4, none},
		{"ipv4 with 6", capture.LinkIPv4, v6, NotIP},
		{"ipv6", capture.LinkIPv6, v6, none},
		{"null little", capture.LinkNull, cat(unhex("02000000"), v4), none},
		{"null big", capture.LinkNull, cat(unhex("00000002"), v4), none},
		{"null darwin 6", capture.LinkNull, cat(unhex("1e000000"), v6), none},
		{"null freebsd 6", capture.LinkNull, cat(unhex("0000001c"), v6), none},
		{"null other", capture.LinkNull, cat(unhex("07000000"), v6), NotIP},
		{"loop", capture.LinkLoop, cat(unhex("00000018"), v6), none},
		{"loop short", capture.LinkLoop, unhex("0000"), CutHeader},
		{"unknown", 147, v4, UnknownLink},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := New(Options{})
			var s capture.Segment
			ok := d.Segment(&capture.Packet{Data: tt.frame, Length: len(tt.frame), Link: tt.link}, 5, &s)
			checkOne(t, d, ok, tt.want)
			if ok && (string(s.Payload) != "hello" || s.Missing != 0 || s.At != 5 || s.Src.Port() != 40000 || s.Dst.Port() != 14265 || s.Seq != 100 || s.Ack != 200 || s.Window != 4096) {
				t.Errorf("segment %+v of %x", s, tt.frame)
			}
		})
	}
}

// checkOne verifies that the one frame d saw was counted once, as want.
func checkOne(t *testing.T, d *Decoder, ok bool, want Skip) {
	t.Helper()
	st := d.Stats()
	if ok != (want == none) || ok != (st.Segments == 1) {
		t.Fatalf("Segment() = %v, stats %+v; want %q", ok, st, want)
	}
	if want != none && st.Skipped[want] != 1 {
		t.Errorf("skips %v, want one %s", st.Skipped, want)
	}
}

func TestLengths(t *testing.T) {
	whole := ip4(t, nil, segment(capture.ACK, nil, []byte("0123456789")))
	edit := func(at int, v ...byte) []byte {
		b := cat(whole)
		copy(b[at:], v)
		seal(b[:20])
		return b
	}
	for _, tt := range []struct {
		name    string
		data    []byte
		length  int
		want    Skip
		payload string
		missing int
	}{
		{"whole", whole, 50, none, "0123456789", 0},
		{"cut in the payload", whole[:44], 50, none, "0123", 6},
		{"cut after the header", whole[:40], 50, none, "", 10},
		{"cut in the TCP header", whole[:39], 50, CutHeader, "", 0},
		{"cut in the IP header", whole[:19], 50, CutHeader, "", 0},
		{"file says less than it holds", whole, 10, none, "0123456789", 0},
		{"total longer than the wire", edit(2, 0, 51), 50, BadLength, "", 0},
		{"total shorter than the headers", edit(2, 0, 39), 50, BadLength, "", 0},
		{"total shorter than IP", edit(2, 0, 19), 50, BadLength, "", 0},
		{"total zero: TSO", edit(2, 0, 0), 50, none, "0123456789", 0},
		{"total zero, on a wire of 3 GiB", edit(2, 0, 0), 3 << 30, BadLength, "", 0},
		{"on a wire of 3 GiB", whole, 3 << 30, none, "0123456789", 0},
		{"total takes away", edit(2, 0, 45), 50, none, "01234", 0},
		{"IP header too short", edit(0, 0x44), 50, BadLength, "", 0},
		{"TCP header too short", edit(32, 0x40), 50, BadLength, "", 0},
		{"TCP header too long", edit(32, 0xf0), 50, BadLength, "", 0},
		{"udp", edit(9, 17), 50, NotTCP, "", 0},
		{"udp to VXLAN", cat(edit(9, 17)[:22], unhex("12b5"), whole[24:]), 50, Tunnelled, "", 0},
		{"gre", edit(9, 47), 50, Tunnelled, "", 0},
		{"ip in ip", edit(9, 4), 50, Tunnelled, "", 0},
		{"udp cut", edit(9, 17)[:22], 50, NotTCP, "", 0},
		{"frame too short for IP", whole[:19], 19, BadLength, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := New(Options{})
			var s capture.Segment
			ok := d.Segment(&capture.Packet{Data: tt.data, Length: tt.length, Link: capture.LinkRaw}, 1, &s)
			checkOne(t, d, ok, tt.want)
			if string(s.Payload) != tt.payload || s.Missing != tt.missing {
				t.Errorf("payload %q, missing %d; want %q, %d", s.Payload, s.Missing, tt.payload, tt.missing)
			}
		})
	}
	bad := cat(whole)
	bad[10] ^= 0x55
	d := New(Options{})
	checkOne(t, d, d.Segment(&capture.Packet{Data: bad, Length: 50, Link: capture.LinkRaw}, 1, new(capture.Segment)), BadIPChecksum)
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		flags  capture.Flags
		opts   string
		ts     bool
		val    uint32
		hasWS  bool
		wscale uint8
	}{
		{name: "none", flags: capture.ACK},
		{name: "fast timestamps", flags: capture.ACK, opts: "0101080a 00000007 00000008", ts: true, val: 7},
		{name: "timestamps and sack", flags: capture.ACK, opts: "0101080a 00000007 00000008 0101050a 0000000100000002", ts: true, val: 7},
		{name: "linux syn", flags: capture.SYN, opts: "020405b4 0402080a 00000009 00000000 01030307", ts: true, val: 9, hasWS: true, wscale: 7},
		{name: "scale beyond 14", flags: capture.SYN, opts: "030363 00", hasWS: true, wscale: 14},
		{name: "scale without syn", flags: capture.ACK, opts: "030307 00"},
		{name: "after the end", flags: capture.SYN, opts: "00030307"},
		{name: "length zero", flags: capture.SYN, opts: "02000303 07000000"},
		{name: "length too long", flags: capture.SYN, opts: "02ff0303"},
		{name: "kind at the edge", flags: capture.SYN, opts: "01010103"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := New(Options{})
			b := ip4(t, nil, segment(tt.flags, unhex(tt.opts), []byte("x")))
			var s capture.Segment
			checkOne(t, d, d.Segment(&capture.Packet{Data: b, Length: len(b), Link: capture.LinkRaw}, 1, &s), none)
			if s.HasTS != tt.ts || s.TSVal != tt.val || s.HasWScale != tt.hasWS || s.WScale != tt.wscale || string(s.Payload) != "x" {
				t.Errorf("got %+v", s)
			}
		})
	}
}

// TestStrange: what is dropped by hosts more than by captures is marked.
func TestStrange(t *testing.T) {
	tcp := segment(capture.ACK, nil, []byte("hello"))
	edit := func(b []byte, at int, v byte) []byte {
		b[at] = v
		if b[0]>>4 == 4 {
			seal(b[:int(b[0]&15)*4])
		}
		return b
	}
	unsealed := func(b []byte) []byte { b[10], b[11] = 0, 0; return b }
	zero := ip4(t, nil, tcp) // its right checksum is zero
	for id := 1; zero[10]|zero[11] != 0; id++ {
		zero = edit(edit(zero, 4, byte(id>>8)), 5, byte(id))
	}
	atomic := ip6(protoFragment, cat([]byte{protoTCP, 0, 0, 0, 1, 2, 3, 4}, tcp))
	long := segment(capture.ACK, nil, make([]byte, 3000))
	for _, tt := range []struct {
		name              string
		data              []byte
		strange, unsummed bool
	}{
		{"IPv4", ip4(t, nil, tcp), false, false},
		{"IPv4, padding for options", ip4(t, []byte{1, 1, 1, 0}, tcp), false, false},
		{"IPv4, source route", ip4(t, []byte{137, 3, 4, 0}, tcp), true, false},
		{"IPv4, length zero", edit(ip4(t, nil, tcp), 3, 0), true, false},
		{"IPv4, length zero of what a card splits", edit(edit(ip4(t, nil, long), 3, 0), 2, 0), false, false},
		{"IPv4, no checksum", unsealed(ip4(t, nil, tcp)), false, true},
		{"IPv4, a checksum of zero", zero, false, false},
		{"IPv6", ip6(protoTCP, tcp), false, false},
		{"IPv6, options", ip6(protoDestOpts, cat([]byte{protoTCP, 0}, make([]byte, 6), tcp)), true, false},
		{"IPv6, atomic fragment", atomic, false, false},
		{"IPv6, length zero", edit(ip6(protoTCP, tcp), 5, 0), true, false},
		{"IPv6, length zero of what a card splits", edit(edit(ip6(protoTCP, long), 4, 0), 5, 0), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := New(Options{})
			var s capture.Segment
			checkOne(t, d, d.Segment(&capture.Packet{Data: tt.data, Length: len(tt.data), Link: capture.LinkRaw}, 1, &s), none)
			if s.Strange != tt.strange || s.Unsummed != tt.unsummed {
				t.Errorf("strange %t, unsummed %t; want %t, %t", s.Strange, s.Unsummed, tt.strange, tt.unsummed)
			}
		})
	}
	part := unsealed(edit(ip4(t, nil, tcp[:24]), 6, 0x20))
	d := New(Options{})
	checkOne(t, d, d.Segment(&capture.Packet{Data: part, Length: len(part), Link: capture.LinkRaw}, 1, new(capture.Segment)), BadIPChecksum)
}

func TestExtensions(t *testing.T) {
	tcp := segment(capture.ACK, nil, []byte("hello"))
	opts := func(next byte) []byte { return cat([]byte{next, 0}, make([]byte, 6)) }
	many := tcp
	next := byte(protoTCP)
	for range maxExtensions + 1 {
		many, next = cat(opts(next), many), protoDestOpts
	}
	for _, tt := range []struct {
		name string
		data []byte
		want Skip
	}{
		{"hop by hop, routing, destination", ip6(protoHopByHop, cat(opts(protoRouting), opts(protoDestOpts), opts(protoTCP), tcp)), none},
		{"as many as allowed", ip6(protoDestOpts, many[8:]), none},
		{"too many", ip6(protoDestOpts, many), ExtensionsTooMany},
		{"authentication", ip6(protoAH, cat([]byte{protoTCP, 4}, make([]byte, 22), tcp)), none},
		{"atomic fragment", ip6(protoFragment, cat([]byte{protoTCP, 0, 0, 0, 1, 2, 3, 4}, tcp)), none},
		{"udp behind", ip6(protoHopByHop, cat(opts(17), tcp)), NotTCP},
		{"longer than the packet", ip6(protoHopByHop, cat([]byte{protoTCP, 9}, make([]byte, 6), tcp)), BadLength},
		{"no room", ip6(protoHopByHop, []byte{6, 0, 0}), BadLength},
		{"mapped", ip6(protoTCP, tcp), none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := New(Options{})
			var s capture.Segment
			ok := d.Segment(&capture.Packet{Data: tt.data, Length: len(tt.data), Link: capture.LinkRaw}, 1, &s)
			checkOne(t, d, ok, tt.want)
			if ok && (string(s.Payload) != "hello" || s.Src.Addr() != src6) {
				t.Errorf("segment %+v", s)
			}
		})
	}
	mapped := ip6(protoTCP, tcp)
	copy(mapped[8:], make([]byte, 10))
	copy(mapped[18:], []byte{0xff, 0xff, 1, 2, 3, 4})
	var s capture.Segment
	if d := New(Options{}); !d.Segment(&capture.Packet{Data: mapped, Length: len(mapped), Link: capture.LinkRaw}, 1, &s) || s.Src.Addr() != netip.MustParseAddr("1.2.3.4") {
		t.Errorf("mapped address: %v", s.Src)
	}
}

func BenchmarkSegment(b *testing.B) {
	for _, tt := range []struct {
		name  string
		frame []byte
	}{
		{"ipv4", cat(macs(), unhex("0800"), ip4(b, nil, segment(capture.ACK, unhex("0101080a0000000700000008"), make([]byte, 400))))},
		{"ipv6", cat(macs(), unhex("86dd"), ip6(protoTCP, segment(capture.ACK, unhex("0101080a0000000700000008"), make([]byte, 400))))},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			d := New(Options{})
			p := capture.Packet{Data: tt.frame, Length: len(tt.frame), Link: capture.LinkEthernet}
			var s capture.Segment
			for b.Loop() {
				d.Segment(&p, 1, &s)
			}
		})
	}
}

func TestSegmentDoesNotAllocate(t *testing.T) {
	for name, frame := range map[string][]byte{
		"ipv4":  ip4(t, nil, segment(capture.ACK, nil, make([]byte, 400))),
		"ipv6":  ip6(protoTCP, segment(capture.ACK, nil, nil)),
		"other": ip6(17, nil),
	} {
		d := New(Options{})
		p := capture.Packet{Data: frame, Length: len(frame), Link: capture.LinkRaw}
		var s capture.Segment
		if n := testing.AllocsPerRun(100, func() { d.Segment(&p, 1, &s) }); n != 0 {
			t.Errorf("%s: %v allocations a packet", name, n)
		}
	}
}
