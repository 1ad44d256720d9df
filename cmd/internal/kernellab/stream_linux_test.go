package kernellab

import (
	"math/rand/v2"
	"strings"

	"stallwatch/capture"
)

// Two calls of the same length: whatever mixture arrives is a whole request
// whose body tells which bytes won.
var (
	first  = Call("getNodeInfo")
	second = Call("getTryteses")
	head   = strings.Index(first, "{")
)

// opened opens a connection that the application has accepted.
func opened(p *Play) (*Client, *Accepted) {
	c := p.Client().Open()
	return c, p.Accept()
}

// read makes the application read what the kernel has for it, and compares.
func read(p *Play, a *Accepted) {
	p.t.Helper()
	p.Check("sent", "established=1", Blind{})
	a.Drain()
	p.Check("read", "established=1", Blind{})
}

// part is bytes from to of a call.
type part struct {
	call     string
	from, to int
}

// parts returns a play that sends parts, after the head.
func parts(list ...part) func(*Play) {
	return func(p *Play) {
		c, a := opened(p)
		c.Send(Seg{Data: first[:head]})
		for _, x := range list {
			c.SendAt(head+x.from, Seg{Data: x.call[head+x.from : head+x.to]})
		}
		read(p, a)
	}
}

var body = len(first) - head

// streamRows are about which bytes arrive, and in which order.
var streamRows = []row{{
	name:   "pipelined",
	kernel: "three calls in one segment: three answers are owed, and the RST leaves one descriptor",
	play: func(p *Play) {
		c, a := opened(p)
		c.Send(Seg{Data: first + second + first})
		read(p, a)
		a.Answer()
		c.Ack()
		a.Answer()
		c.Ack()
		p.Check("two answered", "established=1", Blind{})
		c.Send(Seg{Flags: rst})
		p.Check("reset", "dead=1", Blind{})
	},
}, {
	name:   "one_byte_segments",
	kernel: "a byte a segment",
	play: func(p *Play) {
		c, a := opened(p)
		for i := range first {
			c.Send(Seg{Data: first[i : i+1]})
		}
		read(p, a)
	},
}, {
	name:   "reversed",
	kernel: "segments in reversed order are put in order",
	play: func(p *Play) {
		c, a := opened(p)
		for i := len(first) - 1; i >= 0; i -= 7 {
			from := max(i-6, 0)
			c.SendAt(from, Seg{Data: first[from : i+1]})
		}
		read(p, a)
	},
}, {
	name:   "sequence_wrap",
	kernel: "sequence numbers wrap, in order and out of order",
	play: func(p *Play) {
		c := p.Client()
		c.isn = 0xffffffff - 20
		c.Open()
		a := p.Accept()
		c.SendAt(40, Seg{Data: first[40:]})
		c.SendAt(10, Seg{Data: first[10:40]})
		c.SendAt(0, Seg{Data: first[:10]})
		c.Skip(len(first))
		read(p, a)
		c.Send(Seg{Flags: fin})
		p.Check("closed", "close_wait=1", Blind{})
	},
}, {
	name:   "overlap_larger_over_smaller",
	kernel: "a later, larger segment over a smaller one beyond a hole: the larger wins",
	play:   parts(part{first, 15, 20}, part{second, 10, body}, part{first, 0, 10}),
}, {
	name:   "overlap_smaller_inside_larger",
	kernel: "a later, smaller segment inside a larger one: the first wins",
	play:   parts(part{first, 10, body}, part{second, 15, 20}, part{first, 0, 10}),
}, {
	name:   "overlap_left",
	kernel: "a later segment over the beginning of one beyond a hole",
	play:   parts(part{first, 14, body}, part{second, 12, 18}, part{first, 0, 12}),
}, {
	name:   "overlap_right",
	kernel: "a later segment over the end of one beyond a hole",
	play:   parts(part{first, 12, 18}, part{second, 14, body}, part{first, 0, 12}),
}, {
	name:   "overlap_filling",
	kernel: "the segment that fills the hole reaches into what lies beyond it",
	play:   parts(part{first, 14, body}, part{second, 0, 20}),
}, {
	name:   "overlap_same_start",
	kernel: "a longer segment with the same first byte",
	play:   parts(part{first, 12, 16}, part{second, 12, body}, part{first, 0, 12}),
}, {
	name:   "overlap_random",
	kernel: "forty connections with random overlaps of two calls",
	// No part begins where an earlier one ends: the kernel may join such parts
	// into one buffer or not (skb_try_coalesce), by how the driver laid them
	// out in memory and whether a capture still holds a copy. What overlaps
	// both then sees one part or two, and no packet tells which.
	play: func(p *Play) {
		rnd := rand.New(rand.NewPCG(2018, 1))
		for range 40 {
			c, a := opened(p)
			c.Send(Seg{Data: first[:head]})
			ends := map[int]bool{}
			for range 2 + rnd.IntN(10) {
				call := []string{first, second}[rnd.IntN(2)]
				from := 1 + rnd.IntN(body-1)
				to := from + 1 + rnd.IntN(body-from)
				if !ends[from] {
					ends[to] = true
					c.SendAt(head+from, Seg{Data: call[head+from : head+to]})
				}
			}
			for from := 0; from < body; { // what may be missing
				to := min(from+1+rnd.IntN(9), body)
				c.SendAt(head+from, Seg{Data: first[head+from : head+to]})
				from = to
			}
			a.Read(len(first))
		}
		p.Check("forty", "established=40", Blind{})
	},
}, {
	name:   "retransmission_differs",
	kernel: "bytes below the acknowledgement are ignored, what a segment has beyond them is taken",
	play: func(p *Play) {
		c, a := opened(p)
		c.Send(Seg{Data: first[:head+15]})
		p.Check("begun", "established=1", Blind{})
		c.SendAt(head, Seg{Data: second[head : head+15]})
		p.Check("other bytes", "established=1", Blind{})
		c.SendAt(head+5, Seg{Data: second[head+5:]})
		read(p, a)
	},
}, {
	name:   "urgent",
	kernel: "an urgent byte is taken out of the stream",
	play: func(p *Play) {
		c, a := opened(p)
		at := strings.Index(first, "Info")
		c.Send(Seg{Flags: capture.URG, Urgent: uint16(at + 1), Data: first[:at] + "Z" + first[at:]})
		a.Read(len(first))
		p.Check("read", "established=1", Blind{})
	},
}, {
	name:   "urgent_last",
	kernel: "an urgent byte at the end of a segment, and one announced before it comes",
	play: func(p *Play) {
		c, a := opened(p)
		c.Send(Seg{Flags: capture.URG, Urgent: uint16(head + 1), Data: first[:head] + "Z"})
		a.Read(head) // no checkpoint: an urgent byte at the end counts as unread until more comes
		c.Send(Seg{Flags: capture.URG, Urgent: 14, Data: first[head : head+5]})
		c.Send(Seg{Data: first[head+5:head+13] + "Z" + first[head+13:]})
		a.Read(len(first))
		p.Check("read", "established=1", Blind{})
	},
}, {
	name:   "urgent_zero",
	kernel: "an urgent pointer of 0 means the first byte, as 1 does",
	play: func(p *Play) {
		c, a := opened(p)
		c.Send(Seg{Data: first[:head]})
		c.Send(Seg{Flags: capture.URG, Data: "Z" + first[head:]})
		a.Read(len(first))
		p.Check("read", "established=1", Blind{})
	},
}, {
	name:   "urgent_bare",
	kernel: "an urgent byte may be announced by a segment without data",
	play: func(p *Play) {
		c, a := opened(p)
		c.Send(Seg{Flags: capture.URG, Urgent: uint16(head + 1)})
		c.Send(Seg{Data: first[:head] + "Z" + first[head:]})
		a.Read(len(first))
		p.Check("read", "established=1", Blind{})
	},
}, {
	name:   "urgent_twice",
	kernel: "of two urgent bytes to come, the farther one counts, and a nearer one after it does not",
	play: func(p *Play) {
		c, a := opened(p)
		at := strings.Index(first, "Info")
		c.Send(Seg{Flags: capture.URG, Urgent: uint16(at - 1), Data: first[:head]})
		c.Send(Seg{Flags: capture.URG, Urgent: uint16(at - head + 1), Data: first[head : head+4]})
		c.Send(Seg{Flags: capture.URG, Urgent: 3, Data: first[head+4 : head+6]})
		c.Send(Seg{Data: first[head+6:at] + "Z" + first[at:]})
		a.Read(len(first))
		p.Check("read", "established=1", Blind{})
	},
}, {
	name:   "zero_window",
	kernel: "a server that does not read closes the window; when it reads, the rest comes",
	server: ServerOptions{Receive: 2048},
	play: func(p *Play) {
		c, a := opened(p)
		c.Send(Seg{Data: "POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 1500\r\n\r\n"})
		for range 3 {
			c.SendAt(int(c.next), Seg{Data: strings.Repeat("A", 500)})
			p.Check("sent", "established=1", Blind{})
			c.SendAt(int(c.next)-1, Seg{})
			a.Drain()
			p.Check("read", "established=1", Blind{})
			c.SendAt(int(c.next), Seg{Data: strings.Repeat("A", 500)})
			c.Skip(500)
			a.Drain()
		}
		p.Check("whole", "established=1", Blind{})
	},
}, {
	name:   "fragments",
	kernel: "IP fragments are put together, in either order",
	play: func(p *Play) {
		c, a := opened(p)
		c.Send(Seg{Data: first, Cuts: []int{24, 64}})
		read(p, a)
		c.Send(Seg{Data: second, Cuts: []int{8, 16, 72}, Reverse: true})
		read(p, a)
		c.Send(Seg{Flags: fin, Cuts: []int{8}})
		p.Check("a fragmented FIN", "close_wait=1", Blind{})
	},
}, {
	name:   "unread",
	kernel: "the kernel acknowledges what the application does not read",
	play: func(p *Play) {
		c, a := opened(p)
		c.Send(Seg{Data: first})
		c.Acked()
		p.Check("unread", "established=1", Blind{})
		c.Send(Seg{Data: second, Flags: fin})
		p.Check("unread and closed", "close_wait=1", Blind{})
		a.ReadAll()
		p.Check("read", "close_wait=1", Blind{})
	},
}}
