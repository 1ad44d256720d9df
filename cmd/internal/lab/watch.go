package lab

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"
)

// maxText bounds what a watch keeps of a talkative program.
const maxText = 64 << 10

// watch collects what a program says and tells when a word came by.
type watch struct {
	word []byte
	seen chan struct{} // closed once the word came

	mu   sync.Mutex // guards what follows
	text []byte
	hit  bool
}

func newWatch(word string) *watch { return &watch{word: []byte(word), seen: make(chan struct{})} }

// Write collects p.
func (w *watch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	if !w.hit && bytes.Contains(w.text, w.word) {
		w.hit = true
		close(w.seen)
	}
	if extra := len(w.text) - maxText; extra > 0 {
		w.text = w.text[extra:]
	}
	return len(p), nil
}

// wait returns when the word came, or what was said instead.
func (w *watch) wait(d time.Duration) error {
	select {
	case <-w.seen:
		return nil
	case <-time.After(d):
		return fmt.Errorf("no %q within %v: %q", w.word, d, w.lastLines(3))
	}
}

// lastLines joins the last n lines.
func (w *watch) lastLines(n int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(w.text)), "\n")
	return strings.Join(lines[max(len(lines)-n, 0):], "; ")
}
