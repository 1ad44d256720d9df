package live

import (
	"io"
	"sync/atomic"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/vtime"
)

// drainFor bounds how long Next goes on after Stop. The ring's last block is
// handed over up to a second late by some kernels (TPACKET_V3).
const drainFor = time.Second

// endOfTime is later than any packet.
const endOfTime = capture.Time(1<<63 - 1)

// reader gives packets in order of time, from one handle or several.
type reader interface {
	// read fills f, or says with ok false until when nothing more comes.
	read(f *frame) (ok bool, until capture.Time, err error)
	// poll returns what was lost since it last said so; final: look once more
	// whatever the hour, nothing is read after it.
	poll(now time.Time, final bool) (capture.Loss, error)
	close()
}

// Source is a capture in progress. Next and Close belong to one goroutine;
// Stop and Stats may be called from any.
type Source struct {
	opts    Options
	now     func() time.Time
	reader  reader
	handles []*handle

	strict vtime.Strict
	extras extras
	watch  lookout
	gap    gap

	held      frame // read, but later than an extra that goes first
	holding   bool
	reads     int
	raw       capture.Time // latest raw time that went through strict
	ending    bool         // Stop has been reached: only what waits is left
	ended     bool         // the last Tick is out
	err       error        // final
	closed    bool
	stopAt    atomic.Int64 // Unix ns of Stop; 0: not stopped
	stopProbe chan struct{}

	delivered, clamped, jumps atomic.Uint64
	shift                     atomic.Int64
	uncounted                 atomic.Bool
}

// Open starts to capture. What the kernel sees from now on comes out of Next.
func Open(o Options) (*Source, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	s := &Source{opts: o, now: time.Now, stopProbe: make(chan struct{})}
	s.watch = newLookout()
	for i := range o.Interfaces {
		h, err := openHandle(o, i, s.now)
		if err != nil {
			s.closeHandles()
			return nil, err
		}
		s.handles = append(s.handles, h)
	}
	if o.Drop {
		if err := DropPrivileges(); err != nil {
			s.closeHandles()
			return nil, err
		}
	}
	s.start()
	return s, nil
}

func (s *Source) closeHandles() {
	for _, h := range s.handles {
		h.close()
	}
}

func (s *Source) start() {
	if len(s.handles) == 1 {
		s.reader = single{h: s.handles[0], grace: s.opts.Grace}
	} else {
		s.reader = newMerge(s.handles, s.opts)
	}
	s.raw = capture.At(s.now())
	if s.opts.Prober != nil {
		go s.probe()
	}
}

// Stop ends the capture: Next returns what the kernel saw until now, a last
// Tick and io.EOF. It may be called from any goroutine and more than once.
func (s *Source) Stop() {
	if s.stopAt.CompareAndSwap(0, s.now().UnixNano()) {
		close(s.stopProbe)
	}
}

// Close gives the handles back. Next does it by itself before it returns an
// error; Close is for a caller that stops reading before that. It may not be
// called while Next runs.
func (s *Source) Close() error {
	s.Stop()
	s.finish(io.EOF)
	return nil
}

// finish releases everything, once, and remembers why.
func (s *Source) finish(err error) error {
	if s.closed {
		return s.err
	}
	s.closed, s.err = true, err
	s.Stop()
	s.reader.close()
	s.closeHandles()
	return err
}

// Next fills it with what comes next; it waits until something does, and
// returns a Tick when nothing did for about Timeout.
func (s *Source) Next(it *capture.Item) error {
	for {
		if s.closed {
			return s.err
		}
		if s.ended {
			return s.finish(io.EOF)
		}
		done, err := s.step(it)
		if err != nil {
			return s.finish(err)
		}
		if done {
			return nil
		}
	}
}

// step tries once: done means that it is filled.
func (s *Source) step(it *capture.Item) (done bool, err error) {
	if s.ending {
		return s.last(it), nil
	}
	if !s.holding {
		ok, until, err := s.reader.read(&s.held)
		if err != nil {
			return false, err
		}
		if !ok {
			return s.idle(it, until)
		}
		s.holding = true
		if err := s.housekeep(false); err != nil {
			return false, err
		}
	}
	return s.packet(it), nil
}

// packet returns the held packet, or the sample or loss that goes before it.
func (s *Source) packet(it *capture.Item) bool {
	if s.held.at > s.watch.by {
		s.watch.look(s.now(), &s.gap)
	}
	stop := s.stopAt.Load()
	if stop != 0 && (s.held.at > capture.Time(stop) || s.overdue(stop)) {
		s.holding = false
		return s.last(it)
	}
	limit := s.held.at
	if s.raw.Sub(limit) >= vtime.JumpBack {
		limit = endOfTime // the clock was set back: what waits belongs before that
	}
	if s.between(limit, it) {
		return true
	}
	f := &s.held
	s.holding = false
	*it = capture.Item{At: f.at, Kind: capture.PacketSeen,
		Packet: capture.Packet{Data: f.data, Length: f.length, Link: f.link, Interface: f.index}}
	s.stamp(it)
	s.delivered.Add(1)
	return true
}

// idle handles an empty ring: nothing earlier than until comes any more.
func (s *Source) idle(it *capture.Item, until capture.Time) (done bool, err error) {
	if err := s.housekeep(true); err != nil {
		return false, err
	}
	stop := s.stopAt.Load()
	if stop != 0 && (until >= capture.Time(stop) || s.overdue(stop)) {
		return s.last(it), nil
	}
	if s.raw.Sub(until) >= vtime.JumpBack {
		// The clock was set back: samples of the time before it go first.
		if s.extras.pop(endOfTime, it) {
			s.stamp(it)
			return true, nil
		}
	} else if s.between(until, it) {
		return true, nil
	} else if until <= s.raw || s.gap.until != 0 {
		return false, nil
	}
	*it = capture.Item{At: until, Kind: capture.Tick}
	s.stamp(it)
	return true, nil
}

// overdue reports whether the time to drain the ring after Stop is over, also
// when the clock was set back meanwhile.
func (s *Source) overdue(stop int64) bool {
	d := s.now().UnixNano() - stop
	return d >= int64(drainFor) || d < 0
}

// last empties the extras, then gives the Tick that ends the capture's time.
func (s *Source) last(it *capture.Item) bool {
	if !s.ending {
		s.ending = true
		if err := s.losses(true); err != nil {
			s.uncounted.Store(true) // no reason to keep the end back
		}
	}
	if s.gap.until != 0 && s.endGap(max(s.gap.until, capture.Time(s.stopAt.Load())), it) {
		return true
	}
	if s.extras.pop(endOfTime, it) {
		s.stamp(it)
		return true
	}
	*it = capture.Item{At: max(capture.Time(s.stopAt.Load()), s.raw), Kind: capture.Tick}
	s.stamp(it)
	s.ended = true
	return true
}

// stamp moves the item's time so that it is later than all before it.
func (s *Source) stamp(it *capture.Item) {
	s.raw = it.At
	it.At = s.strict.Next(it.At)
	st := s.strict.Stats()
	s.clamped.Store(st.Clamped)
	s.jumps.Store(st.Jumps)
	s.shift.Store(int64(st.Shift))
}

// checkEvery is how many packets pass between two looks at the clock: the
// look costs as much as a packet, and 256 of them pass in well under a second
// when there is load at all.
const checkEvery = 256

// housekeep reads the counters once a second.
func (s *Source) housekeep(idle bool) error {
	if s.reads++; !idle && s.reads%checkEvery != 0 {
		return nil
	}
	return s.losses(false)
}

func (s *Source) losses(force bool) error {
	now := s.now()
	s.watch.look(now, &s.gap)
	lost, err := s.reader.poll(now, force)
	if lost == (capture.Loss{}) {
		return err
	}
	if s.gap.until != 0 {
		s.gap.lost.Kernel += lost.Kernel
		s.gap.lost.Interface += lost.Interface
	} else {
		s.extras.lost(capture.At(now), lost)
	}
	s.wantConns()
	return err
}

// wantConns asks for the socket table: connections may have come and gone
// unseen.
func (s *Source) wantConns() {
	if s.opts.Prober != nil {
		s.opts.Prober.WantConns()
	}
}

// Stats returns what has been captured and lost.
func (s *Source) Stats() Stats {
	st := Stats{Delivered: s.delivered.Load(), Clamped: s.clamped.Load(), Jumps: s.jumps.Load(), Shift: time.Duration(s.shift.Load()), Unsampled: s.extras.dropped.Load(), Uncounted: s.uncounted.Load()}
	for _, h := range s.handles {
		c := &h.counters
		st.Interfaces = append(st.Interfaces, InterfaceStats{Name: h.name, Link: h.link,
			Received: c.received.Load(), KernelDrops: c.kernel.Load(), InterfaceDropped: c.iface.Load()})
	}
	return st
}
