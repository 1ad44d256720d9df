package main

import (
	"context"
	"errors"
	"io"

	"stallwatch/capture"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/pipeline"
)

var errInterrupted = errors.New("interrupted: what is reported is what was read until then")

// Reading ahead: a goroutine reads files, unpacks them and cuts them into
// packets while this one works on the batches before. A batch is large enough
// that handing it over costs nothing a packet, and small enough to stay in a
// cache; readAhead of them at most are under way, whose bytes the source holds
// for so long. On one core it costs nothing that can be measured.
const (
	readAhead = 3
	batchSize = 512
)

// batch is what the reader read at once; err is what ended it.
type batch struct {
	items     []capture.Item
	n         int
	err       error
	at, total int64 // bytes read, for the eye
}

// readAll feeds src to pipe until its end or until ctx is done, and finishes
// pipe in either case.
func readAll(ctx context.Context, src *replay.Source, pipe *pipeline.Pipeline, bar *progress) error {
	last, err := feedAhead(ctx, src, pipe, bar)
	pipe.Finish(last)
	bar.done()
	if err == io.EOF {
		return nil
	}
	return err
}

// feedAhead returns the time of the last item and what ended src.
func feedAhead(ctx context.Context, src *replay.Source, pipe *pipeline.Pipeline, bar *progress) (last capture.Time, err error) {
	src.Hold(readAhead)
	free, full := make(chan *batch, readAhead), make(chan *batch, readAhead)
	for range readAhead {
		free <- &batch{items: make([]capture.Item, batchSize)}
	}
	go read(ctx, src, free, full)
	for b := range full {
		for i := range b.items[:b.n] {
			pipe.Item(&b.items[i])
		}
		if b.n > 0 {
			last = b.items[b.n-1].At
		}
		bar.step(b.n, b.at, b.total)
		err = b.err
		free <- b
	}
	return last, err
}

// read fills batches until src ends or ctx is done, and closes full: its
// reader waits for that, and so for the end of this goroutine.
func read(ctx context.Context, src *replay.Source, free <-chan *batch, full chan<- *batch) {
	defer close(full)
	for b := range free {
		if b.n, b.err = 0, errInterrupted; ctx.Err() == nil {
			b.n, b.err = src.Batch(b.items)
		}
		b.at, b.total = src.Progress()
		err := b.err
		full <- b
		if err != nil {
			return
		}
	}
}
