package httpreassembly

import (
	"bytes"
	"slices"
	"sort"

	"stallwatch/capture"
)

// reorder holds what came beyond a hole, in Linux' order (tcp_data_queue_ofo
// and tcp_ofo_queue in net/ipv4/tcp_input.c), because an attacker who knows a
// monitor's order can show it another request than the server gets:
//
//   - pieces are sorted by their first byte, and where two overlap the one
//     that begins first is delivered whole;
//   - a new piece inside an old one is dropped; old ones inside it are;
//   - a new piece that begins where an old one ends is joined to it.
type reorder struct {
	pieces     []piece
	doubted    []piece // what the server's kernel most likely dropped: see suspect
	cost       int     // bytes reserved
	conn       *conn
	dir        capture.Dir
	prev, next *reorder // in holes
}

// Bounds of a reorder buffer, besides Options.MaxConnBuffered: pieceCost is
// reserved for a piece beside its bytes, so that one-byte pieces do not cost
// forty times what they are charged; maxPieces keeps insertion short.
const (
	pieceCost  = 64
	maxPieces  = 1024
	maxDoubted = 16
)

// piece is a run of bytes, of which the last cut were not captured.
type piece struct {
	start seq
	cut   int
	data  []byte
}

func (p *piece) end() seq { return p.start + seq(len(p.data)+p.cut) }

// skip drops what lies before q.
func (p *piece) skip(q seq) {
	n := int(q.sub(p.start))
	if n <= 0 {
		return
	}
	p.start = q
	if n > len(p.data) {
		p.cut -= n - len(p.data)
		n = len(p.data)
	}
	p.data = p.data[n:]
}

// keep drops what lies at q or beyond; false means that nothing is left.
func (p *piece) keep(q seq) bool {
	n := int(q.sub(p.start))
	if n <= 0 {
		return false
	}
	if n <= len(p.data) {
		p.data, p.cut = p.data[:n], 0
	} else {
		p.cut = n - len(p.data)
	}
	return true
}

// differs reports whether p says something else than a buffered piece about
// the same byte. Bytes that were delivered are gone and cannot be compared.
// Pieces end in order: those that end before p are not looked at, since who
// fills the buffer with pieces of a byte could make each segment dear.
func (r *reorder) differs(p *piece) bool {
	i := sort.Search(len(r.pieces), func(i int) bool { return r.pieces[i].end().after(p.start) })
	for ; i < len(r.pieces) && r.pieces[i].start.before(p.end()); i++ {
		if p.contradicts(&r.pieces[i]) {
			return true
		}
	}
	for i := range r.doubted {
		if p.contradicts(&r.doubted[i]) {
			return true
		}
	}
	return false
}

// contradicts reports whether p and o say different things about one byte.
func (p *piece) contradicts(o *piece) bool {
	a, b := p.data, o.data
	if d := int(o.start.sub(p.start)); d > 0 {
		a = a[min(d, len(a)):]
	} else {
		b = b[min(-d, len(b)):]
	}
	n := min(len(a), len(b))
	return !bytes.Equal(a[:n], b[:n])
}

// park buffers a copy of p.
func (t *Tracker) park(c *conn, dir capture.Dir, at capture.Time, p *piece) {
	r := t.heldBy(c, dir)
	if r.differs(p) {
		t.oddity(c, at, dir, OverlapDiffers, "")
	}
	t.insert(r, p)
	t.tidy(r)
}

// heldBy returns the reorder buffer of dir.
func (t *Tracker) heldBy(c *conn, dir capture.Dir) *reorder {
	h := &c.half[dir]
	if h.held == nil {
		h.held = &reorder{conn: c, dir: dir}
		t.holes.push(h.held)
	}
	return h.held
}

// tidy gives r up when nothing is left in it.
func (t *Tracker) tidy(r *reorder) {
	if len(r.pieces) == 0 && len(r.doubted) == 0 {
		t.discard(r)
	}
}

// suspect keeps the payload of a doubtful segment aside until the server
// acknowledges it, which it most likely never does: an attacker sends such a
// decoy with the numbers of what is to come. Whatever else comes for these
// bytes goes first.
func (t *Tracker) suspect(c *conn, dir capture.Dir, s *capture.Segment) {
	h := &c.half[dir]
	p := piece{start: seq(s.Seq), data: s.Payload, cut: s.Missing}
	if !p.end().after(h.next) {
		t.stats.Retransmitted++
		return
	}
	if !t.toCome(c, dir, s.At, &p) {
		return
	}
	r := t.heldBy(c, dir)
	if r.differs(&p) {
		t.oddity(c, s.At, dir, OverlapDiffers, "")
	}
	if len(r.doubted) < maxDoubted && t.hold(r, len(p.data)+pieceCost) {
		p.data = bytes.Clone(p.data)
		r.doubted = append(r.doubted, p)
	} else {
		t.stats.BufferDropped += uint64(len(p.data))
	}
	t.tidy(r)
}

// trust delivers what was doubted and the server has acknowledged after all:
// the capture has missed what would have made it plausible.
func (t *Tracker) trust(c *conn, dir capture.Dir, at capture.Time) {
	h := &c.half[dir]
	for h.held != nil && h.acked.after(h.next) {
		i := slices.IndexFunc(h.held.doubted, func(p piece) bool {
			return !p.start.after(h.next) && p.end().after(h.next) && !p.end().after(h.acked)
		})
		if i < 0 {
			return
		}
		r := h.held
		p := r.doubted[i]
		r.doubted = slices.Delete(r.doubted, i, i+1)
		t.refund(r, len(p.data)+pieceCost)
		t.take(c, dir, at, &p)
		t.drain(c, dir, at)
	}
}

// believed returns where the first doubted piece begins that lies before edge
// and that the receiver, who has all before acked, has or got in other words;
// else edge. After an outage the first call is such a piece: it acknowledges
// what was not captured.
func (r *reorder) believed(edge, next, acked seq) seq {
	for i := range r.doubted {
		if p := &r.doubted[i]; p.start.before(edge) && p.end().after(next) && !p.end().after(acked) {
			edge = p.start
		}
	}
	return edge
}

// disprove drops the doubted pieces that lie before the next byte: others were
// taken in their place, or they were.
func (t *Tracker) disprove(r *reorder, next seq) {
	kept := r.doubted[:0]
	for _, p := range r.doubted {
		if p.end().after(next) {
			kept = append(kept, p)
			continue
		}
		t.stats.Unacceptable++
		t.refund(r, len(p.data)+pieceCost)
	}
	clear(r.doubted[len(kept):])
	r.doubted = kept
}

func (t *Tracker) insert(r *reorder, p *piece) {
	i := sort.Search(len(r.pieces), func(i int) bool { return r.pieces[i].start.after(p.start) })
	joined := false
	if i > 0 {
		last := &r.pieces[i-1]
		switch {
		case !p.end().after(last.end()):
			t.stats.Retransmitted++
			return
		case last.start == p.start:
			i-- // p covers it
		case last.end() == p.start && last.cut == 0:
			joined = true
		}
	}
	cost := len(p.data)
	if !joined {
		cost += pieceCost
	}
	if !t.hold(r, cost) {
		t.stats.BufferDropped += uint64(len(p.data))
		return
	}
	if joined {
		last := &r.pieces[i-1]
		last.data, last.cut = append(last.data, p.data...), p.cut
		t.cover(r, i, p.end())
		return
	}
	t.cover(r, i, p.end())
	r.pieces = slices.Insert(r.pieces, i, piece{start: p.start, cut: p.cut, data: bytes.Clone(p.data)})
}

// cover drops the pieces from i on that end at or before q.
func (t *Tracker) cover(r *reorder, i int, q seq) {
	n := i
	for n < len(r.pieces) && !r.pieces[n].end().after(q) {
		t.refund(r, len(r.pieces[n].data)+pieceCost)
		n++
	}
	r.pieces = slices.Delete(r.pieces, i, n)
}

func (t *Tracker) refund(r *reorder, n int) {
	r.cost -= n
	t.holes.cost -= int64(n)
	t.release(n)
}

// drain delivers what is contiguous now.
func (t *Tracker) drain(c *conn, dir capture.Dir, at capture.Time) {
	h := &c.half[dir]
	r := h.held
	if r == nil {
		return
	}
	n := 0
	for n < len(r.pieces) && !r.pieces[n].start.after(h.next) {
		p := r.pieces[n]
		n++
		if p.end().after(h.next) {
			t.take(c, dir, at, &p)
		}
		t.refund(r, len(r.pieces[n-1].data)+pieceCost)
	}
	r.pieces = slices.Delete(r.pieces, 0, n)
	t.disprove(r, h.next)
	t.tidy(r)
}

// discard gives up a reorder buffer with what is in it. Bytes that are still
// there count as dropped; when the receiver acknowledges them they become a
// gap.
func (t *Tracker) discard(r *reorder) {
	for i := range r.pieces {
		t.stats.BufferDropped += uint64(len(r.pieces[i].data))
	}
	t.stats.Unacceptable += uint64(len(r.doubted))
	t.holes.cost -= int64(r.cost)
	t.release(r.cost)
	t.holes.remove(r)
	r.conn.half[r.dir].held = nil
	r.pieces, r.doubted, r.cost, r.conn = nil, nil, 0, nil
}

// holes lists the reorder buffers, the oldest first.
type holes struct {
	head, tail *reorder
	cost       int64 // bytes reserved by all of them
}

func (l *holes) push(r *reorder) {
	r.prev = l.tail
	if l.tail != nil {
		l.tail.next = r
	} else {
		l.head = r
	}
	l.tail = r
}

func (l *holes) remove(r *reorder) {
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		l.head = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	} else {
		l.tail = r.prev
	}
	r.prev, r.next = nil, nil
}
