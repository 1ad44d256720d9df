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

// Reading ahead: a goroutine reads, unpacks and cuts the files into packets
// while this one works on the batches before. A batch is large enough that
// handing it over costs nothing a packet, and readAhead of them at most are
// under way, whose bytes the source holds for so long.
const (
	readAhead = 2
	batchSize = 512
)

// ahead is a source that holds what it gave long enough to be read ahead of.
type ahead struct{ *replay.Source }

// openAhead opens files for readAll; stdin is what "-" reads.
func openAhead(paths []string, stdin io.Reader) (ahead, error) {
	src, err := replay.Open(paths, replay.Options{Stdin: stdin, Hold: readAhead})
	return ahead{src}, err
}

// batch is what the reader read at once; err is what ended it.
type batch struct {
	items     []capture.Item
	n         int
	err       error
	at, total int64 // bytes read, for the eye
}

// readAll feeds src to pipe until its end or until ctx is done, and finishes
// pipe in either case.
func readAll(ctx context.Context, src ahead, pipe *pipeline.Pipeline, bar *progress) error {
	free, full := make(chan *batch, readAhead), make(chan *batch, readAhead)
	for range readAhead {
		free <- &batch{items: make([]capture.Item, batchSize)}
	}
	go read(ctx, src, free, full)
	var last capture.Time
	var err error
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
	pipe.Finish(last)
	bar.done()
	if err == io.EOF {
		return nil
	}
	return err
}

// read fills batches until src ends or ctx is done, and closes full: its
// reader waits for that, and so for the end of this goroutine.
func read(ctx context.Context, src ahead, free <-chan *batch, full chan<- *batch) {
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
