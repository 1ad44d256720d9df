package httpreassembly

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"net/netip"

	"stallwatch/capture"
)

// table finds the connection of a segment: open addressing over slots of
// eight bytes, linear probing. Both directions hash alike, and the answer
// says which one a segment has. A Go map with a key of its own would take
// some 70 bytes a connection more, an eighth of what one may cost.
type table struct {
	slots []slot // a power of two
	n     int
	seed  uint64
	slab  slab
}

type slot struct {
	hash uint32
	ref  uint32 // of the slab; 0: empty
}

// init gives the table its secret. Where a connection lies never shows in
// the output; that an attacker cannot choose it keeps probes short.
func (tb *table) init() {
	tb.seed = maphash.Bytes(maphash.MakeSeed(), nil)
	tb.slots = make([]slot, 1024)
}

func (tb *table) hash(s *capture.Segment) uint32 { return uint32(pair(s, tb.seed) >> 32) }

// find returns the connection of s and the direction of s on it.
func (tb *table) find(h uint32, s *capture.Segment) (*conn, capture.Dir) {
	mask := uint32(len(tb.slots) - 1)
	for i := h & mask; tb.slots[i].ref != 0; i = (i + 1) & mask {
		if tb.slots[i].hash != h {
			continue
		}
		c := tb.slab.at(tb.slots[i].ref)
		if c.flow.Client == s.Src && c.flow.Server == s.Dst {
			return c, capture.ToServer
		}
		if c.flow.Client == s.Dst && c.flow.Server == s.Src {
			return c, capture.ToClient
		}
	}
	return nil, 0
}

// add enters c under c.hash.
func (tb *table) add(c *conn) {
	if tb.n++; tb.n*4 > len(tb.slots)*3 {
		tb.grow()
	}
	tb.place(slot{c.hash, c.ref})
}

func (tb *table) place(s slot) {
	mask := uint32(len(tb.slots) - 1)
	i := s.hash & mask
	for tb.slots[i].ref != 0 {
		i = (i + 1) & mask
	}
	tb.slots[i] = s
}

func (tb *table) grow() {
	old := tb.slots
	tb.slots = make([]slot, 2*len(old))
	for _, s := range old {
		if s.ref != 0 {
			tb.place(s)
		}
	}
}

// remove takes c out and closes the gap, so that probes end at the first
// empty slot (Knuth volume 3, section 6.4, algorithm R).
func (tb *table) remove(c *conn) {
	mask := uint32(len(tb.slots) - 1)
	i := c.hash & mask
	for tb.slots[i].ref != c.ref {
		i = (i + 1) & mask
	}
	tb.n--
	for j := i; ; {
		j = (j + 1) & mask
		s := tb.slots[j]
		if s.ref == 0 {
			tb.slots[i] = slot{}
			return
		}
		if home := s.hash & mask; (j-home)&mask >= (j-i)&mask {
			tb.slots[i] = s
			i = j
		}
	}
}

// slab keeps connections in blocks, so that a million of them are four
// thousand objects to the garbage collector and never move.
type slab struct {
	blocks []*[slabBlock]conn
	free   *conn
}

const slabBlock = 256

func (sl *slab) at(ref uint32) *conn {
	ref--
	return &sl.blocks[ref/slabBlock][ref%slabBlock]
}

// get returns a cleared connection.
func (sl *slab) get() *conn {
	if sl.free == nil {
		sl.extend()
	}
	c := sl.free
	sl.free = c.next
	ref := c.ref
	*c = conn{ident: ident{ref: ref}, timer: -1, flags: used}
	return c
}

func (sl *slab) put(c *conn) {
	*c = conn{ident: ident{ref: c.ref}, timer: -1, next: sl.free}
	sl.free = c
}

func (sl *slab) extend() {
	b := new([slabBlock]conn)
	sl.blocks = append(sl.blocks, b)
	for i := slabBlock - 1; i >= 0; i-- {
		b[i].ref = uint32((len(sl.blocks)-1)*slabBlock + i + 1)
		b[i].next = sl.free
		sl.free = &b[i]
	}
}

// Shard returns which of n trackers has to get s: the same for both
// directions of a connection, in every run.
func Shard(s *capture.Segment, n int) int {
	hi, _ := bits.Mul64(pair(s, 0x9e3779b97f4a7c15), uint64(n))
	return int(hi)
}

// pair hashes the two ends of s, in either order to the same value.
func pair(s *capture.Segment, seed uint64) uint64 {
	return mix(end(s.Src, seed)+end(s.Dst, seed), seed^0xe7037ed1a0b428db)
}

func end(a netip.AddrPort, seed uint64) uint64 {
	b := a.Addr().As16()
	hi, lo := binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])
	return mix(mix(hi^seed, lo^0xa0761d6478bd642f)^uint64(a.Port()), seed^0x8ebc6af09c88c6e3)
}

// mix is the multiply-and-fold step of wyhash.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
