package httpreassembly

import (
	"hash/maphash"
	"math/bits"

	"stallwatch/capture"
)

// table finds the connection of a segment. Both directions hash alike, and the
// answer says which one a segment has. A Go map with a key of its own would
// take some 70 bytes a connection more, an eighth of what one may cost.
type table struct {
	index // of the slab's numbers
	seed  uint64
	slab  slab
}

// init gives the table its secret. Where a connection lies never shows in
// the output; that an attacker cannot choose it keeps probes short.
func (tb *table) init() {
	tb.seed = maphash.Bytes(maphash.MakeSeed(), nil)
	tb.index.init(1024)
}

func (tb *table) hash(s *capture.Segment) uint32 { return uint32(s.Hash(tb.seed) >> 32) }

// find returns the connection of s and the direction of s on it.
func (tb *table) find(h uint32, s *capture.Segment) (*conn, capture.Dir) {
	mask := uint32(len(tb.slots) - 1)
	for i := h & mask; tb.slots[i].ref != 0; i = (i + 1) & mask {
		if tb.slots[i].hash != h {
			continue
		}
		c := tb.slab.at(tb.slots[i].ref)
		if c.flow.Client.Is(&s.Src) && c.flow.Server.Is(&s.Dst) {
			return c, capture.ToServer
		}
		if c.flow.Client.Is(&s.Dst) && c.flow.Server.Is(&s.Src) {
			return c, capture.ToClient
		}
	}
	return nil, 0
}

// add enters c under c.hash.
func (tb *table) add(c *conn) { tb.index.add(slot{c.hash, c.ref}) }

func (tb *table) remove(c *conn) { tb.index.remove(slot{c.hash, c.ref}) }

// slab keeps connections in blocks, so that a million of them are four
// thousand objects to the garbage collector and never move. Their places are
// numbered from 1.
type slab struct {
	blocks []*[slabBlock]conn
	free   uint32 // the first of those that are free, linked by next; 0: none
}

const slabBlock = 256

func (sl *slab) at(ref uint32) *conn {
	ref--
	return &sl.blocks[ref/slabBlock][ref%slabBlock]
}

// get returns a cleared connection.
func (sl *slab) get() *conn {
	if sl.free == 0 {
		sl.extend()
	}
	c := sl.at(sl.free)
	sl.free = c.next
	*c = conn{ident: ident{ref: c.ref}, timer: -1, flags: used}
	return c
}

func (sl *slab) put(c *conn) {
	*c = conn{ident: ident{ref: c.ref}, timer: -1, next: sl.free}
	sl.free = c.ref
}

func (sl *slab) extend() {
	b := new([slabBlock]conn)
	sl.blocks = append(sl.blocks, b)
	for i := slabBlock - 1; i >= 0; i-- {
		b[i].ref = uint32((len(sl.blocks)-1)*slabBlock + i + 1)
		b[i].next = sl.free
		sl.free = b[i].ref
	}
}

// Shard returns which of n trackers has to get s: the same for both
// directions of a connection, in every run.
func Shard(s *capture.Segment, n int) int {
	hi, _ := bits.Mul64(s.Hash(0x9e3779b97f4a7c15), uint64(n))
	return int(hi)
}
