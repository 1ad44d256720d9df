package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"stallwatch/capture"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng section 4).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 2 // obsolete, still written by some
	blockSimple    = 3
	blockEnhanced  = 6
)

// Options of an Interface Description Block.
const (
	optTSResol  = 9
	optTSOffset = 14
)

const (
	byteOrderMagic = 0x1a2b3c4d
	maxInterfaces  = 4096
	maxDescription = 1 << 20 // an Interface Description Block, with all its options
	maxSlack       = 1 << 20 // what a packet's block may hold beside the packet: options
)

// ngReader reads pcapng: sections one after the other, each with its
// interfaces and its byte order.
type ngReader struct {
	b      *blocks
	order  binary.ByteOrder
	ifaces []ngInterface
	base   int // interfaces of the sections before
	last   capture.Time
	at     int64 // where the block that is being read begins
}

// ngInterface is what an Interface Description Block says.
type ngInterface struct {
	link    capture.LinkType
	snap    uint32
	resol   byte
	seconds int64 // if_tsoffset
}

// newPcapng returns nil, nil when the file is no pcapng.
func newPcapng(b *blocks) (reader, error) {
	h, err := b.peek(4)
	if err != nil || binary.BigEndian.Uint32(h) != blockSection {
		return nil, nil
	}
	r := &ngReader{b: b}
	if err := r.section(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *ngReader) offset() int64 { return r.at }
func (r *ngReader) handedOut()    { r.b.handedOut() }

// section reads a Section Header Block.
func (r *ngReader) section() error {
	h, err := r.b.peek(12)
	if err != nil {
		return cut(err)
	}
	switch {
	case binary.BigEndian.Uint32(h[8:]) == byteOrderMagic:
		r.order = binary.BigEndian
	case binary.LittleEndian.Uint32(h[8:]) == byteOrderMagic:
		r.order = binary.LittleEndian
	default:
		return fmt.Errorf("a section without a byte-order mark: %x", h[8:12])
	}
	n := r.order.Uint32(h[4:])
	if n < 28 || n%4 != 0 {
		return fmt.Errorf("a section header of %d bytes", n)
	}
	r.base += len(r.ifaces)
	if r.base > maxInterfaces {
		return fmt.Errorf("more than %d interfaces", maxInterfaces)
	}
	r.ifaces = r.ifaces[:0]
	return r.b.discard(int64(n))
}

func (r *ngReader) next(p *raw) error {
	for {
		r.at = r.b.off
		h, err := r.b.peek(8)
		if err != nil {
			return cut(err)
		}
		typ, n := r.order.Uint32(h), int64(r.order.Uint32(h[4:]))
		if typ == blockSection {
			if err := r.section(); err != nil {
				return cut(err)
			}
			continue
		}
		if n < 12 || n%4 != 0 {
			return fmt.Errorf("a block of %d bytes: the file is damaged here", n)
		}
		got, err := r.block(typ, n, p)
		if got || err != nil {
			return cut(err)
		}
	}
}

// block reads the block of n bytes; got means that it was a packet.
func (r *ngReader) block(typ uint32, n int64, p *raw) (got bool, err error) {
	limit := int64(maxSnap + maxSlack)
	switch typ {
	case blockEnhanced, blockPacket, blockSimple:
	case blockInterface:
		limit = maxDescription
	default: // names, statistics, secrets: not for us
		return false, r.b.discard(n)
	}
	if n > limit {
		return false, fmt.Errorf("a block of %d bytes, %d at most: the file is damaged here", n, limit)
	}
	b, err := r.b.peek(int(n))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return false, err
	}
	if int64(r.order.Uint32(b[n-4:])) != n {
		return false, errors.New("a block that says two lengths: the file is damaged here")
	}
	body := b[8 : n-4 : n-4]
	switch typ {
	case blockInterface:
		err = r.describe(body)
	case blockSimple:
		err = r.simple(body, p)
	default:
		err = r.packet(typ, body, p)
	}
	if err == nil {
		r.b.skip(int(n))
	}
	return typ != blockInterface, err
}

var errShortBlock = errors.New("a block too short for what it holds")

func (r *ngReader) describe(b []byte) error {
	if len(b) < 8 {
		return errShortBlock
	}
	if len(r.ifaces) == maxInterfaces {
		return fmt.Errorf("more than %d interfaces", maxInterfaces)
	}
	i := ngInterface{link: capture.LinkType(r.order.Uint16(b)), snap: r.order.Uint32(b[4:]), resol: 6}
	for o := b[8:]; len(o) >= 4; {
		code, n := r.order.Uint16(o), int(r.order.Uint16(o[2:]))
		if code == 0 || n > len(o)-4 {
			break
		}
		switch v := o[4 : 4+n]; {
		case code == optTSResol && n == 1:
			i.resol = v[0]
		case code == optTSOffset && n == 8:
			i.seconds = int64(r.order.Uint64(v))
		}
		o = o[min(4+(n+3)&^3, len(o)):]
	}
	if err := checkResolution(i.resol); err != nil {
		return err
	}
	r.ifaces = append(r.ifaces, i)
	return nil
}

// packet reads an Enhanced Packet Block or the obsolete Packet Block, which
// differ in the first four bytes only.
func (r *ngReader) packet(typ uint32, b []byte, p *raw) error {
	if len(b) < 20 {
		return errShortBlock
	}
	id := int64(r.order.Uint32(b))
	if typ == blockPacket {
		id = int64(r.order.Uint16(b))
	}
	if id >= int64(len(r.ifaces)) {
		return fmt.Errorf("a packet of interface %d, which is not described", id)
	}
	i := &r.ifaces[id]
	incl, orig := r.order.Uint32(b[12:]), r.order.Uint32(b[16:])
	if int64(incl) > int64(len(b)-20) {
		return errShortBlock
	}
	r.last = i.time(uint64(r.order.Uint32(b[4:]))<<32 | uint64(r.order.Uint32(b[8:])))
	return r.fill(p, b[20:20+incl:20+incl], orig, int(id))
}

// simple reads a Simple Packet Block. It has no time: that of the packet
// before it must do.
func (r *ngReader) simple(b []byte, p *raw) error {
	if len(b) < 4 {
		return errShortBlock
	}
	if len(r.ifaces) == 0 {
		return errors.New("a packet of interface 0, which is not described")
	}
	orig, data := r.order.Uint32(b), b[4:]
	n := min(int64(len(data)), int64(orig))
	if snap := r.ifaces[0].snap; snap > 0 {
		n = min(n, int64(snap))
	}
	return r.fill(p, data[:n:n], orig, 0)
}

func (r *ngReader) fill(p *raw, data []byte, orig uint32, id int) error {
	if len(data) > maxSnap {
		return fmt.Errorf("a packet of %d bytes, %d at most: the file is damaged here", len(data), maxSnap)
	}
	p.at = max(r.last, 1)
	p.packet = capture.Packet{Data: data, Length: max(int(orig), len(data)), Link: r.ifaces[id].link, Interface: r.base + id}
	return nil
}

// checkResolution refuses units that no 64-bit count of is a time.
func checkResolution(resol byte) error {
	if resol&0x80 != 0 && resol&0x7f > 63 || resol&0x80 == 0 && resol > 19 {
		return fmt.Errorf("an interface with the time resolution %#x", resol)
	}
	return nil
}

// time converts a count of the interface's units: 10^-n seconds, or 2^-n with
// the highest bit set. What lies beyond capture.Time is clamped.
func (i *ngInterface) time(ts uint64) capture.Time {
	var sec, ns uint64
	switch n := uint(i.resol & 0x7f); {
	case i.resol&0x80 != 0:
		hi, lo := bits.Mul64(ts&(1<<n-1), 1e9)
		sec, ns = ts>>n, hi<<(64-n)|lo>>n
	case n <= 9:
		unit := uint64(math.Pow10(int(n)))
		sec, ns = ts/unit, ts%unit*uint64(math.Pow10(9-int(n)))
	default:
		unit := uint64(math.Pow10(int(n) - 9))
		sec, ns = ts/unit/1e9, ts/unit%1e9
	}
	const most = int64(maxTime / 1e9)
	s := min(int64(min(sec, math.MaxInt64/4)), 2*most) + min(max(i.seconds, -2*most), 2*most)
	return clamp(min(max(s, 0), most)*1e9 + int64(ns))
}
