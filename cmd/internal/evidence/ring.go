package evidence

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"stallwatch/capture"
)

// blockBytes is the unit in which the ring takes memory and forgets: four of
// the largest packets that libpcap hands over.
const blockBytes = 1 << 20

// headBytes precede each packet in a block: time, captured and wire length,
// link type.
const headBytes = 20

// Ring holds copies of the last packets, bounded by bytes and age. The
// goroutine that calls Add owns it; a Snapshot may be read by another.
//
// Packets lie in large blocks one behind the other, so that keeping one costs
// a copy and nothing else. Blocks are written once: a snapshot is a list of
// blocks with their lengths, and what is appended afterwards lies beyond. A
// block is used again only when no snapshot holds it.
type Ring struct {
	maxBlocks int
	age       time.Duration
	blocks    []*block // oldest first; the last one is being filled
	away      []*block // left the ring while a snapshot held them
	dropped   uint64
}

// block is a piece of the ring.
type block struct {
	buf  []byte // of blockBytes; never sliced anew, since readers look at it
	n    int    // bytes used; the owner's
	last capture.Time
	refs atomic.Int32 // snapshots that hold it
}

// NewRing makes a ring of about size bytes (at least two blocks) that forgets
// what is older than age.
func NewRing(size int64, age time.Duration) *Ring {
	return &Ring{maxBlocks: max(int(size/blockBytes), 2), age: age}
}

// Add copies a packet. What cannot be kept, since every block is held by
// snapshots or the packet is larger than a block, is counted.
func (r *Ring) Add(at capture.Time, p *capture.Packet) {
	need := headBytes + len(p.Data)
	var b *block
	if n := len(r.blocks); n > 0 {
		b = r.blocks[n-1]
	}
	if b == nil || blockBytes-b.n < need {
		if b = r.next(need); b == nil {
			r.dropped++
			return
		}
	}
	h := b.buf[b.n:]
	o := binary.LittleEndian
	o.PutUint64(h, uint64(at))
	o.PutUint32(h[8:], uint32(len(p.Data)))
	o.PutUint32(h[12:], uint32(p.Length))
	o.PutUint32(h[16:], uint32(p.Link))
	copy(h[headBytes:], p.Data)
	b.n += need
	b.last = at
}

// next appends an empty block; nil if there can be none.
func (r *Ring) next(need int) *block {
	if need > blockBytes {
		return nil
	}
	b := r.empty()
	if b != nil {
		b.n = 0
		r.blocks = append(r.blocks, b)
	}
	return b
}

// empty finds a block that nobody reads: a new one while the ring grows, then
// one that was away, then the ring's oldest.
func (r *Ring) empty() *block {
	if len(r.blocks) < r.maxBlocks {
		return &block{buf: make([]byte, blockBytes)}
	}
	oldest := r.blocks[0]
	if oldest.refs.Load() == 0 {
		r.shift()
		return oldest
	}
	for i, b := range r.away {
		if b.refs.Load() == 0 {
			r.shift()
			r.away[i] = oldest
			return b
		}
	}
	if len(r.away) >= r.maxBlocks {
		return nil // twice the ring is the bound
	}
	r.shift()
	r.away = append(r.away, oldest)
	return &block{buf: make([]byte, blockBytes)}
}

func (r *Ring) shift() {
	copy(r.blocks, r.blocks[1:])
	r.blocks = r.blocks[:len(r.blocks)-1]
}

// Dropped counts the packets that were not kept.
func (r *Ring) Dropped() uint64 { return r.dropped }

// Snapshot is what a Ring held at an instant. It must be released.
type Snapshot struct {
	parts []part
	from  capture.Time
}

type part struct {
	b *block
	n int
}

// Snapshot holds the packets later than after and younger than the ring's
// age. Another goroutine may read it while Add goes on.
func (r *Ring) Snapshot(after, now capture.Time) *Snapshot {
	s := &Snapshot{from: max(after, now.Add(-r.age))}
	for _, b := range r.blocks {
		if b.n > 0 && b.last > s.from {
			b.refs.Add(1)
			s.parts = append(s.parts, part{b, b.n})
		}
	}
	return s
}

// Release lets the ring use the blocks again. The Snapshot must not be used
// afterwards.
func (s *Snapshot) Release() {
	for _, p := range s.parts {
		p.b.refs.Add(-1)
	}
	s.parts = nil
}

// Packets visits the packets in order of time until yield returns false; the
// Item's bytes hold until Release.
func (s *Snapshot) Packets(yield func(*capture.Item) bool) {
	var it capture.Item
	o := binary.LittleEndian
	for _, p := range s.parts {
		for b := p.b.buf[:p.n]; len(b) > 0; {
			n := int(o.Uint32(b[8:]))
			it = capture.Item{At: capture.Time(o.Uint64(b)), Kind: capture.PacketSeen, Packet: capture.Packet{
				Data: b[headBytes : headBytes+n : headBytes+n], Length: int(o.Uint32(b[12:])), Link: capture.LinkType(o.Uint32(b[16:]))}}
			b = b[headBytes+n:]
			if it.At > s.from && !yield(&it) {
				return
			}
		}
	}
}
