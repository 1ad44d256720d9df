package decode

import (
	"slices"

	"stallwatch/capture"
)

// maxDatagram bounds a datagram that is put together (RFC 791 section 3.1).
const maxDatagram = 65535

// maxPieces bounds the fragments of one datagram: 65535 bytes at the least
// MTU of IPv6 (1280) are 54.
const maxPieces = 128

// pieceCost is what keeping a fragment costs beyond its bytes, so that a
// flood of 8-byte fragments meets the bound of bytes as well.
const pieceCost = 96

// minBytes is the least of Options.Bytes: the greatest datagram fits twice.
const minBytes = 2 * (maxDatagram + maxPieces*pieceCost)

// fragKey tells datagrams apart (RFC 791 section 3.2, RFC 8200 section 4.5).
type fragKey struct {
	src, dst capture.Endpoint
	id       uint32
	version  byte
}

// piece is one fragment as it was found in a frame.
type piece struct {
	key  fragKey
	from int    // its place in the datagram, bytes
	more bool   // not the last
	next byte   // the protocol of the datagram; valid iff from is 0
	data []byte // as captured
	wire int    // its length on the wire
	odd  bool   // as Segment.Strange
}

// kept is a fragment that waits.
type kept struct {
	from int
	data []byte
}

// datagram is what came of one so far.
type datagram struct {
	key   fragKey
	since capture.Time
	kept  []kept // by from, without overlap
	end   int    // its length; 0 until the last fragment came
	have  int    // bytes kept
	next  byte   // valid once the fragment at 0 is kept
	odd   bool   // as Segment.Strange: one of them was
	dead  Skip   // none, or why all of it is dropped
	newer *datagram
	older *datagram
}

// fragments keeps datagrams until they are whole: at most Options.Datagrams,
// Options.Bytes and Options.FragmentAge of them.
type fragments struct {
	o      Options
	stats  *Stats
	byKey  map[fragKey]*datagram
	oldest *datagram
	newest *datagram
	bytes  int
	whole  []byte // the datagram handed out last
}

func (f *fragments) init(o Options, st *Stats) {
	f.o, f.stats, f.byKey = o, st, make(map[fragKey]*datagram)
}

// fragment keeps p, or decodes the datagram that p makes whole.
func (d *Decoder) fragment(p piece, e ends, at capture.Time, s *capture.Segment) Skip {
	f := &d.frags
	if e.joined {
		return FragmentDropped // fragments within fragments: nobody's client
	}
	f.expire(at)
	g := f.datagram(p.key, at)
	if g.dead != none {
		return g.dead
	}
	if why := f.add(g, &p); why != none {
		return why
	}
	if g.end == 0 || g.have < g.end {
		return FragmentWaiting
	}
	next := g.next
	e.joined, e.strange = true, g.odd
	whole := f.join(g)
	if p.key.version == 4 {
		return tcp(whole, len(whole), &e, s)
	}
	return d.extensions(next, whole, len(whole), e, at, s)
}

// datagram finds or makes the one with key; the oldest makes room.
func (f *fragments) datagram(key fragKey, at capture.Time) *datagram {
	if g := f.byKey[key]; g != nil {
		return g
	}
	if len(f.byKey) >= f.o.Datagrams {
		f.forget(f.oldest)
	}
	g := &datagram{key: key, since: at, older: f.newest}
	if f.newest != nil {
		f.newest.newer = g
	} else {
		f.oldest = g
	}
	f.newest, f.byKey[key] = g, g
	return g
}

// expire forgets what is older than FragmentAge. Times grow, so the oldest
// stand first.
func (f *fragments) expire(now capture.Time) {
	for f.oldest != nil && now.Sub(f.oldest.since) > f.o.FragmentAge {
		f.forget(f.oldest)
	}
}

// forget takes g away.
func (f *fragments) forget(g *datagram) {
	f.release(g, FragmentDropped)
	delete(f.byKey, g.key)
	if g.older != nil {
		g.older.newer = g.newer
	} else {
		f.oldest = g.newer
	}
	if g.newer != nil {
		g.newer.older = g.older
	} else {
		f.newest = g.older
	}
}

// release gives the bytes of g back; its frames, which waited, now count as as.
func (f *fragments) release(g *datagram, as Skip) {
	f.recount(len(g.kept), as)
	f.bytes -= g.have + len(g.kept)*pieceCost
	g.kept, g.have = nil, 0
}

// recount counts n frames that waited as as.
func (f *fragments) recount(n int, as Skip) {
	f.stats.Skipped[FragmentWaiting] -= uint64(n)
	f.stats.Skipped[as] += uint64(n)
}

// kill drops all of g and what comes of it later (RFC 5722 section 4: "even
// those not yet received").
func (f *fragments) kill(g *datagram, why Skip) Skip {
	f.release(g, why)
	g.dead = why
	return why
}

// add keeps a copy of p, or says why not.
func (f *fragments) add(g *datagram, p *piece) Skip {
	end := p.from + p.wire
	switch {
	case p.wire == 0 || end > maxDatagram || p.more && p.wire%8 != 0:
		return BadLength // dropped alone, as Linux does
	case len(p.data) < p.wire, len(g.kept) == maxPieces:
		return f.kill(g, FragmentDropped)
	case g.end != 0 && (end > g.end || !p.more && end != g.end):
		return f.kill(g, FragmentDropped) // two ends
	}
	i, why := g.place(p.from, end)
	if why == FragmentOverlap {
		return f.kill(g, why)
	} else if why != none {
		return why
	}
	if !p.more {
		if n := len(g.kept); n > 0 && i < n {
			return f.kill(g, FragmentDropped) // something lies beyond the end
		}
		g.end = end
	}
	if p.from == 0 {
		g.next = p.next
	}
	g.odd = g.odd || p.odd
	f.room(g, p.wire+pieceCost)
	g.kept = slices.Insert(g.kept, i, kept{p.from, slices.Clone(p.data)})
	g.have += p.wire
	f.bytes += p.wire + pieceCost
	return none
}

// room forgets the oldest but g until n bytes fit. That always comes about:
// Options.Bytes is at least minBytes.
func (f *fragments) room(g *datagram, n int) {
	for f.bytes+n > f.o.Bytes {
		old := f.oldest
		if old == g {
			old = g.newer
		}
		if old == nil {
			return
		}
		f.forget(old)
	}
}

// place finds where a fragment belongs. One that lies within another is a
// duplicate, as in inet_frag_queue_insert of Linux; any other overlap is
// FragmentOverlap.
func (g *datagram) place(from, end int) (int, Skip) {
	i, _ := slices.BinarySearchFunc(g.kept, from, func(k kept, from int) int { return k.from - from })
	if i < len(g.kept) {
		if k := g.kept[i]; k.from == from && end <= k.from+len(k.data) {
			return i, FragmentDuplicate
		} else if k.from < end {
			return i, FragmentOverlap
		}
	}
	if i > 0 {
		if k := g.kept[i-1]; end <= k.from+len(k.data) {
			return i, FragmentDuplicate
		} else if from < k.from+len(k.data) {
			return i, FragmentOverlap
		}
	}
	return i, none
}

// join puts g together and forgets it. Its bytes hold until the next join.
func (f *fragments) join(g *datagram) []byte {
	f.whole = f.whole[:0]
	for _, k := range g.kept {
		f.whole = append(f.whole, k.data...)
	}
	f.recount(-1, FragmentJoined) // the last one has not waited: it counts as what becomes of all
	f.release(g, FragmentJoined)
	f.forget(g)
	return f.whole
}
