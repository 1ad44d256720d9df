package synth

import (
	"fmt"
	"time"

	"stallwatch/capture"
)

// mss is the payload of a full segment: Ethernet's 1500 less IPv4, TCP and a
// timestamp option. IPv6 uses the same, for simplicity.
const mss = 1448

// proceed schedules what a connection does next: one exchange, or its end.
func (g *Generator) proceed(c *conn, at capture.Time) {
	if c.stop {
		g.open(at.Add(g.mean(g.p.Gap)))
		return
	}
	c.at = max(at, c.at)
	g.wait(c, g.p.Gap)
	if c.left == 0 {
		g.close(c)
		return
	}
	c.left--
	stall := g.chance(g.p.Stall)
	g.message(c, capture.ToServer, g.request(stall))
	if stall {
		c.stop = true
		c.at = c.at.Add(g.p.Patience)
		g.control(c, capture.ToServer, capture.FIN|capture.ACK)
		g.wait(c, 40*time.Millisecond)
		g.control(c, capture.ToClient, capture.ACK).proceed(g)
		return
	}
	half := c.left == 0 && g.chance(g.p.HalfClose)
	if half {
		g.control(c, capture.ToServer, capture.FIN|capture.ACK)
	}
	g.wait(c, g.p.Think)
	g.message(c, capture.ToClient, g.response())
	if half {
		g.finish(c, capture.ToClient)
		return
	}
	g.control(c, capture.ToServer, capture.ACK).proceed(g)
}

func (g *Generator) close(c *conn) {
	if g.chance(g.p.Abort) {
		c.stop = true
		g.control(c, capture.ToServer, capture.RST|capture.ACK)
		g.control(c, capture.ToServer, capture.ACK).proceed(g)
		return
	}
	g.control(c, capture.ToServer, capture.FIN|capture.ACK)
	g.wait(c, 100*time.Microsecond)
	g.finish(c, capture.ToClient)
}

// finish sends the second FIN and its ACK.
func (g *Generator) finish(c *conn, dir capture.Dir) {
	c.stop = true
	g.control(c, dir, capture.FIN|capture.ACK)
	g.wait(c, 100*time.Microsecond)
	g.control(c, dir.Reverse(), capture.ACK).proceed(g)
}

// message schedules the segments of a message, with an ACK for every second
// one.
func (g *Generator) message(c *conn, dir capture.Dir, msg []byte) {
	for off := 0; off < len(msg); {
		n := min(mss, len(msg)-off)
		p := packet{c: c, dir: dir, flags: capture.ACK | capture.PSH, seq: c.next[dir], ack: c.next[dir.Reverse()], payload: n, at: off, msg: msg}
		at := c.at
		if g.chance(g.p.Reorder) {
			at = at.Add(30 * time.Microsecond)
		}
		g.queue.Push(at, p)
		if g.chance(g.p.Retransmit) {
			g.queue.Push(at.Add(time.Millisecond), p)
		}
		c.next[dir] += uint32(n)
		off += n
		c.at = c.at.Add(10 * time.Microsecond)
		if off/mss%2 == 0 && off < len(msg) {
			ack := g.control(c, dir.Reverse(), capture.ACK)
			g.queue.Push(ack.at+1, ack.p)
		}
	}
	g.wait(c, 100*time.Microsecond)
}

var commands = []string{"getNodeInfo", "getBalances", "findTransactions", "getTrytes", "getTransactionsToApprove",
	"checkConsistency", "wereAddressesSpentFrom", "broadcastTransactions"}

// filler returns n bytes of JSON string elements.
func (g *Generator) filler(mean int) []byte {
	n := min(int(g.rnd.ExpFloat64()*float64(mean)), 20*mean, len(g.text)-100)
	return g.text[:n/84*84+81]
}

func (g *Generator) request(stall bool) []byte {
	command := commands[g.rnd.IntN(len(commands))]
	if stall {
		command = "getTransactionsToApprove"
	}
	list := g.filler(g.p.Request)
	length := len(command) + len(list) + len(`{"command":"","addresses":[""]}`)
	b := make([]byte, 0, length+160)
	b = fmt.Appendf(b, "POST / HTTP/1.1\r\nHost: node:14265\r\nX-IOTA-API-Version: 1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length)
	b = append(b, `{"command":"`...)
	b = append(b, command...)
	b = append(b, `","addresses":["`...)
	b = append(b, list...)
	return append(b, `"]}`...)
}

func (g *Generator) response() []byte {
	list := g.filler(g.p.Response)
	tail := fmt.Sprintf(`"],"duration":%d}`, g.rnd.IntN(1000))
	b := make([]byte, 0, len(list)+300)
	b = fmt.Appendf(b, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: %d\r\n\r\n", len(`{"hashes":["`)+len(list)+len(tail))
	b = append(b, `{"hashes":["`...)
	b = append(b, list...)
	return append(b, tail...)
}
