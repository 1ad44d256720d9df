package synth

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/vtime"
)

// ServerPort is the port of the generated servers.
const ServerPort = 14265

// Start is the time of the first packet: noon of the day when the playbook's
// first deny rule for the attack was written.
var Start = capture.At(time.Date(2018, 1, 25, 12, 0, 0, 0, time.UTC))

// Generator yields Ethernet frames. Not safe for concurrent use.
type Generator struct {
	p      Profile
	rnd    *rand.Rand
	strict vtime.Strict
	queue  vtime.Deadlines[packet]
	frame  []byte
	made   int
	ports  uint32
	text   []byte
	again  bool // give the frame a second time
}

// packet is one scheduled frame; last says that its connection goes on when
// it was sent.
type packet struct {
	c       *conn
	dir     capture.Dir
	flags   capture.Flags
	seq     uint32
	ack     uint32
	payload int // length; the bytes are text of the direction at an offset that seq gives
	at      int // offset in the message text
	msg     []byte
	last    bool
}

type conn struct {
	flow capture.Flow
	next [2]uint32 // sequence numbers
	left int       // exchanges
	at   capture.Time
	stop bool
}

// New makes a Generator.
func New(p Profile, seed uint64) *Generator {
	g := &Generator{p: p, rnd: rand.New(rand.NewPCG(seed, 0x57a11)), frame: make([]byte, 0, 2048)}
	for len(g.text) < 1<<18 {
		g.text = append(g.text, "GFCCGTGSUEVBZYFK9QNAHOVHXUMEATUFLGBZLDKMOGWCXVUZDVEJVCLLCJJ9NQOIMOLMUMFMGZSI99999\",\""...)
	}
	for range p.Conns {
		g.open(Start.Add(g.mean(50 * time.Millisecond)))
	}
	return g
}

// mean draws from an exponential distribution, cut at ten times the mean.
func (g *Generator) mean(d time.Duration) time.Duration {
	return time.Duration(min(g.rnd.ExpFloat64(), 10) * float64(d))
}

func (g *Generator) chance(p float64) bool { return p > 0 && g.rnd.Float64() < p }

// Next implements capture.Source.
func (g *Generator) Next(it *capture.Item) error {
	for {
		if g.made >= g.p.Packets {
			return io.EOF
		}
		if g.again {
			g.again = false
			g.give(it, g.strict.Last()+1)
			return nil
		}
		at, p, ok := g.queue.Pop(1 << 62)
		if !ok {
			return io.EOF
		}
		g.frame = appendFrame(g.frame[:0], &p)
		if p.last {
			g.proceed(p.c, at)
		}
		if g.chance(g.p.Loss) {
			continue
		}
		g.again = g.chance(g.p.Duplicate)
		g.give(it, at)
		return nil
	}
}

func (g *Generator) give(it *capture.Item, at capture.Time) {
	g.made++
	*it = capture.Item{At: g.strict.Next(at), Kind: capture.PacketSeen,
		Packet: capture.Packet{Data: g.frame, Length: len(g.frame), Link: capture.LinkEthernet}}
}

func (g *Generator) open(at capture.Time) {
	g.ports++
	client, server := netip.AddrFrom4([4]byte{10, 7, byte(g.ports >> 13), byte(g.ports>>5)&0x7f | 1}), netip.AddrFrom4([4]byte{10, 77, 0, 1})
	if g.chance(g.p.IPv6) {
		client = netip.AddrFrom16([16]byte{0xfd, 7, 15: byte(g.ports >> 5), 14: byte(g.ports >> 13)})
		server = netip.AddrFrom16([16]byte{0xfd, 77, 15: 1})
	}
	c := &conn{
		flow: capture.Flow{
			Client: capture.EndpointOf(netip.AddrPortFrom(client, uint16(1024+g.ports%60000))),
			Server: capture.EndpointOf(netip.AddrPortFrom(server, ServerPort)),
		},
		left: 1 + int(g.rnd.ExpFloat64()*float64(g.p.Exchanges)),
		at:   at,
		next: [2]uint32{g.rnd.Uint32(), g.rnd.Uint32()},
	}
	g.control(c, capture.ToServer, capture.SYN)
	g.wait(c, 200*time.Microsecond)
	g.control(c, capture.ToClient, capture.SYN|capture.ACK)
	g.wait(c, 200*time.Microsecond)
	g.control(c, capture.ToServer, capture.ACK).proceed(g)
}

// sent lets the caller of control mark the packet as the last of its batch.
type sent struct {
	p  packet
	at capture.Time
}

func (s sent) proceed(g *Generator) { s.p.last = true; g.queue.Push(s.at, s.p) }

// control schedules a segment without payload. A plain ACK is held back until
// proceed or wait is called on it; the others go out at once.
func (g *Generator) control(c *conn, dir capture.Dir, f capture.Flags) sent {
	p := packet{c: c, dir: dir, flags: f, seq: c.next[dir], ack: c.next[dir.Reverse()]}
	if f.Has(capture.SYN) || f.Has(capture.FIN) {
		c.next[dir]++
	}
	if f == capture.ACK {
		return sent{p, c.at}
	}
	g.queue.Push(c.at, p)
	return sent{p, c.at}
}

func (g *Generator) wait(c *conn, d time.Duration) { c.at = c.at.Add(1 + g.mean(d)) }
