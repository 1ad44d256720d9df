package replay

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/vtime"
)

// Options say how to read. The zero value of a field takes its default.
type Options struct {
	// Drain is how long after the last packet the recording's time ends, when
	// no side file says when it was stopped (0: 1s). What falls due meanwhile
	// is told.
	Drain time.Duration
	Stdin io.Reader // what "-" reads (nil: os.Stdin)
}

// maxShift ends a source whose clock was set back by more than 73 years in
// sum: the times would overflow.
const maxShift = 1 << 61

// maxBadLines bounds the errors that are kept of one side file.
const maxBadLines = 8

// maxErrors bounds the errors that are kept of all files.
const maxErrors = 1000

// Source merges recordings by time. It is not safe for concurrent use, but
// for Progress.
type Source struct {
	o       Options
	files   []*file // not open yet, by first time
	open    []*file // in the order of files
	moved   *file   // gave the last item: moves on with the next call
	packet  bool    // the last item was its packet
	strict  vtime.Strict
	errs    []FileError
	read    atomic.Int64
	total   int64
	any     bool // an item was delivered
	ended   bool // the last item was the end of a recording
	eof     bool
	streams bool // standard input or a pipe is among them
	lend    lending
}

var _ capture.Source = (*Source)(nil)

// Errors returns where files broke, in the order in which it was found; at
// most maxErrors. It is complete once Next returned io.EOF.
func (s *Source) Errors() []FileError { return s.errs }

// Progress returns how many bytes of the files were read, compressed as they
// are, and how many there are in all: 0 if nobody knows.
func (s *Source) Progress() (read, total int64) { return s.read.Load(), s.total }

// Times returns what had to be changed to make the times grow.
func (s *Source) Times() vtime.StrictStats { return s.strict.Stats() }

// Close gives up what is open. Next must not be called afterwards.
func (s *Source) Close() {
	for _, f := range slices.Concat(s.open, s.files) {
		f.close()
	}
	s.open, s.files, s.moved, s.eof = nil, nil, nil, true
}

// Hold says, before the first item, how many calls of Batch a packet's bytes
// have to outlast (at first none: they hold until the next call). It costs
// that many buffers of 256 KiB for each file that is open.
func (s *Source) Hold(calls int) {
	s.lend.keep = calls + 1 // the buffer that a batch ends in was put by with the last call
}

// Next fills it with the next observation; the last one is the Tick that ends
// the recording.
func (s *Source) Next(it *capture.Item) error {
	if s.eof {
		return io.EOF
	}
	if s.moved != nil {
		s.advance(s.moved, s.packet)
		s.moved = nil
	}
	nobody := len(s.open) == 0
	f := s.pick()
	if f == nil || s.strict.Stats().Shift > maxShift {
		return s.finish(it)
	}
	if s.ended && nobody && s.unrecorded(f, it) {
		return nil
	}
	s.moved, s.any = f, true
	s.packet = f.hasPacket && (!f.hasItem || f.packet.at <= f.item.At)
	if s.packet {
		it.At, it.Kind, it.Packet = s.strict.Next(f.packet.at), capture.PacketSeen, f.packet.packet
		it.Sample, s.ended = nil, false
		f.r.handedOut()
		return nil
	}
	*it = f.item
	it.At, s.ended = s.strict.Next(f.item.At), it.Kind == capture.Tick
	return nil
}

// unrecorded fills it with the time between the end of a recording and the
// beginning of the next, which is f. Only a recording with a side file says
// when it ended: that nothing came for an hour, or that an hour lies between
// two of tcpdump's files, may be a node that is silent because it hangs.
func (s *Source) unrecorded(f *file, it *capture.Item) bool {
	last := s.strict.Last()
	at, _ := f.at()
	d := at.Add(s.strict.Stats().Shift).Sub(last)
	if d < vtime.JumpBack {
		return false
	}
	s.ended = false
	*it = capture.Item{At: s.strict.Next(last.Add(-s.strict.Stats().Shift)), Kind: capture.PacketsLost, Loss: capture.Loss{Unwatched: d - 1, Why: capture.Unrecorded}}
	return true
}

// Batch fills items from their start and returns how many it filled, at least
// one unless there is an error, as Next returns it. Their bytes hold during
// Hold's further calls: another goroutine may work on one batch while
// the next are read.
func (s *Source) Batch(items []capture.Item) (n int, err error) {
	turns := s.lend.turns
	for n < len(items) && s.lend.turns == turns {
		if err = s.Next(&items[n]); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// finish ends the recording's time, once.
func (s *Source) finish(it *capture.Item) error {
	if len(s.open) > 0 { // Next gave up before the end
		s.note(FileError{Path: s.open[0].path, Err: errors.New("the clock was set back too often: the rest is not read")})
	}
	last := s.strict.Last()
	s.Close()
	if !s.any || s.ended {
		return io.EOF
	}
	*it = capture.Item{At: last.Add(s.o.Drain), Kind: capture.Tick}
	return nil
}

// pick returns the file whose next item is the earliest, the first of equals;
// nil at the end. It opens files whose time has come.
func (s *Source) pick() *file {
	for {
		var first *file
		var at capture.Time
		for _, f := range s.open {
			if t, ok := f.at(); ok && (first == nil || t < at) {
				first, at = f, t
			}
		}
		if len(s.files) == 0 || first != nil && at < s.files[0].first {
			return first
		}
		f := s.files[0]
		s.files = s.files[1:]
		s.start(f)
	}
}

// start opens f, unless it is open, and reads its first items.
func (s *Source) start(f *file) {
	if f.r == nil {
		if err := f.open(&s.read, &s.lend); err != nil {
			f.close()
			s.fail(f, err)
			return
		}
		if err := f.join(); err != nil {
			s.fail(f, err)
		}
		s.advance(f, true)
		s.advance(f, false)
	}
	if _, ok := f.at(); ok {
		s.open = append(s.open, f)
	} else {
		f.close()
	}
}

// fail keeps an error that comes of opening.
func (s *Source) fail(f *file, err error) {
	var at *FileError
	if errors.As(err, &at) {
		s.note(*at)
		return
	}
	s.note(FileError{Path: f.path, Err: err})
}

// advance reads f's next packet or side item, and closes f when it has none.
func (s *Source) advance(f *file, packet bool) {
	if packet {
		s.nextPacket(f)
	} else {
		s.nextLine(f)
	}
	if !f.hasPacket && !f.hasItem {
		if i := slices.Index(s.open, f); i >= 0 {
			f.close()
			s.open = slices.Delete(s.open, i, i+1)
		}
	}
}

func (s *Source) nextPacket(f *file) {
	f.hasPacket = false
	if f.r == nil {
		return
	}
	err := f.r.next(&f.packet)
	switch {
	case err == nil:
		f.hasPacket = true
	case err != io.EOF:
		s.note(FileError{Path: f.path, Offset: f.r.offset(), Err: err})
		f.r = exhausted{f.r.offset()}
	default:
		f.r = exhausted{f.r.offset()}
	}
}

// exhausted is a reader that ended: it stays so.
type exhausted struct{ at int64 }

func (exhausted) next(*raw) error { return io.EOF }
func (exhausted) handedOut()      {}
func (e exhausted) offset() int64 { return e.at }

func (s *Source) nextLine(f *file) {
	f.hasItem = false
	for f.side != nil {
		err := f.side.next(&f.item)
		if err == nil {
			f.hasItem = true
			return
		}
		bad, more := err.(*badLine)
		if more {
			s.badLine(f, bad.error)
			continue
		}
		if err != io.EOF {
			s.note(FileError{Path: SidePath(f.path), Line: f.side.line, Err: err})
		}
		if f.bad > maxBadLines {
			s.note(FileError{Path: SidePath(f.path), Line: f.side.line, Err: fmt.Errorf("%d more bad lines up to here", f.bad-maxBadLines)})
		}
		f.side = nil
	}
}

func (s *Source) badLine(f *file, err error) {
	if f.bad++; f.bad <= maxBadLines {
		s.note(FileError{Path: SidePath(f.path), Line: f.side.line, Err: err})
	}
}

func (s *Source) note(e FileError) {
	if len(s.errs) < maxErrors {
		s.errs = append(s.errs, e)
	}
}
