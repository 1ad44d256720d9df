package kernellab

import (
	"time"

	"stallwatch/capture"
)

const (
	fin = capture.FIN
	rst = capture.RST
)

// called opens a connection, sends a call, and makes the application read it
// without an answer.
func called(p *Play) (*Client, *Accepted) {
	c := p.Client().Open()
	a := p.Accept()
	c.Send(Seg{Data: Call("getTransactionsToApprove")})
	a.Read(int(c.next))
	return c, a
}

// closingRows are about FIN.
var closingRows = []row{{
	name:   "plain",
	kernel: "an answered call, then both sides close",
	play: func(p *Play) {
		c, a := called(p)
		p.Check("call read", "established=1", Blind{})
		a.Answer()
		c.Ack()
		c.Send(Seg{Flags: fin})
		p.Check("client closed", "close_wait=1", Blind{})
		a.ReadAll()
		a.Close()
		p.Check("server closed", "last_ack=1", Blind{})
		c.Gets(fin)
		c.Ack()
		p.Check("over", "", Blind{})
	},
}, {
	name:   "server_closes_first",
	kernel: "the server's FIN first: FIN_WAIT2, and TIME_WAIT after the client's",
	play: func(p *Play) {
		c, a := called(p)
		a.Answer()
		a.Shutdown()
		p.Check("unacknowledged", "fin_wait1=1", Blind{})
		c.Gets(fin)
		c.Ack()
		p.Check("acknowledged", "fin_wait2=1", Blind{})
		c.Send(Seg{Flags: fin})
		p.Check("client closed", "time_wait=1 dead=1", Blind{Idle: 1})
		a.Close()
		p.Check("over", "time_wait=1", Blind{})
	},
}, {
	name:   "fin_retransmitted",
	kernel: "four times the same FIN: one CLOSE_WAIT",
	play: func(p *Play) {
		c, _ := called(p)
		at := int(c.next)
		c.Send(Seg{Flags: fin})
		p.Check("once", "close_wait=1", Blind{})
		for range 3 {
			c.SendAt(at, Seg{Flags: fin})
		}
		p.Check("four times", "close_wait=1", Blind{})
	},
}, {
	name:   "fin_beyond_hole",
	kernel: "a FIN beyond a hole does nothing until the hole is filled",
	play: func(p *Play) {
		c := p.Client().Open()
		a := p.Accept()
		call := Call("getNodeInfo")
		c.Send(Seg{Data: call[:40]})
		a.Read(40)
		hole := int(c.next)
		c.Skip(len(call) - 40)
		c.Send(Seg{Flags: fin})
		p.Check("FIN beyond the hole", "established=1", Blind{})
		p.Wait(1300 * time.Millisecond)
		p.Check("and a second later", "established=1", Blind{})
		c.SendAt(hole, Seg{Data: call[40:]})
		p.Check("filled", "close_wait=1", Blind{})
		a.ReadAll()
		p.Check("read", "close_wait=1", Blind{})
	},
}, {
	name:   "fin_with_data_beyond_hole",
	kernel: "a FIN on the last of three segments, which comes first",
	play: func(p *Play) {
		c := p.Client().Open()
		a := p.Accept()
		call := Call("getNodeInfo")
		c.SendAt(60, Seg{Data: call[60:], Flags: fin})
		p.Check("the last first", "established=1", Blind{})
		c.SendAt(0, Seg{Data: call[:30]})
		p.Check("then the first", "established=1", Blind{})
		c.SendAt(30, Seg{Data: call[30:60]})
		p.Check("then the one between", "close_wait=1", Blind{})
		a.ReadAll()
		p.Check("read", "close_wait=1", Blind{})
	},
}, {
	name:   "fin_bad_checksum",
	kernel: "a FIN with a wrong checksum is dropped",
	play: func(p *Play) {
		c, _ := called(p)
		at := int(c.next)
		c.SendAt(at, Seg{Flags: fin, Sum: BadSum})
		p.Check("wrong", "established=1", Blind{})
		c.Send(Seg{Flags: fin})
		p.Check("right", "close_wait=1", Blind{})
	},
}, {
	name:   "fin_beyond_window",
	kernel: "a FIN outside the window is answered by an ACK and dropped",
	play: func(p *Play) {
		c, _ := called(p)
		c.SendAt(1<<24, Seg{Flags: fin})
		p.Check("far away", "established=1", Blind{})
	},
}, {
	name:   "half_close_answered_later",
	kernel: "a client that shuts its direction down and waits is in CLOSE_WAIT until the answer and the server's FIN",
	play: func(p *Play) {
		c, a := called(p)
		c.Send(Seg{Flags: fin})
		a.ReadAll()
		p.Check("waiting", "close_wait=1", Blind{})
		a.Answer()
		c.Ack()
		p.Check("answered", "close_wait=1", Blind{})
		a.Close()
		c.Gets(fin)
		c.Ack()
		p.Check("closed", "", Blind{})
	},
}, {
	name:   "request_and_fin",
	kernel: "a request and the FIN in one segment",
	play: func(p *Play) {
		c := p.Client().Open()
		a := p.Accept()
		c.Send(Seg{Data: Call("getNodeInfo"), Flags: fin})
		p.Check("unread", "close_wait=1", Blind{})
		a.ReadAll()
		p.Check("read", "close_wait=1", Blind{})
	},
}, {
	name:   "fin_old",
	kernel: "a FIN below the next byte is ignored; one at the next byte counts, whatever old bytes it carries",
	play: func(p *Play) {
		c, a := called(p)
		c.SendAt(int(c.next)-1, Seg{Flags: fin})
		p.Check("below", "established=1", Blind{})
		c.SendAt(int(c.next)-20, Seg{Flags: fin, Data: "0123456789"})
		p.Check("below, with old bytes", "established=1", Blind{})
		c.SendAt(int(c.next)-10, Seg{Flags: fin, Data: "0123456789"})
		p.Check("at the next byte, with old bytes", "close_wait=1", Blind{})
		a.ReadAll()
		p.Check("read", "close_wait=1", Blind{})
	},
}, {
	name:   "close_then_answer",
	kernel: "a client that closed for good resets the answer",
	play: func(p *Play) {
		c, a := called(p)
		c.Send(Seg{Flags: fin})
		p.Check("closed", "close_wait=1", Blind{})
		a.Answer()
		c.Send(Seg{Flags: rst, NoAck: true})
		p.Check("reset", "dead=1", Blind{Idle: 1})
	},
}, {
	name:   "closing",
	kernel: "both FINs cross: CLOSING, then TIME_WAIT",
	play: func(p *Play) {
		c, a := called(p)
		a.Answer()
		a.Shutdown()
		p.Check("the server's", "fin_wait1=1", Blind{})
		c.Send(Seg{Flags: fin, AckMore: -1})
		p.Check("both", "closing=1", Blind{})
		c.Ack()
		p.Check("acknowledged", "time_wait=1 dead=1", Blind{Idle: 1})
	},
}, {
	name:   "data_after_close",
	kernel: "data for a connection that the process has closed: RST",
	play: func(p *Play) {
		c, a := called(p)
		a.Answer()
		a.Close()
		c.Gets(fin)
		c.Ack()
		p.Check("closed", "fin_wait2=1", Blind{})
		c.Send(Seg{Data: Call("getNodeInfo")})
		c.Gets(rst)
		p.Check("reset", "", Blind{}, "request_unread")
	},
}, {
	name:   "close_unread",
	kernel: "a process that closes a kept connection with a request unread: RST that acknowledges it",
	play: func(p *Play) {
		c, a := called(p)
		a.Answer()
		c.Gets(capture.PSH)
		c.Ack()
		p.Check("kept", "established=1", Blind{})
		c.Send(Seg{Data: Call("getNodeInfo")})
		a.Close()
		c.Gets(rst)
		p.Check("reset", "", Blind{}, "request_unread")
	},
}, {
	name:   "server_repeats",
	kernel: "the server repeats an answer, and its FIN, that nobody acknowledges",
	play: func(p *Play) {
		c, a := called(p)
		a.Answer()
		c.Gets(capture.PSH)
		c.Gets(capture.PSH)
		p.Check("answer twice", "established=1", Blind{})
		c.Ack()
		a.Close()
		c.Gets(fin)
		c.Gets(fin)
		p.Check("FIN twice", "fin_wait1=1", Blind{})
		c.Send(Seg{Flags: fin})
		p.Check("over", "time_wait=1", Blind{})
	},
}, {
	name:   "data_after_fin",
	kernel: "what a client sends beyond its own FIN is not delivered",
	play: func(p *Play) {
		c, a := called(p)
		c.Send(Seg{Flags: fin})
		c.Send(Seg{Data: Call("getNeighbors")})
		p.Check("more after the end", "close_wait=1", Blind{})
		a.ReadAll()
		p.Check("read", "close_wait=1", Blind{})
	},
}, {
	name:   "kill_read",
	kernel: "kill -9 of a server with nothing unread in CLOSE_WAIT: FIN",
	play: func(p *Play) {
		c, a := called(p)
		c.Send(Seg{Flags: fin})
		a.ReadAll()
		p.Check("close_wait", "close_wait=1", Blind{})
		p.Kill()
		c.Gets(fin)
		p.Check("killed", "last_ack=1", Blind{})
		c.Ack()
		p.Check("acknowledged", "", Blind{})
	},
}, {
	name:   "kill_unread",
	kernel: "kill -9 of a server with unread bytes: RST",
	play: func(p *Play) {
		c, _ := called(p)
		c.Send(Seg{Data: Call("getNodeInfo"), Flags: fin})
		p.Check("close_wait", "close_wait=1", Blind{})
		p.Kill()
		c.Gets(rst)
		p.Check("killed", "", Blind{})
	},
}, {
	name:   "kill_and_zombies",
	kernel: "after kill -9 a SYN is answered by RST: nobody holds a descriptor",
	play: func(p *Play) {
		c, _ := called(p)
		c.Send(Seg{Flags: rst})
		p.Check("reset", "dead=1", Blind{})
		p.Kill()
		p.Client().Syn("")
		p.Check("killed, and a client refused", "", Blind{}, "refused")
		p.Restart()
		d := p.Client().Open()
		b := p.Accept()
		d.Send(Seg{Data: Call("getNodeInfo")})
		b.Read(int(d.next))
		p.Check("a new process serves", "established=1", Blind{})
	},
}}
