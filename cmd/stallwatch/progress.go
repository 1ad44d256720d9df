package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"
)

// isTerminal reports whether f is a file on a terminal: what is piped gets no
// colours, no progress, and JSON for a log.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// progress redraws one line on a terminal while a long replay reads. It looks
// at the clock every checkEvery items only.
type progress struct {
	w       io.Writer
	started time.Time
	drawn   time.Time
	items   int // since the last look at the clock
	width   int // of the line that is on the screen
}

const (
	checkEvery    = 1 << 13
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
)

func newProgress(w io.Writer) *progress {
	if !isTerminal(w) {
		return nil
	}
	return &progress{w: w, started: time.Now()}
}

// step counts n items and redraws when it is time; read and total are bytes,
// total 0 if unknown.
func (p *progress) step(n int, read, total int64) {
	if p == nil {
		return
	}
	if p.items += n; p.items < checkEvery {
		return
	}
	p.items = 0
	now := time.Now()
	if now.Sub(p.started) < progressAfter || now.Sub(p.drawn) < progressEvery {
		return
	}
	p.drawn = now
	p.draw(progressLine(read, total, now.Sub(p.started)))
}

func (p *progress) draw(line string) {
	pad := max(p.width-len(line), 0)
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", pad))
	p.width = len(line)
}

// done clears the line.
func (p *progress) done() {
	if p != nil && p.width > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
}

// progressLine says how far, how fast, and how long yet.
func progressLine(read, total int64, took time.Duration) string {
	rate := float64(read) / took.Seconds()
	line := fmt.Sprintf("%s read, %s/s", humanize.IBytes(uint64(read)), humanize.IBytes(uint64(rate)))
	if total > 0 && rate > 0 {
		left := time.Duration(float64(total-read) / rate * float64(time.Second)).Round(time.Second)
		line = fmt.Sprintf("%3.0f%% of %s, %s/s, %s left", 100*float64(read)/float64(total),
			humanize.IBytes(uint64(total)), humanize.IBytes(uint64(rate)), max(left, 0))
	}
	return line
}
