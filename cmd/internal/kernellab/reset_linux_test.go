package kernellab

import (
	"time"

	"stallwatch/capture"
)

// resetRows are about RST, and about SYN where a connection is.
var resetRows = []row{{
	name:   "rst_bad_checksum",
	kernel: "an RST with a wrong checksum is dropped",
	play: func(p *Play) {
		c, _ := called(p)
		c.Send(Seg{Flags: rst, Sum: BadSum})
		p.Check("wrong", "established=1", Blind{})
	},
}, {
	name:   "rst_in_window",
	kernel: "an RST in the window, but not at the next byte: challenge ACK",
	play: func(p *Play) {
		c, a := called(p)
		c.SendAt(int(c.next)+100, Seg{Flags: rst})
		p.Check("above", "established=1", Blind{})
		c.SendAt(int(c.next)-1, Seg{Flags: rst})
		p.Check("below", "established=1", Blind{})
		c.SendAt(1<<24, Seg{Flags: rst})
		p.Check("far away", "established=1", Blind{})
		a.Answer()
		p.Check("answered", "established=1", Blind{})
	},
}, {
	name:   "rst_exact",
	kernel: "an exact RST on an unanswered call: the socket is gone, the descriptor is not",
	play: func(p *Play) {
		c, a := called(p)
		c.Send(Seg{Flags: rst})
		p.Check("reset", "dead=1", Blind{})
		c.Send(Seg{Flags: rst})
		c.Send(Seg{Data: "late"})
		p.Check("and what comes late", "dead=1", Blind{})
		_ = a
	},
}, {
	name:   "rst_without_ack",
	kernel: "the ACK flag of an RST does not matter",
	play: func(p *Play) {
		c, _ := called(p)
		c.Send(Seg{Flags: rst, NoAck: true})
		p.Check("reset", "dead=1", Blind{})
	},
}, {
	name:   "rst_answered",
	kernel: "an RST on a connection that owes nothing",
	play: func(p *Play) {
		c, a := called(p)
		a.Answer()
		c.Ack()
		c.Send(Seg{Flags: rst})
		p.Check("reset", "dead=1", Blind{Idle: 1})
		a.Close()
		p.Check("closed", "", Blind{})
	},
}, {
	name:   "rst_beyond_hole",
	kernel: "with bytes beyond a hole, an RST inside them or at their end is challenged",
	play: func(p *Play) {
		c, _ := called(p)
		at := int(c.next)
		c.SendAt(at+10, Seg{Data: "0123456789"})
		c.SendAt(at+15, Seg{Flags: rst})
		p.Check("inside", "established=1", Blind{})
		c.SendAt(at+20, Seg{Flags: rst})
		p.Check("at the end", "established=1", Blind{})
		c.SendAt(at, Seg{Flags: rst})
		p.Check("exact", "dead=1", Blind{})
	},
}, {
	name:   "rst_beyond_hole_sack",
	kernel: "where SACK was agreed upon, one at their end is obeyed",
	play: func(p *Play) {
		c := p.Client()
		c.SACK = true
		c.Open()
		a := p.Accept()
		c.Send(Seg{Data: first})
		a.Read(int(c.next))
		at := int(c.next)
		c.SendAt(at+30, Seg{Data: "0123456789"})
		c.SendAt(at+10, Seg{Data: "0123456789"})
		c.SendAt(at+20, Seg{Flags: rst})
		p.Check("at the end of the first", "established=1", Blind{})
		c.SendAt(at+40, Seg{Flags: rst})
		p.Check("at the end of the last", "dead=1", Blind{})
	},
}, {
	name:   "rst_after_fin",
	kernel: "FIN, then RST, as when a client's process ends: CLOSE_WAIT is gone, the descriptor is not",
	play: func(p *Play) {
		c, _ := called(p)
		c.Send(Seg{Flags: fin})
		p.Check("FIN", "close_wait=1", Blind{})
		c.Send(Seg{Flags: rst})
		p.Check("RST", "dead=1", Blind{})
	},
}, {
	name:   "rst_at_fin",
	kernel: "in CLOSE_WAIT an RST with the FIN's own number is obeyed as well",
	play: func(p *Play) {
		c, _ := called(p)
		at := int(c.next)
		c.Send(Seg{Flags: fin})
		p.Check("FIN", "close_wait=1", Blind{})
		c.SendAt(at-1, Seg{Flags: rst})
		p.Check("RST below", "close_wait=1", Blind{})
		c.SendAt(at, Seg{Flags: rst})
		p.Check("RST at the FIN", "dead=1", Blind{})
	},
}, {
	name:   "keepalive_rst",
	kernel: "the server's keep-alive probe after the client's FIN_WAIT2 has expired: RST, CLOSE_WAIT falls, the descriptor stays",
	server: ServerOptions{KeepAlive: 1},
	play: func(p *Play) {
		c, _ := called(p)
		c.Send(Seg{Flags: fin})
		c.Acked()
		p.Check("close_wait", "close_wait=1", Blind{})
		probe := c.Await("keep-alive probe", func(s *capture.Segment) bool { return s.Seq == c.rcv-1 })
		p.Check("probed", "close_wait=1", Blind{})
		c.Send(Seg{Flags: rst, NoAck: true}) // a socket that is gone answers with the number that the probe acknowledged
		if probe.Ack != c.isn+1+c.next {
			p.t.Errorf("the probe acknowledges %d, the client sent until %d", probe.Ack, c.isn+1+c.next)
		}
		p.Check("reset", "dead=1", Blind{})
	},
}, {
	name:   "keepalive_expired",
	kernel: "the server's keep-alive probes are never answered: the kernel resets, and the descriptor stays",
	server: ServerOptions{KeepAlive: 1},
	play: func(p *Play) {
		c, _ := called(p)
		c.Gets(rst)
		p.Check("reset", "dead=1", Blind{Expired: 1})
	},
}, {
	name:   "keepalive_answered",
	kernel: "the server's keep-alive probes, answered by the client, change nothing",
	server: ServerOptions{KeepAlive: 1},
	play: func(p *Play) {
		c, _ := called(p)
		c.Await("keep-alive probe", func(s *capture.Segment) bool { return s.Seq == c.rcv-1 })
		c.Ack()
		c.Await("second probe", func(s *capture.Segment) bool { return s.Seq == c.rcv-1 })
		c.Ack()
		p.Check("probed twice", "established=1", Blind{})
	},
}, {
	name:   "keepalive_client",
	kernel: "a client's keep-alive probes, of no or one old byte: answered, not delivered",
	play: func(p *Play) {
		c, a := called(p)
		a.Answer()
		c.Ack()
		at := int(c.next) - 1
		c.SendAt(at, Seg{})
		c.SendAt(at, Seg{Data: "\x00"})
		p.Check("probes", "established=1", Blind{})
		c.Send(Seg{Data: Call("getNodeInfo")})
		a.Read(int(c.next))
		p.Check("a call after them", "established=1", Blind{})
	},
}, {
	name:   "syn_on_close_wait",
	kernel: "a SYN on the ports of a CLOSE_WAIT: challenge ACK, the client's RST, and the second SYN is accepted while the old descriptor stays",
	play: func(p *Play) {
		c, _ := called(p)
		c.Send(Seg{Flags: fin})
		c.Acked()
		p.Check("close_wait", "close_wait=1", Blind{})
		d := c.Again()
		d.Syn("")
		challenge := d.Gets(capture.ACK)
		p.Check("challenged", "close_wait=1", Blind{})
		if challenge.Ack != c.isn+1+c.next {
			p.t.Errorf("the challenge acknowledges %d, want the old connection's %d", challenge.Ack, c.isn+1+c.next)
		}
		c.Send(Seg{Flags: rst, NoAck: true})
		p.Check("reset", "dead=1", Blind{})
		d.Open()
		p.Check("opened anew", "established=1 unaccepted=1 dead=1", Blind{})
		b := p.Accept()
		d.Send(Seg{Data: Call("getNodeInfo")})
		b.Read(int(d.next))
		p.Check("a call on the new one", "established=1 dead=1", Blind{})
	},
}, {
	name:   "syn_in_connection",
	kernel: "a SYN with other numbers inside a connection: challenge ACK, nothing else",
	play: func(p *Play) {
		c, a := called(p)
		d := c.Again()
		d.Syn("")
		p.Check("challenged", "established=1", Blind{})
		a.Answer()
		c.Ack()
		c.Send(Seg{Data: Call("getNodeInfo")})
		a.Read(int(c.next))
		p.Check("goes on", "established=1", Blind{})
	},
}, {
	name:   "time_wait_reuse",
	kernel: "a SYN with a higher number on the ports of a TIME_WAIT opens a new connection",
	play: func(p *Play) {
		c, a := called(p)
		a.Answer()
		a.Close()
		c.Gets(fin)
		c.Send(Seg{Flags: fin})
		p.Check("time_wait", "time_wait=1", Blind{})
		c.Ack()
		p.Check("a late ACK", "time_wait=1", Blind{})
		d := c.Again()
		d.Open()
		b := p.Accept()
		d.Send(Seg{Data: Call("getNodeInfo")})
		b.Read(int(d.next))
		p.Check("reused", "established=1", Blind{})
	},
}, {
	name:   "server_reset",
	kernel: "a server that closes with bytes unread resets",
	play: func(p *Play) {
		c, a := called(p)
		c.Send(Seg{Data: "more"})
		p.Check("unread", "established=1", Blind{})
		a.Close()
		c.Gets(rst)
		p.Check("reset", "", Blind{})
	},
}, {
	name:   "rst_while_closing",
	kernel: "the client's RST after the server's FIN: the socket is gone",
	play: func(p *Play) {
		c, a := called(p)
		a.Answer()
		a.Shutdown()
		c.Gets(fin)
		c.Ack()
		p.Check("half closed by the server", "fin_wait2=1", Blind{})
		p.Wait(20 * time.Millisecond)
		c.Send(Seg{Flags: rst})
		p.Check("reset", "dead=1", Blind{Idle: 1})
	},
}}
