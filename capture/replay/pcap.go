package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"stallwatch/capture"
)

// maxSnap bounds a packet: far beyond any link's largest (262144 in libpcap,
// half a MiB for BIG TCP), and small enough to be held.
const maxSnap = 16 << 20

// maxTime bounds what a file may claim (year 2116; a pcap's seconds end in
// 2106), so that no sum of times overflows.
const maxTime = capture.Time(1)<<62 - 1

// Magic numbers of pcap, big endian (libpcap sf-pcap.c).
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // Kuznetzov's: 8 more bytes a record
)

// errCut says that the file ends within a record: most often the program that
// wrote it was killed.
var errCut = errors.New("the file ends within a record")

// raw is a packet as it stands in a file.
type raw struct {
	at     capture.Time
	packet capture.Packet
}

// reader yields a file's packets. io.EOF is its proper end; any other error
// belongs to the byte offset at.
type reader interface {
	next(p *raw) error
	offset() int64
	handedOut() // the packet that next gave last is used
}

// pcapReader reads the classic format.
type pcapReader struct {
	b     *blocks
	order binary.ByteOrder
	big   bool
	nano  int64 // nanoseconds of a unit of the fraction
	head  int   // length of a record's header
	link  capture.LinkType
}

// newPcap reads the file header, or returns nil, nil when it is no pcap.
func newPcap(b *blocks) (reader, error) {
	h, err := b.peek(4)
	if err != nil {
		return nil, nil
	}
	r := &pcapReader{b: b, order: binary.BigEndian, big: true, nano: 1000, head: 16}
	magic := binary.BigEndian.Uint32(h)
	switch magic {
	case magicMicro, magicNano, magicModified:
	default:
		magic = binary.LittleEndian.Uint32(h)
		r.order, r.big = binary.LittleEndian, false
	}
	switch magic {
	case magicMicro:
	case magicNano:
		r.nano = 1
	case magicModified:
		r.head = 24
	default:
		return nil, nil
	}
	if h, err = b.peek(24); err != nil {
		return nil, fmt.Errorf("the file ends within its header: %w", err)
	}
	r.link = capture.LinkType(r.order.Uint32(h[20:]) & 0x03ffffff) // the rest is about checksums of frames
	b.skip(24)
	return r, nil
}

func (r *pcapReader) offset() int64 { return r.b.off }
func (r *pcapReader) handedOut()    { r.b.handedOut() }

func (r *pcapReader) next(p *raw) error {
	h, err := r.b.peek(r.head)
	if err != nil {
		return cut(err)
	}
	sec, frac, incl, orig := r.header(h)
	if incl > maxSnap {
		return fmt.Errorf("a packet of %d bytes, %d at most: the file is damaged here", incl, maxSnap)
	}
	n := r.head + int(incl)
	if h, err = r.b.peek(n); err != nil {
		return cut(err)
	}
	p.at = clamp(int64(sec)*1e9 + int64(frac)*r.nano)
	p.packet = capture.Packet{Data: h[r.head:], Length: max(int(orig), int(incl)), Link: r.link}
	r.b.skip(n)
	return nil
}

// header reads without the interface of binary.ByteOrder: this is once a
// packet.
func (r *pcapReader) header(h []byte) (sec, frac, incl, orig uint32) {
	_ = h[15]
	if r.big {
		o := binary.BigEndian
		return o.Uint32(h), o.Uint32(h[4:]), o.Uint32(h[8:]), o.Uint32(h[12:])
	}
	o := binary.LittleEndian
	return o.Uint32(h), o.Uint32(h[4:]), o.Uint32(h[8:]), o.Uint32(h[12:])
}

// clamp keeps ns within what capture.Time stands for: zero is "never".
func clamp(ns int64) capture.Time { return min(max(capture.Time(ns), 1), maxTime) }

// cut names the end of the file within a record.
func cut(err error) error {
	if err == io.ErrUnexpectedEOF {
		return errCut
	}
	return err
}
