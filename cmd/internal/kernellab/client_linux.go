package kernellab

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"stallwatch/capture"
	"stallwatch/capture/decode"
)

// Client is the client's end of a connection: no kernel, only what a row
// sends. It never answers by itself.
type Client struct {
	Port uint16
	TS   bool // timestamps are offered, and sent as Clock
	SACK bool // selective acknowledgement is offered
	// Clock is the timestamp of the next segment.
	Clock uint32
	// Sum is the checksum of everything that this client sends, unless a
	// segment asks for a bad one.
	Sum SumKind

	p       *Play
	isn     uint32
	next    uint32 // offset of the next byte of the stream
	peer    uint32 // the server's SYN; valid once rcv is
	rcv     uint32 // the server's next sequence number
	looked  int    // frames taken in
	waited  int    // frames that Await has passed
	ipIdent uint16
}

// Seg is a segment to be sent. ACK is set unless NoAck is.
type Seg struct {
	Flags   capture.Flags
	Data    string
	Sum     SumKind
	NoAck   bool
	AckMore int    // acknowledges so many bytes more than the server sent
	Urgent  uint16 // valid iff Flags has URG
	TSBack  uint32 // the timestamp is so much older
	Echo    uint32 // the timestamp that is echoed
	NoTS    bool
	Options []byte // besides, a multiple of four bytes
	Cuts    []int  // sent in IP fragments, cut before these multiples of 8
	Reverse bool   // the last fragment first
	Overlap bool   // the fragments but the first begin 8 bytes too early
	Mangle  func(frame []byte) []byte
}

// Client returns a client on a port of its own that has sent nothing.
func (p *Play) Client() *Client {
	p.ports++
	return &Client{p: p, Port: p.ports, isn: uint32(p.ports) * 100_000, Clock: 1000}
}

// Again returns a client that begins anew on the same port.
func (c *Client) Again() *Client {
	n := &Client{p: c.p, Port: c.Port, isn: c.isn + 1_000_000, Clock: c.Clock}
	n.waited = len(c.p.Frames())
	n.looked = n.waited
	return n
}

// Open opens the connection.
func (c *Client) Open() *Client {
	c.p.t.Helper()
	c.Syn("")
	c.SynAck()
	c.Ack()
	return c
}

// Syn sends a SYN, with data if a row wants it.
func (c *Client) Syn(data string) {
	c.p.t.Helper()
	h := header{port: c.Port, seq: c.isn, flags: capture.SYN, window: 64240, sum: c.Sum, options: []byte{2, 4, 5, 0xb4}}
	if c.SACK {
		h.options = append(h.options, 1, 1, 4, 2)
	}
	if c.TS {
		h.options = append(h.options, 1, 1)
		h.options = append(h.options, c.stamp(0, 0)...)
	}
	c.transmit(&h, &Seg{Data: data})
}

// SynAck waits for the server's SYN-ACK.
func (c *Client) SynAck() {
	c.p.t.Helper()
	s := c.Await("SYN-ACK", func(s *capture.Segment) bool {
		return s.Flags.Has(capture.SYN|capture.ACK) && s.Ack == c.isn+1
	})
	c.peer, c.rcv = s.Seq, s.Seq+1
}

// Ack acknowledges all that the server sent.
func (c *Client) Ack() { c.p.t.Helper(); c.Send(Seg{}) }

// Send sends s as the next segment of the stream.
func (c *Client) Send(s Seg) {
	c.p.t.Helper()
	c.SendAt(int(c.next), s)
	c.next += uint32(len(s.Data))
	if s.Flags.Has(capture.FIN) {
		c.next++
	}
}

// SendAt sends s at an offset of the stream: again, too early, or as a lie.
func (c *Client) SendAt(off int, s Seg) {
	c.p.t.Helper()
	c.takeIn()
	h := header{port: c.Port, seq: c.isn + 1 + uint32(off), ack: c.rcv + uint32(s.AckMore), flags: s.Flags | capture.ACK,
		window: 64240, urgent: s.Urgent, sum: c.Sum, options: bytes.Clone(s.Options)}
	if s.NoAck {
		h.flags &^= capture.ACK
		h.ack = 0
	}
	if s.Sum != GoodSum {
		h.sum = s.Sum
	}
	if c.TS && !s.NoTS {
		h.options = append(append(h.options, 1, 1), c.stamp(s.TSBack, s.Echo)...)
	}
	c.transmit(&h, &s)
}

// Skip moves the next byte: what lies between is sent later, or never.
func (c *Client) Skip(n int) { c.next += uint32(n) }

// stamp is the timestamp option.
func (c *Client) stamp(back, echo uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{8, 10}, c.Clock-back)
	return binary.BigEndian.AppendUint32(b, echo)
}

func (c *Client) transmit(h *header, s *Seg) {
	c.p.t.Helper()
	c.ipIdent++
	tcp := appendTCP(nil, h, s.Data)
	var frames [][]byte
	from := 0
	for _, to := range append(s.Cuts[:len(s.Cuts):len(s.Cuts)], len(tcp)) {
		frames = append(frames, appendIPv4(nil, unix.IPPROTO_TCP, c.ipIdent, from, to < len(tcp), tcp[from:to]))
		if from = to; s.Overlap {
			from -= 8
		}
	}
	for i := range frames {
		if s.Reverse {
			i = len(frames) - 1 - i
		}
		f := frames[i]
		if s.Mangle != nil {
			f = s.Mangle(f)
		}
		c.p.must(c.p.w.send(f))
	}
}

// takeIn follows what the server sent, so that it can be acknowledged.
func (c *Client) takeIn() {
	frames := c.p.Frames()
	for _, s := range segments(frames[c.looked:]) {
		if c.rcv != 0 && c.mine(&s) && !s.Flags.Has(capture.RST) {
			end := s.Seq + uint32(s.Len())
			if s.Flags.Has(capture.FIN) {
				end++
			}
			if int32(end-c.rcv) > 0 {
				c.rcv = end
			}
		}
	}
	c.looked = len(frames)
}

// mine reports whether the server sent s to this client.
func (c *Client) mine(s *capture.Segment) bool {
	return s.Src.AddrPort() == serverEnd && s.Dst.Addr() == clientAddr && s.Dst.Port() == c.Port
}

// Await waits for a segment of the server that ok accepts, beyond the one
// awaited before.
func (c *Client) Await(what string, ok func(*capture.Segment) bool) capture.Segment {
	c.p.t.Helper()
	var found capture.Segment
	err := c.p.w.until(what, func(frames []Frame) bool {
		for c.waited < len(frames) {
			c.waited++
			for _, s := range segments(frames[c.waited-1 : c.waited]) {
				if c.mine(&s) && ok(&s) {
					found = s
					return true
				}
			}
		}
		return false
	})
	if err != nil {
		c.p.t.Fatalf("client %d: %v\nthe packets:\n%s", c.Port, err, Dump(c.p.Frames()))
	}
	return found
}

// Acked waits until the server has acknowledged all that was sent.
func (c *Client) Acked() {
	c.p.t.Helper()
	end := c.isn + 1 + c.next
	c.Await(fmt.Sprintf("acknowledgement of %d bytes", c.next), func(s *capture.Segment) bool {
		return s.Flags.Has(capture.ACK) && s.Ack == end
	})
}

// Gets waits for a segment of the server that has all flags of f.
func (c *Client) Gets(f capture.Flags) capture.Segment {
	c.p.t.Helper()
	return c.Await(flagNames(f), func(s *capture.Segment) bool { return s.Flags.Has(f) })
}

// segments decodes frames that are TCP; they are few and small.
func segments(frames []Frame) []capture.Segment {
	var all []capture.Segment
	dec := decode.New(decode.Options{})
	for _, f := range frames {
		var s capture.Segment
		p := capture.Packet{Data: f.Data, Length: len(f.Data), Link: capture.LinkEthernet}
		if dec.Segment(&p, f.At, &s) {
			all = append(all, s)
		}
	}
	return all
}

// Call returns an API call as a client sends it.
func Call(command string) string {
	body := fmt.Sprintf(`{"command":%q}`, command)
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: node\r\nX-IOTA-API-Version: 1\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}
