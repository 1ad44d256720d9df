package kernellab

import (
	"strings"

	"stallwatch/capture"
)

// decoy returns a play in which a call comes twice with the same numbers: first
// as s, which carries the second call, then as it should. A connection with
// history: one call was answered.
func decoy(ts bool, s Seg) func(*Play) {
	return func(p *Play) {
		c := p.Client()
		c.TS = ts
		c.Open()
		a := p.Accept()
		c.Clock += 10
		c.Send(Seg{Data: Call("addNeighbors")})
		a.Read(int(c.next))
		a.Answer()
		c.Gets(capture.PSH)
		c.Clock += 10
		c.Ack()
		p.Check("a call before", "established=1", Blind{})
		s := s
		s.Data = second
		c.SendAt(int(c.next), s)
		p.Check("the decoy", "established=1", Blind{})
		c.Send(Seg{Data: first})
		read(p, a)
	}
}

// tcpByte returns a function that sets a byte of the TCP header, with the right
// checksum, and cuts the segment if keep is not 0.
func tcpByte(at int, v byte, keep int) func([]byte) []byte {
	return func(f []byte) []byte {
		const ip, tcp = 14, 34
		if keep > 0 {
			f = f[:tcp+keep-20]
			f[ip+2], f[ip+3] = 0, byte(len(f)-ip)
			f[ip+10], f[ip+11] = 0, 0
			sum := ^capture.Fold(capture.Sum(0, f[ip:tcp]))
			f[ip+10], f[ip+11] = byte(sum>>8), byte(sum)
		}
		f[tcp+at] = v
		f[tcp+16], f[tcp+17] = 0, 0
		sum := ^capture.Fold(capture.Sum(6+uint64(len(f)-tcp), f[ip+12:]))
		f[tcp+16], f[tcp+17] = byte(sum>>8), byte(sum)
		return f
	}
}

// tcpMD5 is the option of RFC 2385, 18 bytes and two of padding.
var tcpMD5 = append([]byte{19, 18}, append(make([]byte, 16), 1, 1)...)

// decoyRows are about segments that the kernel does not take, or does against
// appearances.
var decoyRows = []row{
	{name: "decoy_none", kernel: "two calls with the same numbers: the first wins", play: decoy(false, Seg{})},
	{name: "decoy_checksum", kernel: "a wrong checksum: dropped", play: decoy(false, Seg{Sum: BadSum})},
	{name: "decoy_bare_checksum", kernel: "the sum of the pseudo header alone, from the wire: dropped", play: decoy(false, Seg{Sum: BareSum})},
	{name: "decoy_paws", kernel: "an old timestamp: dropped, and answered by an ACK", play: decoy(true, Seg{TSBack: 15})},
	{name: "decoy_paws_little", kernel: "a timestamp one tick older than the last: taken", play: decoy(true, Seg{TSBack: 1})},
	{name: "decoy_paws_two", kernel: "a timestamp two ticks older than the last: dropped", play: decoy(true, Seg{TSBack: 2})},
	{name: "decoy_no_timestamp", kernel: "no timestamp where they were agreed upon: taken", play: decoy(true, Seg{NoTS: true})},
	{name: "decoy_no_ack", kernel: "data without the ACK flag: dropped", play: decoy(false, Seg{NoAck: true})},
	{name: "decoy_ack_future", kernel: "an acknowledgement of what was not sent: dropped (RFC 5961 section 5)", play: decoy(false, Seg{AckMore: 100})},
	{name: "decoy_ack_old", kernel: "an old acknowledgement: taken", play: decoy(false, Seg{AckMore: -10})},
	{name: "decoy_ack_ancient", kernel: "an acknowledgement older than the largest window: dropped (RFC 5961 section 5)", play: decoy(false, Seg{AckMore: -1 << 20})},
	{name: "decoy_syn", kernel: "data in a SYN inside the connection: dropped, challenge ACK", play: decoy(false, Seg{Flags: capture.SYN, NoAck: true})},
	{name: "decoy_syn_ack", kernel: "the same with ACK", play: decoy(false, Seg{Flags: capture.SYN})},
	{name: "decoy_md5", kernel: "an MD5 signature (RFC 2385) that nobody asked for: dropped", play: decoy(false, Seg{Options: tcpMD5})},
	{name: "decoy_ip_checksum", kernel: "a wrong IP checksum: dropped", play: decoy(false, Seg{Mangle: func(f []byte) []byte { f[24] ^= 0x55; return f }})},
	{name: "decoy_ip_length", kernel: "an IP packet longer than its frame: dropped", play: decoy(false, Seg{Mangle: func(f []byte) []byte { return f[:len(f)-1] }})},
	{name: "decoy_data_offset", kernel: "a TCP header longer than its segment: dropped", play: decoy(false, Seg{Mangle: tcpByte(12, 0xf0, 60)})},
	{name: "decoy_short_header", kernel: "a TCP header shorter than 20 bytes: dropped", play: decoy(false, Seg{Mangle: tcpByte(12, 0x40, 0)})},
	{name: "decoy_syn_fin", kernel: "data with SYN and FIN: dropped", play: decoy(false, Seg{Flags: capture.SYN | fin})},
	{name: "trailing_bytes", kernel: "what a frame has beyond its IP packet is not data", play: func(p *Play) {
		c, a := opened(p)
		c.Send(Seg{Data: first[:20], Mangle: func(f []byte) []byte { return append(f, "trailing bytes"...) }})
		c.Send(Seg{Data: first[20:]})
		read(p, a)
	}},
	{name: "decoy_fragments", kernel: "IP fragments that overlap are dropped with their datagram", play: func(p *Play) {
		c, a := opened(p)
		c.SendAt(0, Seg{Data: second, Cuts: []int{40, 48}, Overlap: true})
		p.Check("the decoy", "established=1", Blind{})
		c.Send(Seg{Data: first})
		read(p, a)
	}},
	{name: "rst_old_timestamp", kernel: "an RST is obeyed whatever its timestamp", play: func(p *Play) {
		c := p.Client()
		c.TS = true
		c.Open()
		a := p.Accept()
		c.Clock += 20
		c.Send(Seg{Data: first})
		a.Read(int(c.next))
		c.Send(Seg{Flags: rst, TSBack: 15})
		p.Check("reset", "dead=1", Blind{})
	}},
	{name: "fin_old_timestamp", kernel: "a FIN with an old timestamp is dropped", play: func(p *Play) {
		c := p.Client()
		c.TS = true
		c.Open()
		a := p.Accept()
		c.Clock += 20
		c.Send(Seg{Data: first})
		a.Read(int(c.next))
		c.SendAt(int(c.next), Seg{Flags: fin, TSBack: 15})
		p.Check("old", "established=1", Blind{})
		c.Send(Seg{Flags: fin})
		p.Check("new", "close_wait=1", Blind{})
	}},
	{name: "fin_decoys", kernel: "a FIN without ACK, or with an acknowledgement of what was not sent, is dropped", play: func(p *Play) {
		c, _ := called(p)
		c.SendAt(int(c.next), Seg{Flags: fin, NoAck: true})
		p.Check("no ACK", "established=1", Blind{})
		c.SendAt(int(c.next), Seg{Flags: fin, AckMore: 100})
		p.Check("ACK of the future", "established=1", Blind{})
		c.SendAt(int(c.next), Seg{Flags: fin, Sum: BareSum})
		p.Check("bare checksum", "established=1", Blind{})
		c.Send(Seg{Flags: fin})
		p.Check("right", "close_wait=1", Blind{})
	}},
	{name: "rst_decoys", kernel: "an RST is judged by its number and checksum alone", play: func(p *Play) {
		c, _ := called(p)
		c.Send(Seg{Flags: rst, Sum: BareSum})
		p.Check("bare checksum", "established=1", Blind{})
		c.Send(Seg{Flags: rst, AckMore: 1 << 20})
		p.Check("ACK of the future", "dead=1", Blind{})
	}},
	{name: "beyond_window", kernel: "bytes beyond the window that the server announced are dropped, and may be others when they come again",
		server: ServerOptions{Receive: 2048}, play: func(p *Play) {
			c, a := opened(p)
			c.Send(Seg{Data: "POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 4000\r\n\r\n"})
			start := int(c.next)
			for range 8 {
				c.Send(Seg{Data: strings.Repeat("A", 500)})
			}
			p.Check("sent", "established=1", Blind{})
			for done := 0; done < start+4000; {
				done = len(a.Drain().Read)
				p.Check("read", "established=1", Blind{})
				c.SendAt(done, Seg{Data: strings.Repeat("B", min(500, start+4000-done))})
			}
		}},
}
