package kernellab

import (
	"slices"
	"time"

	"stallwatch/capture"
)

// ipOption returns a function that puts four bytes of options behind the IP
// header.
func ipOption(b ...byte) func([]byte) []byte {
	return func(f []byte) []byte {
		const ip, tcp = 14, 34
		f = slices.Insert(f, tcp, b...)
		f[ip], f[ip+3] = 0x46, f[ip+3]+4
		f[ip+10], f[ip+11] = 0, 0
		sum := ^capture.Fold(capture.Sum(0, f[ip:tcp+4]))
		f[ip+10], f[ip+11] = byte(sum>>8), byte(sum)
		return f
	}
}

// answered makes a handshake up to the server's SYN-ACK, with timestamps.
func answered(p *Play) *Client {
	c := p.Client()
	c.TS = true
	c.Syn("")
	c.SynAck()
	c.Clock += 10
	return c
}

// goesOn completes the handshake with a call, which the application reads.
func goesOn(p *Play, c *Client) {
	p.t.Helper()
	c.Send(Seg{Data: first})
	read(p, p.Accept())
}

// openingRows are about decoys inside the handshake, and about what was agreed
// upon there.
var openingRows = []row{
	{name: "opening_paws", kernel: "a first call older than the SYN's timestamp: dropped, and no handshake is complete", play: func(p *Play) {
		c := answered(p)
		c.SendAt(0, Seg{Data: second, TSBack: 15})
		p.Check("the decoy", "syn_recv=1", Blind{})
		goesOn(p, c)
	}},
	{name: "opening_paws_little", kernel: "a single tick counts here", play: func(p *Play) {
		c := answered(p)
		c.SendAt(0, Seg{Data: second, TSBack: 11})
		p.Check("the decoy", "syn_recv=1", Blind{})
		c.SendAt(0, Seg{TSBack: 10})
		p.Check("as old as the SYN", "established=1 unaccepted=1", Blind{})
		goesOn(p, c)
	}},
	{name: "opening_echo", kernel: "a first call whose echoed timestamp was never sent: dropped (since Linux 6.15)", play: func(p *Play) {
		c := answered(p)
		c.SendAt(0, Seg{Data: second, Echo: 12345})
		p.Check("the decoy", "syn_recv=1", Blind{})
		goesOn(p, c)
	}},
	{name: "opening_checksum", kernel: "a final ACK with a wrong checksum completes nothing", play: func(p *Play) {
		c := answered(p)
		c.SendAt(0, Seg{Sum: BadSum})
		p.Check("wrong", "syn_recv=1", Blind{})
		c.SendAt(0, Seg{Sum: BareSum})
		p.Check("bare", "syn_recv=1", Blind{})
		goesOn(p, c)
	}},
	{name: "opening_bare_syn", kernel: "a SYN with the sum of the pseudo header alone comes before the right one: a call with such a sum is dropped all the same", play: func(p *Play) {
		c := p.Client()
		c.Sum = BareSum
		c.Syn("")
		p.Check("the decoy", "", Blind{})
		c.Sum = GoodSum
		c.Open()
		a := p.Accept()
		c.SendAt(0, Seg{Data: second, Sum: BareSum})
		p.Check("the second decoy", "established=1", Blind{})
		c.Send(Seg{Data: first})
		read(p, a)
	}},
	{name: "opening_without_timestamps", kernel: "timestamps that were not agreed upon mean nothing", play: func(p *Play) {
		c, a := opened(p)
		c.TS = true
		c.Clock += 5000
		c.Send(Seg{Data: first})
		a.Read(int(c.next))
		a.Answer()
		c.Gets(capture.PSH)
		c.Send(Seg{Data: second, TSBack: 4000})
		read(p, a)
		c.Send(Seg{Flags: fin, TSBack: 4000})
		p.Check("closed", "close_wait=1", Blind{})
	}},
	{name: "opening_fin", kernel: "the final ACK may be the FIN", play: func(p *Play) {
		c := answered(p)
		c.Send(Seg{Flags: fin})
		p.Check("open and closed", "close_wait=1 unaccepted=1", Blind{})
	}},
	{name: "opening_out_of_order", kernel: "the end of the first call comes first, and completes the handshake", play: func(p *Play) {
		c := answered(p)
		c.SendAt(40, Seg{Data: first[40:]})
		p.Check("its end", "established=1 unaccepted=1", Blind{})
		c.SendAt(0, Seg{Data: first[:40]})
		c.Skip(len(first))
		read(p, p.Accept())
	}},
	{name: "decoy_ip_checksum_zero", kernel: "an IP header without a checksum: dropped, be it data, FIN or RST", play: func(p *Play) {
		zero := func(f []byte) []byte { f[24], f[25] = 0, 0; return f }
		c := p.Client()
		c.Syn("")
		c.SynAck()
		c.Ack()
		a := p.Accept()
		c.SendAt(0, Seg{Data: second, Mangle: zero})
		p.Check("data", "established=1", Blind{})
		c.Send(Seg{Data: first})
		a.Read(len(first))
		p.Check("the call", "established=1", Blind{})
		c.SendAt(int(c.next), Seg{Flags: rst, Mangle: zero})
		p.Check("RST", "established=1", Blind{})
		c.SendAt(int(c.next), Seg{Flags: fin, Mangle: zero})
		p.Check("FIN", "established=1", Blind{})
		c.Send(Seg{Flags: fin})
		p.Check("the FIN", "close_wait=1", Blind{})
	}},
	{name: "decoy_source_route", kernel: "an IP option that routes by the source: dropped; one that does nothing: taken", play: func(p *Play) {
		c, a := opened(p)
		c.SendAt(0, Seg{Data: second, Mangle: ipOption(137, 3, 4, 0)})
		p.Check("the decoy", "established=1", Blind{})
		c.Send(Seg{Data: first, Mangle: ipOption(1, 1, 1, 1)})
		read(p, a)
		c.SendAt(int(c.next), Seg{Flags: fin, Mangle: ipOption(137, 3, 4, 0)})
		p.Check("a FIN", "established=1", Blind{})
	}},
	{name: "decoy_ip_length_zero", kernel: "an IP packet whose length is zero: dropped", play: func(p *Play) {
		c, a := opened(p)
		c.SendAt(0, Seg{Data: second, Mangle: func(f []byte) []byte {
			f[16], f[17], f[24], f[25] = 0, 0, 0, 0
			sum := ^capture.Fold(capture.Sum(0, f[14:34]))
			f[24], f[25] = byte(sum>>8), byte(sum)
			return f
		}})
		p.Check("the decoy", "established=1", Blind{})
		c.Send(Seg{Data: first})
		read(p, a)
	}},
	{name: "syn_md5", kernel: "a SYN with a signature that nobody asked for: dropped in silence, which is no full queue", play: func(p *Play) {
		for range 3 {
			c := p.Client()
			c.SendAt(-1, Seg{Flags: capture.SYN, NoAck: true, Options: tcpMD5})
		}
		p.Wait(600 * time.Millisecond)
		p.Check("silence", "", Blind{}, "not syn_unanswered")
	}},
	{name: "rst_in_fin_wait", kernel: "an exact RST after the server's FIN ends the connection", play: func(p *Play) {
		c, a := called(p)
		a.Answer()
		a.Close()
		c.Gets(fin)
		c.Ack()
		p.Check("closed", "fin_wait2=1", Blind{})
		c.Send(Seg{Flags: rst})
		p.Check("reset", "", Blind{})
	}},
}
