package kernellab

import (
	"time"

	"stallwatch/capture"
)

// handshakeRows are about SYN, the accept queue and scans.
var handshakeRows = []row{{
	name:   "half_open",
	kernel: "a handshake that is not completed is SYN_RECV",
	play: func(p *Play) {
		c := p.Client()
		c.Syn("")
		c.SynAck()
		p.Check("SYN", "syn_recv=1", Blind{})
		c.Syn("")
		c.SynAck()
		p.Check("SYN again", "syn_recv=1", Blind{})
		c.Send(Seg{Flags: rst})
		p.Check("RST", "", Blind{})
	},
}, {
	name:   "syn_in_handshake",
	kernel: "a SYN with other numbers inside a handshake does not disturb it",
	play: func(p *Play) {
		c := p.Client()
		c.Syn("")
		c.SynAck()
		d := c.Again()
		d.Syn("")
		p.Check("another SYN", "syn_recv=1", Blind{})
		c.Ack()
		p.Check("the first goes on", "established=1 unaccepted=1", Blind{})
		a := p.Accept()
		c.Send(Seg{Data: first})
		read(p, a)
	},
}, {
	name:   "rst_in_handshake",
	kernel: "an RST inside a handshake is judged by its number",
	play: func(p *Play) {
		c := p.Client()
		c.Syn("")
		c.SynAck()
		c.SendAt(100, Seg{Flags: rst})
		p.Check("above", "syn_recv=1", Blind{})
		c.SendAt(-1, Seg{Flags: rst})
		p.Check("below", "syn_recv=1", Blind{})
		c.SendAt(0, Seg{Flags: rst})
		p.Check("exact", "", Blind{})
	},
}, {
	name:   "wrong_ack",
	kernel: "a final ACK of another number is answered by RST and changes nothing",
	play: func(p *Play) {
		c := p.Client()
		c.Syn("")
		c.SynAck()
		c.Send(Seg{AckMore: 1000})
		c.Gets(rst)
		p.Check("wrong", "syn_recv=1", Blind{})
		c.Ack()
		p.Check("right", "established=1 unaccepted=1", Blind{})
	},
}, {
	name:   "ack_with_data",
	kernel: "the final ACK may carry the call",
	play: func(p *Play) {
		c := p.Client()
		c.Syn("")
		c.SynAck()
		c.Send(Seg{Data: Call("getNodeInfo"), Flags: fin})
		p.Check("all in one", "close_wait=1 unaccepted=1", Blind{})
		p.Accept().ReadAll()
		p.Check("read", "close_wait=1", Blind{})
	},
}, {
	name:   "data_in_syn",
	kernel: "data in a SYN without Fast Open is not delivered, and comes again",
	play: func(p *Play) {
		c := p.Client()
		c.Syn(second)
		c.SynAck()
		c.Ack()
		a := p.Accept()
		p.Check("open", "established=1", Blind{})
		c.Send(Seg{Data: first})
		read(p, a)
	},
}, {
	name:   "unaccepted",
	kernel: "connections wait in the accept queue without a descriptor, established or half closed",
	play: func(p *Play) {
		for range 3 {
			c := p.Client().Open()
			c.Send(Seg{Data: first})
		}
		p.Check("three calls", "established=3 unaccepted=3", Blind{})
		c := p.Client().Open()
		c.Send(Seg{Data: first, Flags: fin})
		p.Check("one half closed", "close_wait=1 established=3 unaccepted=4", Blind{})
		p.Accept().Read(len(first))
		p.Check("one accepted", "close_wait=1 established=3 unaccepted=3", Blind{})
	},
}, {
	name:   "rst_unaccepted",
	kernel: "an RST takes a waiting connection out of the table, but not out of the accept queue",
	play: func(p *Play) {
		c := p.Client().Open()
		c.Send(Seg{Data: first})
		p.Check("waiting", "established=1 unaccepted=1", Blind{})
		c.Send(Seg{Flags: rst})
		p.Check("reset", "dead=1", Blind{})
		a := p.Accept()
		p.Check("accepted", "dead=1", Blind{})
		a.Drain()
		p.Check("read", "dead=1", Blind{})
	},
}, {
	name:   "queue_full_at_ack",
	kernel: "the final ACK finds the accept queue full: it is dropped, the SYN-ACK comes again after 1 s",
	server: ServerOptions{Backlog: 1},
	play: func(p *Play) {
		late := twoAtOnce(p)
		p.Check("acknowledged", "established=2 syn_recv=1 unaccepted=2", Blind{Deferred: 1})
		late.Send(Seg{Data: first})
		p.Check("with a call", "established=2 syn_recv=1 unaccepted=2", Blind{Deferred: 1})
		late.SynAck()
		p.Check("SYN-ACK again", "established=2 syn_recv=1 unaccepted=2", Blind{}, "syn_unanswered")
		p.Accept()
		late.SendAt(0, Seg{Data: first})
		late.Acked()
		p.Check("room, and the call again", "established=3 unaccepted=2", Blind{})
		p.Accept()
		p.Accept().Read(len(first))
		p.Check("read", "established=3", Blind{})
	},
}, {
	name:   "queue_full_at_ack_cookies",
	kernel: "the same with SYN cookies: nothing is kept and nothing is said; the client believes it is connected",
	server: ServerOptions{Backlog: 1, Cookies: "2"},
	play: func(p *Play) {
		late := twoAtOnce(p)
		p.Check("acknowledged", "established=2 unaccepted=2", Blind{Stateless: 1})
		late.Send(Seg{Data: first})
		p.Check("call", "established=2 unaccepted=2", Blind{Stateless: 1})
		p.Wait(1300 * time.Millisecond)
		p.Check("and no SYN-ACK", "established=2 unaccepted=2", Blind{Stateless: 1})
		late.Send(Seg{Flags: fin}) // its numbers do not fit the cookie
		late.Gets(rst)
		p.Check("FIN, refused", "established=2 unaccepted=2", Blind{})
	},
}, {
	name:   "cookies",
	kernel: "a SYN cookie: no socket until the final ACK",
	server: ServerOptions{Cookies: "2"},
	play: func(p *Play) {
		c := p.Client()
		c.Syn("")
		c.SynAck()
		p.Check("SYN-ACK", "", Blind{Cookies: 1})
		c.Ack()
		p.Check("ACK", "established=1 unaccepted=1", Blind{})
		a := p.Accept()
		c.Send(Seg{Data: first})
		read(p, a)
	},
}, {
	name:   "defer_accept",
	kernel: "TCP_DEFER_ACCEPT: a handshake without data stays SYN_RECV, in silence",
	server: ServerOptions{Defer: 30},
	play: func(p *Play) {
		c := p.Client().Open()
		p.Check("ACK", "syn_recv=1", Blind{Deferred: 1})
		p.Wait(1300 * time.Millisecond)
		p.Check("and silence", "syn_recv=1", Blind{Deferred: 1})
		c.Send(Seg{Data: first})
		a := p.Accept()
		read(p, a)
	},
}, {
	name:   "queue_full_at_syn",
	kernel: "a SYN finds the accept queue full and is dropped in silence",
	server: ServerOptions{Backlog: 1},
	play: func(p *Play) {
		p.Client().Open()
		p.Client().Open()
		c := p.Client()
		c.Syn("")
		p.Wait(600 * time.Millisecond)
		p.Check("no answer", "established=2 unaccepted=2", Blind{}, "syn_unanswered")
		c.Syn("")
		p.Check("again none", "established=2 unaccepted=2", Blind{}, "syn_unanswered")
		p.Accept()
		c.Syn("")
		c.SynAck()
		c.Ack()
		p.Check("room", "established=3 unaccepted=2", Blind{})
	},
}, {
	name:   "scans",
	kernel: "ACK, FIN, no flag, all flags, RST and SYN-ACK to no connection: RST or nothing",
	play: func(p *Play) {
		for _, s := range []Seg{{}, {Flags: fin}, {NoAck: true}, {Flags: fin, NoAck: true},
			{Flags: fin | capture.PSH | capture.URG, NoAck: true}, {Flags: rst}, {Flags: capture.SYN},
			{Flags: capture.SYN | fin, NoAck: true}, {Flags: capture.SYN | rst, NoAck: true}} {
			p.Client().Send(s)
		}
		p.Wait(600 * time.Millisecond)
		p.Check("scanned", "", Blind{}, "not syn_unanswered")
	},
}, {
	name:   "data_without_connection",
	kernel: "a call on no connection is answered by RST",
	play: func(p *Play) {
		c := p.Client()
		c.Send(Seg{Data: first})
		c.Gets(rst)
		p.Check("refused", "", Blind{})
		c.Send(Seg{Data: first, Flags: fin})
		p.Check("refused again", "", Blind{})
	},
}}

// twoAtOnce opens one connection, and two more where the queue has room for
// one: both SYNs come before the first ACK. It returns the last.
func twoAtOnce(p *Play) *Client {
	p.Client().Open()
	var cs [2]*Client
	for i := range cs {
		cs[i] = p.Client()
		cs[i].Syn("")
		cs[i].SynAck()
	}
	for _, c := range cs {
		c.Ack()
	}
	return cs[1]
}
