package ruletest

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/vtime"
)

// Epoch is when every trace begins: a whole second of the day it all began.
var Epoch = capture.At(time.Date(2018, 1, 24, 12, 0, 0, 0, time.UTC))

// Wire writes packets. The zero Wire is empty; Items returns what was written
// in order of time.
type Wire struct {
	items []capture.Item
	ports uint16
	seqs  uint32
}

// Conn is a connection on a Wire.
type Conn struct {
	w    *Wire
	flow capture.Flow
	next [2]uint32 // sequence numbers by capture.Dir
}

// mss is the payload of a full segment on Ethernet.
const mss = 1448

// Open writes a handshake that ends at at.
func (w *Wire) Open(at capture.Time, client netip.Addr, server netip.AddrPort) *Conn {
	c := w.conn(client, server)
	c.segment(at.Add(-200*time.Microsecond), capture.ToServer, capture.SYN, nil)
	c.segment(at.Add(-100*time.Microsecond), capture.ToClient, capture.SYN|capture.ACK, nil)
	c.segment(at, capture.ToServer, capture.ACK, nil)
	return c
}

// Syn writes a SYN that is refused, or that nobody answers.
func (w *Wire) Syn(at capture.Time, client netip.Addr, server netip.AddrPort, refused bool) {
	c := w.conn(client, server)
	c.segment(at, capture.ToServer, capture.SYN, nil)
	if refused {
		c.segment(at.Add(100*time.Microsecond), capture.ToClient, capture.RST|capture.ACK, nil)
	}
}

func (w *Wire) conn(client netip.Addr, server netip.AddrPort) *Conn {
	if w.ports++; w.ports < 20000 {
		w.ports = 20000
	}
	w.seqs += 100_003
	return &Conn{w: w, flow: capture.Flow{Client: capture.EndpointOf(netip.AddrPortFrom(client, w.ports)), Server: capture.EndpointOf(server)}, next: [2]uint32{w.seqs, w.seqs ^ 0x55555555}}
}

// Send writes bytes, and the acknowledgement of the other side.
func (c *Conn) Send(at capture.Time, dir capture.Dir, b []byte) {
	for len(b) > 0 {
		n := min(mss, len(b))
		c.segment(at, dir, capture.ACK|capture.PSH, b[:n])
		b = b[n:]
		at = at.Add(10 * time.Microsecond)
	}
	c.segment(at.Add(20*time.Microsecond), dir.Reverse(), capture.ACK, nil)
}

// Fin writes the FIN of one side and the other's acknowledgement.
func (c *Conn) Fin(at capture.Time, dir capture.Dir) {
	c.segment(at, dir, capture.FIN|capture.ACK, nil)
	c.segment(at.Add(20*time.Microsecond), dir.Reverse(), capture.ACK, nil)
}

// Reset writes a RST.
func (c *Conn) Reset(at capture.Time, dir capture.Dir) {
	c.segment(at, dir, capture.RST|capture.ACK, nil)
}

// segment writes one TCP segment and moves the sequence numbers on.
func (c *Conn) segment(at capture.Time, dir capture.Dir, flags capture.Flags, payload []byte) {
	src, dst := c.flow.Client.AddrPort(), c.flow.Server.AddrPort()
	if dir == capture.ToClient {
		src, dst = dst, src
	}
	ack := uint32(0)
	if flags.Has(capture.ACK) {
		ack = c.next[dir.Reverse()]
	}
	data := frame(src, dst, c.next[dir], ack, flags, payload)
	c.next[dir] += uint32(len(payload))
	if flags&(capture.SYN|capture.FIN) != 0 {
		c.next[dir]++
	}
	c.w.items = append(c.w.items, capture.Item{At: at, Kind: capture.PacketSeen,
		Packet: capture.Packet{Data: data, Length: len(data), Link: capture.LinkRaw}})
}

// Sample writes what the host says.
func (w *Wire) Sample(at capture.Time, s *capture.Sample) {
	w.items = append(w.items, capture.Item{At: at, Kind: capture.HostSampled, Sample: s})
}

// Lose writes that packets were lost.
func (w *Wire) Lose(at capture.Time, packets uint64) {
	w.items = append(w.items, capture.Item{At: at, Kind: capture.PacketsLost, Loss: capture.Loss{Kernel: packets}})
}

// Items returns what was written, in strict order of time, and a tick at the
// end.
func (w *Wire) Items(end capture.Time) []capture.Item {
	items := slices.Clone(w.items)
	slices.SortStableFunc(items, func(a, b capture.Item) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	items = append(items, capture.Item{At: end})
	var strict vtime.Strict
	for i := range items {
		items[i].At = strict.Next(items[i].At)
	}
	return items
}

// frame is an IP packet (LINKTYPE_RAW) with right lengths and checksums.
func frame(src, dst netip.AddrPort, seq, ack uint32, flags capture.Flags, payload []byte) []byte {
	length := 20 + len(payload)
	var b []byte
	if src.Addr().Is4() {
		b = append(b, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(20+length))
		b = append(b, 0, 0, 0x40, 0, 64, 6, 0, 0)
		b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
		binary.BigEndian.PutUint16(b[10:], ^capture.Fold(capture.Sum(0, b)))
	} else {
		b = append(b, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(length))
		b = append(b, 6, 64)
		b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
	}
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, 5<<4, byte(flags), 0xff, 0xff, 0, 0, 0, 0)
	b = append(b, payload...)
	pseudo := capture.Sum(capture.Sum(uint64(6+length), src.Addr().AsSlice()), dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[start+16:], ^capture.Fold(capture.Sum(pseudo, b[start:])))
	return b
}
