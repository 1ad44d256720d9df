package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"stallwatch/cmd/internal/metrics"
	"stallwatch/cmd/internal/records"
)

// recordsWait bounds the records that wait for a file system with room or for a reader that
// reads: some 10,000 calls. As much again may be on its way out.
const recordsWait = 4 << 20

// Times of an outQueue.
const (
	retryEvery = time.Second // a write that failed is tried again so often
	tellEvery  = time.Minute // a trouble that comes and goes is told so often
)

// outQueue stands between the pipeline, which must not wait, and a file or
// pipe, which may: a disk that is full, a reader that has stopped. What does
// not fit is refused with records.ErrFull. What failed to be written is tried
// again from the byte it stopped at, so that no line is ever cut in two. A
// trouble is told once when it begins and once when it is over.
//
// Write and close belong to one goroutine or hold a lock around them, stats to
// any; run is the queue's own goroutine, for whose end close waits.
type outQueue struct {
	outOptions

	mu      sync.Mutex
	pending []byte
	closing bool
	trouble error     // nil: none
	told    bool      // of trouble
	last    time.Time // when a trouble was told last

	wake chan struct{} // of capacity 1
	quit chan struct{} // closed when time is up
	done chan struct{} // closed when run has ended

	leftover []byte // what run could not write; valid when done is closed
	dropped  atomic.Uint64
	failures atomic.Uint64
}

type outOptions struct {
	w    io.Writer
	what string      // of errors: "records"
	max  int         // bytes that may wait
	fail func(error) // tells a trouble; it must not use the queue
	over func()      // tells its end
}

func newOutQueue(o outOptions) *outQueue {
	q := &outQueue{outOptions: o, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go q.run()
	return q
}

// newRecordQueue is the queue of the records.
func newRecordQueue(w io.Writer, log zerolog.Logger) (q *outQueue) {
	return newOutQueue(outOptions{w: w, what: "records", max: recordsWait,
		fail: func(err error) {
			log.Error().Err(err).Str("queue", fmt.Sprintf("%d KiB", recordsWait>>10)).
				Msg("records cannot be written: they wait in the queue, then are dropped; the watch goes on")
		},
		over: func() {
			log.Info().Uint64("dropped", q.dropped.Load()).Uint64("failures", q.failures.Load()).
				Msg("records are written again")
		}})
}

// Write takes a block of whole lines, or refuses it with records.ErrFull. It
// never waits.
func (q *outQueue) Write(block []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending)+len(block) > q.max {
		q.failed(fmt.Errorf("nobody takes it: %w", records.ErrFull))
		return 0, records.ErrFull
	}
	q.pending = append(q.pending, block...)
	select {
	case q.wake <- struct{}{}:
	default: // it has been woken already
	}
	return len(block), nil
}

// failed notes a trouble and tells it, once and not too often. The caller
// holds mu.
func (q *outQueue) failed(err error) {
	if q.trouble == nil {
		q.trouble = err
	}
	if q.told || !q.last.IsZero() && time.Since(q.last) < tellEvery {
		return
	}
	q.told, q.last = true, time.Now()
	q.fail(err)
}

// recovered ends a trouble once all that waited is written, and reports
// whether there was one that was told. The caller holds mu.
func (q *outQueue) recovered() bool {
	told := q.told
	q.trouble, q.told = nil, false
	return told
}

// run writes what is pending, until close.
func (q *outQueue) run() {
	defer close(q.done)
	var out []byte
	for {
		q.mu.Lock()
		over := len(q.pending) == 0 && q.recovered()
		end := len(q.pending) == 0 && q.closing && !over
		out, q.pending = q.pending, out[:0]
		q.mu.Unlock()
		if over {
			q.over() // which may write: look again
			continue
		}
		if end {
			return
		}
		if len(out) == 0 {
			<-q.wake
			continue
		}
		if rest := q.writeOut(out); len(rest) > 0 {
			q.leftover = rest
			return
		}
	}
}

// writeOut writes b whole, however often it takes; what it returns is left
// when quit is closed.
func (q *outQueue) writeOut(b []byte) (rest []byte) {
	for {
		n, err := q.w.Write(b)
		b = b[n:]
		if len(b) == 0 {
			return nil
		}
		if err == nil {
			err = io.ErrShortWrite
		}
		q.failures.Add(1)
		q.mu.Lock()
		q.failed(err)
		q.mu.Unlock()
		select {
		case <-time.After(retryEvery):
		case <-q.quit:
			return b
		}
	}
}

// close waits for what is pending, at most so long, and says what was lost in
// the whole run. A write that never returns is left behind: it ends with the
// process.
func (q *outQueue) close(wait time.Duration) error {
	q.mu.Lock()
	q.closing = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	ended := true
	select {
	case <-q.done:
	case <-time.After(wait):
		close(q.quit)
		ended = q.settle()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	lost := q.dropped.Load() + lines(q.pending)
	if ended {
		lost += lines(q.leftover)
	}
	switch {
	case lost > 0 && q.trouble != nil:
		return fmt.Errorf("write the %s: %d lines were lost: %w", q.what, lost, q.trouble)
	case lost > 0:
		return fmt.Errorf("write the %s: %d lines were lost", q.what, lost)
	case !ended:
		return fmt.Errorf("write the %s: the reader has stopped", q.what)
	}
	return nil
}

// settle gives run a moment to hand over what is left; false if it hangs in a
// write.
func (q *outQueue) settle() bool {
	select {
	case <-q.done:
		return true
	case <-time.After(100 * time.Millisecond):
		return false
	}
}

func lines(b []byte) uint64 { return uint64(bytes.Count(b, []byte{'\n'})) }

// stats is what the metrics tell.
func (q *outQueue) stats() metrics.RecordStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return metrics.RecordStats{Dropped: q.dropped.Load(), Failures: q.failures.Load(), Waiting: len(q.pending), Failing: q.trouble != nil}
}
