package decode

import (
	"time"

	"stallwatch/capture"
)

// Options bound the memory that fragments take. The zero value of a field
// takes its default.
type Options struct {
	Datagrams   int           // datagrams that wait for fragments (0: 1024)
	Bytes       int           // bytes that wait, with 96 for each fragment's keeping (0: 4 MiB; at least 152 KiB)
	FragmentAge time.Duration // how long a datagram waits (0: 30s, as Linux's ipfrag_time)
}

func (o Options) withDefaults() Options {
	if o.Datagrams <= 0 {
		o.Datagrams = 1024
	}
	if o.Bytes <= 0 {
		o.Bytes = 4 << 20
	}
	o.Bytes = max(o.Bytes, minBytes)
	if o.FragmentAge <= 0 {
		o.FragmentAge = 30 * time.Second
	}
	return o
}

// Decoder turns frames into segments. It is not safe for concurrent use: the
// pipeline's goroutine owns it.
type Decoder struct {
	stats Stats
	frags fragments
}

// New makes a Decoder.
func New(o Options) *Decoder {
	d := &Decoder{}
	d.frags.init(o.withDefaults(), &d.stats)
	return d
}

// Segment fills *s from p, seen at at, and reports whether p was, or made
// whole, a TCP segment. What s points to holds until p.Data is overwritten or
// the next call.
func (d *Decoder) Segment(p *capture.Packet, at capture.Time, s *capture.Segment) bool {
	why := d.frame(p, at, s)
	if why != none {
		d.stats.Skipped[why]++
		return false
	}
	d.stats.Segments++
	s.At = at
	return true
}

// Stats returns the counts so far.
func (d *Decoder) Stats() Stats { return d.stats }

// frame finds the IP packet in the frame and decodes it.
func (d *Decoder) frame(p *capture.Packet, at capture.Time, s *capture.Segment) Skip {
	off, version, why := network(p.Link, p.Data)
	if why != none {
		return why
	}
	b := p.Data[off:]
	if len(b) == 0 {
		return CutHeader
	}
	wire := max(p.Length-off, len(b)) // a file may claim less than it holds
	if version == anyVersion {
		version = b[0] >> 4
	}
	switch {
	case version == 4 && b[0]>>4 == 4:
		return d.ipv4(b, wire, at, s)
	case version == 6 && b[0]>>4 == 6:
		return d.ipv6(b, wire, at, s)
	}
	return NotIP
}
