package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// newLogger makes the program's log: console style on a terminal, JSON
// otherwise, unless format says which.
func newLogger(w io.Writer, format string) (zerolog.Logger, error) {
	return loggerTo(w, isTerminal(w), format)
}

// newWatchLogger makes the log of a live run, which never waits for its
// reader. What is logged after closeLog goes to w directly.
func newWatchLogger(w io.Writer, format string) (log zerolog.Logger, closeLog func(), err error) {
	q := newLogQueue(w)
	if log, err = loggerTo(q, isTerminal(w), format); err != nil {
		q.shut()
	}
	q.log = log
	return log, sync.OnceFunc(q.shut), err
}

// loggerTo makes a log of w, which leads to a terminal or not.
func loggerTo(w io.Writer, terminal bool, format string) (zerolog.Logger, error) {
	console := terminal
	switch format {
	case "auto":
	case "console":
		console = true
	case "json":
		console = false
	default:
		return zerolog.Nop(), usage(fmt.Errorf("--log-format %q: want auto, console or json", format))
	}
	if console {
		w = zerolog.ConsoleWriter{Out: w, NoColor: !terminal || os.Getenv("TERM") == "dumb", TimeFormat: time.TimeOnly, // NO_COLOR it knows
			FieldsOrder: []string{zerolog.ErrorFieldName, "problem", "summary", "why"}} // the sentences, then the numbers
	}
	return zerolog.New(w).With().Timestamp().Logger(), nil
}

// logWait bounds the log that waits for its reader: some 500 lines.
const logWait = 256 << 10

// logQueue is the queue of the log: a terminal stopped by Ctrl-S or a pager
// that does not read on must not stop the watch. A line that has no room is
// dropped, and the log says how many were when it goes on.
type logQueue struct {
	*outQueue
	log zerolog.Logger // that writes to this queue

	mu     sync.Mutex
	direct bool // the queue is closed, and its reader reads: nothing waits any more
}

func newLogQueue(w io.Writer) *logQueue {
	q := &logQueue{}
	q.outQueue = newOutQueue(outOptions{w: w, what: "log", max: logWait, fail: func(error) {}, over: q.over})
	return q
}

// Write never fails: zerolog would tell of it on the standard error output,
// the very file that does not take anything.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.direct {
		q.w.Write(line)
		return len(line), nil
	}
	if _, err := q.outQueue.Write(line); err != nil {
		q.dropped.Add(lines(line))
	}
	return len(line), nil
}

// over tells how many lines are missing.
func (q *logQueue) over() {
	if n := q.dropped.Swap(0); n > 0 {
		q.log.Warn().Uint64("dropped", n).Msg("lines of this log were dropped: nobody read it")
	}
}

// shut waits a second for what is logged to be read.
func (q *logQueue) shut() {
	err := q.close(time.Second)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.direct = err == nil
}
