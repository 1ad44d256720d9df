package httpreassembly

import (
	"math/bits"

	"stallwatch/capture"
)

// call is an Exchange and what the HTTP half keeps beside it. While it waits
// for an answer it has its head besides, its own or one that it shares:
// Exchange.Body is the buffer of the request's content and goes with
// RequestSeen; an Answer is lent when one begins, and ResponseTail gets a
// buffer when that has content.
type call struct {
	Exchange
	next  *call        // the next one owed, or the next one free
	told  capture.Time // of the last RequestProgress or ResponseProgress; zero: there was none
	flags callFlags
	heard seq // of the server's bytes, what the client had acknowledged when it asked
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
	bodySpent                         // Body is not charged any more
	isOwed                            // HTTP/2: the request is whole, the answer has not begun
	bodyParts                         // the content is handed on as BodyPart
	bodyLent                          // Body is the segment's own memory
	hasHead                           // Head is its own, neither shared nor noHead
)

func (x *call) has(f callFlags) bool { return x.flags&f != 0 }

// answer returns x's Answer, to be written to.
func (sh *shared) answer(x *call) *Answer {
	if x.Answer == &noAnswer {
		x.Answer = sh.pool.lendAnswer()
	}
	return x.Answer
}

// keepTail keeps the last TailBytes bytes of the answer's content, p being
// its next ones and left how many follow for certain.
func (x *call) keepTail(sh *shared, p []byte, left int64) {
	if left >= TailBytes || len(p) == 0 {
		return
	}
	n := len(x.ResponseTail)
	tail, ok := sh.grown(x.ResponseTail, TailBytes-n)
	if !ok {
		return
	}
	tail = tail[:TailBytes]
	if len(p) >= TailBytes {
		n = copy(tail, p[len(p)-TailBytes:])
	} else {
		if over := n + len(p) - TailBytes; over > 0 {
			n = copy(tail, tail[over:n])
		}
		n += copy(tail[n:], p)
	}
	x.ResponseTail = tail[:n]
}

// exchangePool owns every call and buffer of the HTTP half. What an Event
// points to is given back at Recycle, not before.
//
// What is over is free to the bounds at once and to the memory at the next
// recycle: so the bounds hold or fail by what the wire says alone, never by
// how often the caller recycles.
type exchangePool struct {
	alive   int       // taken and not retired: what Options.MaxExchanges bounds
	calls   int       // made so far: the next Slot
	block   []call    // made in advance
	free    *call     // last freed, first used again, so Slots stay dense
	heads   *Head     // free: no more than calls were alive at once
	answers []*Answer // free: no more than calls were answered at once
	spentCalls
	bufs   [numSizes][][]byte
	kept   int    // bytes in bufs
	most   int    // bytes that may be kept
	ledger *int64 // Stats.Buffered of the Tracker that owns the pool
	join   [MaxField]byte
}

// spentCalls are the calls whose Events may not be consumed yet.
type spentCalls struct {
	seen   []*call  // RequestSeen was emitted since the last recycle
	done   []*call  // ended since the last recycle
	parted [][]byte // bodies that were handed on since the last recycle
	bytes  int      // of the bodies of all these
}

// Buffers come in powers of two from 64 bytes to 2^30, and are accounted for
// by capacity. A quarter of Options.MaxBuffered, at least minKept, is kept for
// later: what large contents give back and take again would be most of what
// the collector has to do.
const (
	minSize  = 6
	numSizes = 25
	minKept  = 1 << 20
)

// callBlock is how many calls are made at once: they are never given back to
// the runtime, whose size classes would round each one up.
const callBlock = 178 // of 184 bytes, with the 8 that the runtime puts before: 32 KiB, its largest class

// take returns a zero call, or nil if Options.MaxExchanges are alive.
func (sh *shared) take() *call {
	p := &sh.pool
	p.ledger = &sh.stats.Buffered
	if p.alive >= sh.opts.MaxExchanges || sh.level == LevelStates {
		sh.stats.Untracked++
		return nil
	}
	p.alive++
	if x := p.free; x != nil {
		p.free, x.next = x.next, nil
		return x
	}
	if len(p.block) == 0 {
		p.block = make([]call, callBlock)
	}
	x := &p.block[0]
	p.block = p.block[1:]
	x.Slot, x.Head, x.Answer = int32(p.calls), &noHead, &noAnswer
	p.calls++
	return x
}

// ownHead gives x a head of its own, which is empty.
func (p *exchangePool) ownHead(x *call) *Head {
	h := p.heads
	if h == nil {
		h = new(Head)
	} else {
		p.heads, h.next = h.next, nil
	}
	x.Head = h
	x.flags |= hasHead
	return h
}

func (p *exchangePool) lendAnswer() *Answer {
	n := len(p.answers) - 1
	if n < 0 {
		return new(Answer)
	}
	a := p.answers[n]
	p.answers = p.answers[:n]
	return a
}

// spend says that RequestSeen was emitted for x: its body is over.
func (p *exchangePool) spend(x *call) {
	if cap(x.Body) > 0 {
		x.flags |= bodySpent
		*p.ledger -= int64(x.bodyCost())
		p.bytes += x.bodyCost()
		p.seen = append(p.seen, x)
	}
}

// retire gives x back once the Events so far were consumed.
func (p *exchangePool) retire(x *call) {
	p.alive--
	n := cap(x.ResponseTail)
	if x.has(hasHead) {
		n += cap(x.Head.text)
	}
	if !x.has(bodySpent) {
		n += x.bodyCost()
	}
	*p.ledger -= int64(n)
	p.done = append(p.done, x)
}

// recycle frees what Events pointed to.
func (p *exchangePool) recycle() { p.reuse(&p.spentCalls) }

func (p *exchangePool) reuse(s *spentCalls) {
	for _, x := range s.seen {
		p.storeBody(x)
	}
	clear(s.seen)
	s.seen = s.seen[:0]
	for _, x := range s.done {
		p.storeBody(x)
		if a := x.Answer; a != &noAnswer {
			p.store(a.ResponseTail)
			*a = Answer{}
			p.answers = append(p.answers, a)
		}
		if x.has(hasHead) {
			p.store(x.Head.text)
			*x.Head = Head{next: p.heads}
			p.heads = x.Head
		}
		*x = call{Exchange: Exchange{Slot: x.Slot, Head: &noHead, Answer: &noAnswer}, next: p.free}
		p.free = x
	}
	clear(s.done)
	s.done = s.done[:0]
	for _, b := range s.parted {
		p.store(b)
	}
	clear(s.parted)
	s.parted, s.bytes = s.parted[:0], 0
}

// bodyCost is what x is charged for its Body.
func (x *call) bodyCost() int {
	if x.has(bodyLent) {
		return 0
	}
	return cap(x.Body)
}

// storeBody keeps the buffer of x's Body, if it is one, for later.
func (p *exchangePool) storeBody(x *call) {
	if !x.has(bodyLent) {
		p.store(x.Body)
	}
	x.Body = nil
}

// give takes back the buffer b, which no Event points to.
func (p *exchangePool) give(b []byte) {
	if cap(b) > 0 {
		*p.ledger -= int64(cap(b))
		p.store(b)
	}
}

// store keeps b, which is not charged any more, for later.
func (p *exchangePool) store(b []byte) {
	if cap(b) == 0 || p.kept+cap(b) > max(minKept, p.most) {
		return
	}
	i := bits.Len(uint(cap(b)-1)) - minSize
	p.kept += cap(b)
	p.bufs[i] = append(p.bufs[i], b[:0])
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
		p.kept -= cap(to)
	} else {
		to = make([]byte, 0, 1<<(i+minSize))
	}
	to = append(to, b...)
	p.give(b)
	return to, true
}
