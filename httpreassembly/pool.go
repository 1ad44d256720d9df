package httpreassembly

import (
	"math/bits"

	"stallwatch/capture"
)

// maxExchanges bounds the exchanges alive in one Tracker: MaxConns times
// MaxPipeline would be 2^30. At 0.7 KiB each they take at most 92 MiB; a node
// cannot hold so many calls in flight with any descriptor limit in use.
// Beyond it requests are not followed, which Stats.Untracked counts.
const maxExchanges = 1 << 17

// call is an Exchange and what the HTTP half keeps beside it.
type call struct {
	Exchange
	next  *call // the next one owed, or the next one free
	text  []byte
	body  []byte // the first bytes of the request's content
	tail  [TailBytes]byte
	told  capture.Time // of the last ResponseProgress; zero: there was none
	flags callFlags
}

type callFlags uint16

const (
	isHead      callFlags = 1 << iota // the answer has no content
	isConnect                         // a 2xx answer hands the connection off
	isSimple                          // HTTP/0.9: the answer has no head
	isDoubtful                        // begun while answers could not be told apart
	bodyCut                           // no more bytes are appended to body
	hasResponse                       // its final answer has begun
	whole                             // its final answer is whole, the request is not
	headTold                          // HeadSeen was sent
)

func (x *call) has(f callFlags) bool { return x.flags&f != 0 }

// keepTail keeps the last TailBytes bytes of the answer's content, p being
// its next ones and left how many follow for certain.
func (x *call) keepTail(p []byte, left int64) {
	if left >= TailBytes {
		return
	}
	n := len(x.ResponseTail)
	if len(p) >= TailBytes {
		n = copy(x.tail[:], p[len(p)-TailBytes:])
	} else {
		if over := n + len(p) - TailBytes; over > 0 {
			n = copy(x.tail[:], x.tail[over:n])
		}
		n += copy(x.tail[n:], p)
	}
	x.ResponseTail = x.tail[:n]
}

// exchangePool owns every call and buffer of the HTTP half. What an Event
// points to is given back at Recycle, not before.
type exchangePool struct {
	calls  int     // made so far: the next Slot
	free   *call   // last freed, first used again, so Slots stay dense
	seen   []*call // RequestSeen was emitted since the last recycle
	done   []*call // ended since the last recycle
	bufs   [numSizes][][]byte
	ledger *int64 // Stats.Buffered of the Tracker that owns the pool
	join   [MaxField]byte
}

// Buffers come in powers of two from 256 bytes to 2^30, and are accounted for
// by capacity. Of each size at most freeBytes are kept for later.
const (
	minSize   = 8
	numSizes  = 23
	freeBytes = 1 << 20
)

// take returns a zero call, or nil if maxExchanges are alive.
func (sh *shared) take() *call {
	p := &sh.pool
	p.ledger = &sh.stats.Buffered
	if x := p.free; x != nil {
		p.free, x.next = x.next, nil
		return x
	}
	if p.calls >= maxExchanges {
		sh.stats.Untracked++
		return nil
	}
	x := new(call)
	x.Slot = int32(p.calls)
	p.calls++
	return x
}

// retire gives x back once the Events so far were consumed.
func (p *exchangePool) retire(x *call) { p.done = append(p.done, x) }

// recycle frees what Events pointed to.
func (p *exchangePool) recycle() {
	for _, x := range p.seen {
		p.give(x.body)
		x.body, x.Body = nil, nil
	}
	clear(p.seen)
	p.seen = p.seen[:0]
	for _, x := range p.done {
		p.give(x.body)
		p.give(x.text)
		*x = call{Exchange: Exchange{Slot: x.Slot}, next: p.free}
		p.free = x
	}
	clear(p.done)
	p.done = p.done[:0]
}

// give takes the buffer b back.
func (p *exchangePool) give(b []byte) {
	if cap(b) == 0 {
		return
	}
	*p.ledger -= int64(cap(b))
	i := bits.Len(uint(cap(b)-1)) - minSize
	if len(p.bufs[i])*cap(b) < freeBytes {
		p.bufs[i] = append(p.bufs[i], b[:0])
	}
}

// grown returns b with room for n more bytes, or false if no budget is left;
// b is unchanged then.
func (sh *shared) grown(b []byte, n int) ([]byte, bool) {
	if cap(b)-len(b) >= n {
		return b, true
	}
	i := max(bits.Len(uint(len(b)+n-1))-minSize, 0)
	if i >= numSizes || !sh.reserve(1<<(i+minSize)) {
		sh.stats.BufferDropped += uint64(n)
		return b, false
	}
	p := &sh.pool
	p.ledger = &sh.stats.Buffered
	var to []byte
	if k := len(p.bufs[i]); k > 0 {
		to = p.bufs[i][k-1]
		p.bufs[i][k-1] = nil
		p.bufs[i] = p.bufs[i][:k-1]
	} else {
		to = make([]byte, 0, 1<<(i+minSize))
	}
	to = append(to, b...)
	p.give(b)
	return to, true
}
