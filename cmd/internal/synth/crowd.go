package synth

import (
	"encoding/binary"
	"io"
	"time"

	"stallwatch/capture"
)

// Crowd yields what an attack or a crowd sends: one step after the other, for
// each of N connections. Next to a Generator it shows what a packet costs
// when it is not honest.
type Crowd struct {
	N     int           // connections
	Every time.Duration // between packets
	Steps []Step        // of a connection
	Round bool          // a step of every connection before the next step
	i     int
	frame []byte
}

// Step is a packet of each connection.
type Step struct {
	Dir   capture.Dir
	Flags capture.Flags
	Seq   uint32 // from the side's initial number
	Ack   uint32 // from the other side's
	Text  string
}

// The messages of a crowd: an IRI call and its answer.
const (
	call   = "POST / HTTP/1.1\r\nHost: node:14265\r\nX-IOTA-API-Version: 1\r\nContent-Length: 38\r\n\r\n{\"command\":\"getTransactionsToApprove\"}"
	answer = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"duration\":12}"
)

const (
	toServer, toClient = capture.ToServer, capture.ToClient
	ack                = capture.ACK
)

var handshake = []Step{{toServer, capture.SYN, 0, 0, ""}, {toClient, capture.SYN | ack, 0, 1, ""}, {toServer, ack, 1, 1, ""}}

// Idle are n clients of one call each, who then keep their connections.
func Idle(n int) *Crowd {
	return &Crowd{N: n, Every: 10 * time.Microsecond, Steps: append(handshake[:3:3],
		Step{toServer, ack, 1, 1, call}, Step{toClient, ack, 1, 1 + uint32(len(call)), answer})}
}

// SynFlood is n SYNs from as many ends, 100,000 a second.
func SynFlood(n int) *Crowd {
	return &Crowd{N: n, Every: 10 * time.Microsecond, Steps: handshake[:1]}
}

// OutOfOrder are n clients who all send pieces after a hole that nobody ever
// fills.
func OutOfOrder(n, pieces int) *Crowd {
	steps := handshake[:3:3]
	text := string(make([]byte, 1000))
	for i := range pieces {
		steps = append(steps, Step{toServer, ack, uint32(1001 + 2000*i), 1, text})
	}
	return &Crowd{N: n, Every: 10 * time.Microsecond, Steps: steps, Round: true}
}

// Stalled are n clients whose call is never answered.
func Stalled(n int) *Crowd {
	return &Crowd{N: n, Every: 10 * time.Microsecond, Steps: append(handshake[:3:3], Step{toServer, ack, 1, 1, call})}
}

// Next implements capture.Source. A crowd gathers before Start, so that a
// Generator may follow it.
func (c *Crowd) Next(it *capture.Item) error {
	total := c.N * len(c.Steps)
	if c.i == total {
		return io.EOF
	}
	who, step := c.i/len(c.Steps), c.i%len(c.Steps)
	if c.Round {
		who, step = c.i%c.N, c.i/c.N
	}
	s := &c.Steps[step]
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], 0x0b000000+uint32(who/50000))
	flow := capture.Flow{Client: capture.Endpoint4(ip, uint16(10000+who%50000)),
		Server: capture.Endpoint4([4]byte{10, 77, 0, 1}, ServerPort)}
	p := packet{c: &conn{flow: flow}, dir: s.Dir, flags: s.Flags, payload: len(s.Text), msg: []byte(s.Text),
		seq: uint32(who)*7919 + s.Seq, ack: uint32(who)*7919 + s.Ack}
	if !s.Flags.Has(ack) {
		p.ack = 0
	}
	c.frame = appendFrame(c.frame[:0], &p)
	*it = capture.Item{At: Start.Add(-time.Duration(total-c.i) * c.Every), Kind: capture.PacketSeen,
		Packet: capture.Packet{Data: c.frame, Length: len(c.frame), Link: capture.LinkEthernet}}
	c.i++
	return nil
}

// Chain plays sources one after the other.
type Chain []capture.Source

// Next implements capture.Source.
func (c *Chain) Next(it *capture.Item) error {
	for len(*c) > 0 {
		if err := (*c)[0].Next(it); err != io.EOF {
			return err
		}
		*c = (*c)[1:]
	}
	return io.EOF
}
