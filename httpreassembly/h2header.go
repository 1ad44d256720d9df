package httpreassembly

import (
	"golang.org/x/net/http2/hpack"

	"stallwatch/capture"
)

// h2block is the header block in progress of one direction, and what decodes
// them.
type h2block struct {
	stream uint32 // 0: none
	call   *call  // of the client's block
	bytes  int    // of the block, as sent
	seen   int    // bytes of all blocks: what the decoder's tables are charged by
	size   uint32 // of the table, as the other side allowed
	listed int    // bytes of fields, as RFC 9113 section 6.5.2 counts them
	ends   bool   // the stream ends with it
	push   bool
	broken bool // the table is out of step: blocks are not decoded any more
	dec    *hpack.Decoder
	head   *h2head
}

// h2head is what is kept of a block.
type h2head struct {
	line   line1
	views  views
	status int
}

// Bounds of header compression. A table's entries take some three times what
// RFC 7541 section 4.1 counts; an attacker pays for each byte in it with one
// on the wire.
const (
	h2Table   = 4 << 10  // bytes: the initial size of a table (RFC 9113 section 6.5.2)
	h2MaxSize = 64 << 10 // bytes of a table, whatever was agreed
	h2String  = 8 << 10  // bytes of a name or value
	h2Base    = 1 << 10  // bytes charged for a decoder
)

// setting takes a parameter that the sender of dir announced. The size of the
// table it decodes with bounds what the other direction may fill.
func (h *h2) setting(dir capture.Dir, id uint16, value uint32) {
	const headerTableSize = 1
	if id != headerTableSize {
		return
	}
	b := &h.side[dir.Reverse()].block
	b.size = max(b.size, h2Table, min(value, h2MaxSize))
	if b.dec != nil {
		b.dec.SetAllowedMaxDynamicTableSize(b.size)
	}
}

// beginBlock begins the header block of stream id. The client's opens one.
func (m *messages) beginBlock(f *feed, s *h2side, id uint32) {
	b := &s.block
	b.stream, b.bytes, b.listed, b.ends, b.push, b.call = id, 0, 0, false, false, nil
	b.head = &h2head{}
	if f.dir == capture.ToServer {
		b.call = m.openStream(f, id, s.began)
	}
}

// decodeBlock decodes p, the next bytes of a block.
func (m *messages) decodeBlock(f *feed, s *h2side, p []byte) {
	b := &s.block
	b.bytes += len(p)
	b.seen += len(p)
	if x := m.h2.streams[b.stream]; x != nil && !b.push {
		x.framed(f.sh, f.dir, len(p))
	}
	switch {
	case b.broken:
		return
	case b.bytes > f.sh.opts.MaxHead: // CVE-2024-27316: CONTINUATION without end
		m.oddity(f, HeadTooLarge, "header block")
		m.breakBlock(f, b)
		return
	case !m.h2.pay(f.sh):
		f.sh.stats.BufferDropped += uint64(len(p))
		m.breakBlock(f, b)
		return
	}
	if b.dec == nil {
		b.dec = hpack.NewDecoder(h2Table, nil)
		b.dec.SetAllowedMaxDynamicTableSize(max(b.size, h2Table))
		b.dec.SetMaxStringLength(h2String)
	}
	sh := f.sh // the closure must not keep f from the stack
	b.dec.SetEmitFunc(func(hf hpack.HeaderField) { b.field(sh, hf) })
	if _, err := b.dec.Write(p); err != nil {
		m.oddity(f, BadHeader, "header compression")
		m.breakBlock(f, b)
	}
}

// breakBlock gives the decoding of a direction up.
func (m *messages) breakBlock(f *feed, b *h2block) {
	b.broken, b.dec, b.head, b.seen = true, nil, &h2head{}, 0
	m.h2.pay(f.sh)
}

// pay reserves what the decoders may take, by what they were sent, or gives
// back what they do not any more.
func (h *h2) pay(sh *shared) bool {
	want := 0
	for d := range h.side {
		if b := &h.side[d].block; !b.broken && b.seen > 0 {
			want += h2Base + 4*min(b.seen, int(max(b.size, h2Table)))
		}
	}
	if n := want - h.charged; n > 0 && !sh.reserve(n) {
		return false
	} else if n < 0 {
		sh.release(-n)
	}
	h.charged = want
	return true
}

// field keeps a field if it is of interest.
func (b *h2block) field(sh *shared, hf hpack.HeaderField) {
	if b.listed += len(hf.Name) + len(hf.Value) + 32; b.listed > sh.opts.MaxHead {
		return
	}
	h := b.head
	switch hf.Name {
	case "": // no field of anybody's (RFC 9113 section 8.2.1)
	case ":method":
		h.line.method = []byte(hf.Value[:min(len(hf.Value), maxMethod)])
	case ":path":
		h.line.target = []byte(hf.Value)
	case ":authority":
		h.views.of[fieldHost] = []byte(hf.Value[:min(len(hf.Value), MaxField)])
	case ":status":
		if n, ok := decimal([]byte(hf.Value)); ok && len(hf.Value) == 3 {
			h.status = int(n)
		}
	case "x-forwarded-for": // the pool's space for joining is another head's by now
		if len(h.views.of[fieldForwardedFor]) > 0 {
			h.views.of[fieldForwardedFor] = append(h.views.of[fieldForwardedFor], ", "...)
		}
		h.views.of[fieldForwardedFor] = append(h.views.of[fieldForwardedFor], hf.Value...)
		h.views.of[fieldForwardedFor] = h.views.of[fieldForwardedFor][:min(len(h.views.of[fieldForwardedFor]), MaxField)]
	default:
		h.views.take(&sh.pool, fieldOf([]byte(hf.Name)), []byte(hf.Value))
	}
}

// endBlock acts on a header block that is whole.
func (m *messages) endBlock(f *feed, s *h2side) {
	b := &s.block
	id, x, head := b.stream, b.call, b.head
	if !b.broken && b.dec != nil { // nil: a connection's first block may be empty
		if err := b.dec.Close(); b.bytes > 0 && err != nil {
			m.oddity(f, BadHeader, "header compression")
			m.breakBlock(f, b)
			head = b.head
		}
	}
	b.stream, b.call, b.head = 0, nil, nil
	switch {
	case b.push:
		return
	case f.dir == capture.ToClient:
		m.answerStream(f, id, head, s.began)
	case x != nil && m.h2.streams[id] == x && !x.ended(f.dir):
		if len(head.line.method) > 0 {
			m.describe(f, x, &head.line, &head.views)
		}
	}
	if b.ends {
		m.endStream(f, id)
	}
}
