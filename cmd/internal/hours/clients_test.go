package hours

import (
	"net/netip"
	"time"

	"stallwatch/capture"
)

// dial opens a connection from an address.
func (w *world) dial(n *node, from netip.Addr, rtt time.Duration, onUp func(c *conn, ok bool)) *conn {
	c := &conn{w: w, n: n, cli: capture.EndpointOf(netip.AddrPortFrom(from, n.port(from))), srv: n.addr, rtt: rtt,
		next: [2]uint32{w.rnd.Uint32(), w.rnd.Uint32()}, window: fullWin}
	if from.Is6() {
		c.srv = n.addr6
	}
	if rtt > 20*ms {
		c.lossUp, c.lossDown = n.lossy, n.lossy
	}
	c.onUp = func(ok bool) {
		if onUp != nil {
			onUp(c, ok)
		}
	}
	c.dial()
	return c
}

// ask sends a request on a connection.
func (w *world) ask(c *conn, cmd *command) *request {
	r := &request{c: c, cmd: cmd, sent: w.now}
	var b []byte
	if c.h2 {
		c.nextID += 2
		r.id = c.nextID - 1
		b = message2(w, cmd, r.id)
		if r.id == 1 {
			b = append([]byte(preface+string(frameOf(4, 0, 0, nil))), b...)
		}
	} else {
		b = message(w, cmd)
	}
	r.from, r.to = c.send(b)
	c.requests = append(c.requests, r)
	return r
}

// person is how somebody uses the node: calls one after the other on one
// connection.
type person struct {
	n        *node
	from     func() netip.Addr
	rtt      time.Duration
	calls    int
	which    func() *command
	think    func() time.Duration
	patience time.Duration // then it gives up; 0: never
	resets   bool          // and does so by RST
	retries  int
	half     bool // half-closes after its last call, and reads on
	takes    int  // bytes a second it reads
	h2       bool
	ending   ending
	honest   bool
	stays    time.Duration // the call never ends before
	onFail   func()
	onCall   func(*request)
}

// ending is how a connection is left.
type ending uint8

const (
	closes   ending = iota // FIN
	lingers                // some minutes later, unless the node closes it
	resets                 // RST
	vanishes               // nothing
)

// visit plays a session of p.
func (w *world) visit(p person) {
	c := w.dial(p.n, p.from(), p.rtt, func(c *conn, ok bool) {
		if !ok {
			w.hurt(&p)
			w.failed(&p, p.calls)
			return
		}
		w.nextCall(c, &p, p.calls)
	})
	c.takes, c.h2 = p.takes, p.h2
}

// hurt notes that an honest client was turned away, or waited in vain.
func (w *world) hurt(p *person) {
	if p.honest {
		w.truth.failedAt(w.now)
	}
}

// failed makes a client try again.
func (w *world) failed(p *person, left int) {
	if p.onFail != nil {
		p.onFail()
	}
	if p.retries <= 0 {
		return
	}
	q := *p
	q.retries--
	q.calls = left
	w.in(w.between(200*ms, 5*second), func() { w.visit(q) })
}

func (w *world) nextCall(c *conn, p *person, left int) {
	if c.sentFin || !c.established {
		return
	}
	if left == 0 {
		w.leave(c, p)
		return
	}
	r := w.ask(c, p.which())
	r.honest = p.honest
	if p.stays > 0 {
		r.until = w.now + p.stays
	}
	if p.onCall != nil {
		p.onCall(r)
	}
	if p.half && left == 1 {
		c.shut(false)
	}
	over := false
	r.reply = func() {
		if over {
			return
		}
		over = true
		c.onEnd = nil
		if left == 1 {
			w.leave(c, p)
			return
		}
		w.in(p.think(), func() { w.nextCall(c, p, left-1) })
	}
	c.onEnd = func() {
		if !over {
			over = true
			w.failed(p, left)
		}
	}
	if p.patience > 0 {
		w.in(p.patience, func() {
			if over {
				return
			}
			over = true
			c.onEnd = nil
			if p.resets {
				c.reset()
			} else {
				c.shut(true)
			}
			if p.patience >= 10*second {
				w.hurt(p)
			}
			w.failed(p, left)
		})
	}
}

func (w *world) leave(c *conn, p *person) {
	switch p.ending {
	case closes:
		c.shut(true)
	case lingers:
		w.in(w.between(second, 5*time.Minute), func() { c.shut(true) })
	case resets:
		c.reset()
	case vanishes:
		c.vanished = true
	}
}

// port is the next ephemeral port of an address.
func (n *node) port(a netip.Addr) uint16 {
	n.ports[a]++
	return uint16(32768 + (n.ports[a]*7)%28000)
}

// addresses draws one of n addresses of a net, mostly IPv4.
func (w *world) addresses(n int) func() netip.Addr {
	base := w.rnd.Uint32()
	six := w.chance(0.2)
	return func() netip.Addr {
		i := base + uint32(w.rnd.IntN(n))*2654435761
		if six {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i), 15: byte(w.rnd.IntN(250))})
		}
		return netip.AddrFrom4([4]byte{byte(20 + i>>24%180), byte(i >> 16), byte(i >> 8), byte(1 + i%250)})
	}
}

func one(a netip.Addr) func() netip.Addr { return func() netip.Addr { return a } }
