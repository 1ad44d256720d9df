package main

import (
	"bytes"
	"os"
	"sync/atomic"

	"github.com/rs/zerolog"
)

// recordFile is the file of the records. A log rotator moves it away and sends
// SIGHUP: the next write then goes to a new file of the name, which begins
// with the stream's line as the old one did. Write belongs to the goroutine of
// the queue, rotate to any.
type recordFile struct {
	path   string
	log    zerolog.Logger
	f      *os.File
	stream []byte // the first line; nil: not written yet
	broken bool   // the last write ended within a line: its rest belongs to the same file
	again  atomic.Bool
}

func openRecordFile(path string, log zerolog.Logger) (*recordFile, error) {
	f, err := appendTo(path)
	if err != nil {
		return nil, err
	}
	return &recordFile{path: path, log: log, f: f}, nil
}

// appendTo opens a file to append: a restart of the daemon begins a new stream
// in the same file.
func appendTo(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// rotate has the next write look whether the file was moved away.
func (r *recordFile) rotate() { r.again.Store(true) }

func (r *recordFile) Write(b []byte) (int, error) {
	if !r.broken && r.again.Swap(false) {
		r.reopen()
	}
	if r.stream == nil {
		r.stream = bytes.Clone(b[:bytes.IndexByte(b, '\n')+1])
	}
	n, err := r.f.Write(b)
	r.broken = n < len(b) && n > 0 || n == 0 && r.broken
	return n, err
}

// reopen goes over to a new file, unless the one that is open still has the
// name, or is none that is rotated: opening a pipe could wait for ever.
func (r *recordFile) reopen() {
	old, err := r.f.Stat()
	if err != nil || !old.Mode().IsRegular() {
		return
	}
	if now, err := os.Stat(r.path); err == nil && (!now.Mode().IsRegular() || os.SameFile(old, now)) {
		return
	}
	f, err := appendTo(r.path)
	if err == nil {
		_, err = f.Write(r.stream)
	}
	if err != nil {
		if f != nil {
			f.Close()
		}
		r.log.Error().Err(err).Msg("records go on in the file that was moved away")
		return
	}
	r.f.Close()
	r.f = f
	r.log.Info().Msg("records go on in a new file")
}

// Close ends the file.
func (r *recordFile) Close() error { return r.f.Close() }
