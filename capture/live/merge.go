package live

import (
	"errors"
	"sync"
	"time"

	"stallwatch/capture"
)

// single reads one handle in the caller's goroutine, without a copy.
type single struct {
	h     *handle
	grace time.Duration
}

func (s single) read(f *frame) (bool, capture.Time, error) {
	ok, idle, err := s.h.read(f)
	return ok, capture.At(idle).Add(-s.grace), err
}

func (s single) poll(now time.Time, final bool) (capture.Loss, error) {
	return s.h.poll(now, final)
}

func (s single) close() {}

// Bounds of a batch, and how many of them a handle has. A batch is handed
// over when it is full or the ring is empty; a handle whose batches are all
// on their way waits, and its ring holds what comes meanwhile. All of them
// together must last for Grace and Timeout, while another interface is
// silent: 64 Ki packets or 32 MiB, 650,000 packets a second.
const (
	batchFrames = 1024
	batchBytes  = 512 << 10
	batchesEach = 64
)

// batch is what a handle's goroutine hands over.
type batch struct {
	from   int // index of the handle
	frames []frame
	data   []byte       // what frames point into; never grown while they do
	next   int          // first frame not yet taken
	until  capture.Time // nothing earlier comes from this handle after it
	loss   capture.Loss
	err    error
}

// pool are the batches of a handle that are free. The one given back last goes
// out first: with little traffic only a few ever get memory.
type pool struct {
	mu   sync.Mutex
	list []*batch
	have chan struct{} // as many as list has
}

func newPool(from int) *pool {
	p := &pool{have: make(chan struct{}, batchesEach)}
	for range batchesEach {
		p.put(&batch{from: from})
	}
	return p
}

func (p *pool) put(b *batch) {
	p.mu.Lock()
	p.list = append(p.list, b)
	p.mu.Unlock()
	p.have <- struct{}{}
}

// get waits for a batch; nil when quit is closed.
func (p *pool) get(quit chan struct{}) *batch {
	select {
	case <-p.have:
	case <-quit:
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.list[len(p.list)-1]
	p.list = p.list[:len(p.list)-1]
	return b
}

func (b *batch) reset() {
	*b = batch{from: b.from, frames: b.frames[:0], data: b.data[:0]}
}

// room reports whether a frame of n bytes can be added without moving what
// is there.
func (b *batch) room(n int) bool {
	return len(b.frames) < batchFrames && (len(b.frames) == 0 || len(b.data)+n <= cap(b.data))
}

func (b *batch) add(f *frame) {
	if len(b.data)+len(f.data) > cap(b.data) { // the first frame, and larger than the batch
		b.data = make([]byte, 0, max(batchBytes, len(f.data)))
	}
	start := len(b.data)
	b.data = append(b.data, f.data...)
	g := *f
	g.data = b.data[start:len(b.data):len(b.data)]
	b.frames = append(b.frames, g)
}

// lane is what the merging side keeps of one handle.
type lane struct {
	queue []*batch
	until capture.Time // nothing earlier comes
	free  *pool
}

// merge reads several handles, each in a goroutine of its own, and gives
// their packets in order of time. A packet goes out when every other handle
// has shown a later one, or an empty ring since: at most Grace and Timeout
// later.
type merge struct {
	handles []*handle
	lanes   []lane
	in      chan *batch
	quit    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
	spent   *batch // its last frame is with the caller
	loss    capture.Loss
	err     error
}

func newMerge(handles []*handle, o Options) *merge {
	m := &merge{handles: handles, lanes: make([]lane, len(handles)), in: make(chan *batch, len(handles)*batchesEach), quit: make(chan struct{})}
	for i, h := range handles {
		l := &m.lanes[i]
		l.until = capture.At(h.now()).Add(-o.Grace) // the ring was empty when it was opened
		l.free = newPool(i)
		m.wg.Add(1)
		go m.pump(h, l.free, o)
	}
	return m
}

// pump is the goroutine of one handle. A batch is handed over when it is full
// or the ring is empty.
func (m *merge) pump(h *handle, free *pool, o Options) {
	defer m.wg.Done()
	var f frame
	pending := false // f was read but had no room
	for {
		b := free.get(m.quit)
		if b == nil {
			return
		}
		b.reset()
		pending = fill(b, h, &f, pending, o)
		failed := b.err != nil
		select {
		case m.in <- b:
		case <-m.quit:
			return
		}
		if failed {
			return
		}
	}
}

// fill reads h into b until b is full, the ring is empty, or the first packet
// has waited for patience. It returns true if f holds a packet that found no
// room.
func fill(b *batch, h *handle, f *frame, pending bool, o Options) bool {
	if pending {
		b.add(f)
		b.until = f.at
	}
	for b.err == nil {
		ok, idle, err := h.read(f)
		if err != nil {
			b.err = err
			break
		}
		if !ok {
			b.until = max(b.until, capture.At(idle).Add(-o.Grace))
			b.loss, b.err = h.poll(idle, false)
			break
		}
		b.until = f.at
		if !b.room(len(f.data)) {
			b.loss, b.err = h.poll(idle, false)
			return true
		}
		b.add(f)
		if waited := f.at.Sub(b.frames[0].at); waited >= o.Timeout || waited < 0 {
			b.loss, b.err = h.poll(idle, false)
			break
		}
	}
	return false
}

func (m *merge) read(f *frame) (ok bool, until capture.Time, err error) {
	m.recycle()
	for {
		m.collect()
		i, at, found := m.earliest()
		horizon := m.horizon()
		switch {
		case found && (at <= horizon || m.err != nil): // after an error what was read still comes out
			m.take(i, f)
			return true, at, nil
		case m.err != nil:
			return false, horizon, m.err
		}
		b := <-m.in
		idle := len(b.frames) == 0
		m.admit(b)
		if idle && !found {
			return false, m.horizon(), nil
		}
	}
}

// collect takes in what has come without waiting.
func (m *merge) collect() {
	for {
		select {
		case b := <-m.in:
			m.admit(b)
		default:
			return
		}
	}
}

func (m *merge) admit(b *batch) {
	l := &m.lanes[b.from]
	l.until = b.until
	m.loss.Kernel += b.loss.Kernel
	m.loss.Interface += b.loss.Interface
	if b.err != nil && m.err == nil {
		m.err = b.err
	}
	if len(b.frames) == 0 {
		l.free.put(b)
		return
	}
	l.queue = append(l.queue, b)
}

// earliest finds the lane whose next packet is first; of equals the first
// lane, so that the order is that of Options.Interfaces.
func (m *merge) earliest() (lane int, at capture.Time, found bool) {
	for i := range m.lanes {
		q := m.lanes[i].queue
		if len(q) == 0 {
			continue
		}
		if t := q[0].frames[q[0].next].at; !found || t < at {
			lane, at, found = i, t, true
		}
	}
	return lane, at, found
}

// horizon is the time up to which nothing more comes from the lanes that have
// no packet waiting. The others do not hold anybody back: theirs are known.
func (m *merge) horizon() capture.Time {
	h := endOfTime
	for i := range m.lanes {
		if l := &m.lanes[i]; len(l.queue) == 0 {
			h = min(h, l.until)
		}
	}
	return h
}

func (m *merge) take(i int, f *frame) {
	l := &m.lanes[i]
	b := l.queue[0]
	*f = b.frames[b.next]
	if b.next++; b.next == len(b.frames) {
		copy(l.queue, l.queue[1:])
		l.queue = l.queue[:len(l.queue)-1]
		m.spent = b
	}
}

// recycle gives a batch back once the caller is done with its last frame.
func (m *merge) recycle() {
	if m.spent != nil {
		m.lanes[m.spent.from].free.put(m.spent)
		m.spent = nil
	}
}

func (m *merge) poll(now time.Time, final bool) (l capture.Loss, err error) {
	if final {
		m.close() // the handles are ours from here on
		m.collect()
		for _, h := range m.handles {
			more, e := h.poll(now, true)
			m.loss.Kernel += more.Kernel
			m.loss.Interface += more.Interface
			err = errors.Join(err, e)
		}
	}
	l, m.loss = m.loss, capture.Loss{}
	return l, err
}

// close waits for the goroutines, which look up at least once a Timeout.
func (m *merge) close() {
	m.once.Do(func() {
		close(m.quit)
		m.wg.Wait()
	})
}
