package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// TestReplayWaitsForItsReader: a replay has all the time there is, so nothing
// of it is dropped for a reader that takes a hundred bytes at a time.
func TestReplayWaitsForItsReader(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(capturesDir, "*.pcap*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	args := append([]string{"replay", "--json", "-p", "14265"}, files[:min(3, len(files))]...)
	_, want, _ := stallwatch(t, args...)
	r, w := io.Pipe() // nothing is written before it is read
	done := make(chan int)
	var errs bytes.Buffer
	go func() {
		code := run(context.Background(), args, stdio{strings.NewReader(""), w, &errs})
		w.Close()
		done <- code
	}()
	var got []byte
	piece := make([]byte, 100)
	for {
		n, err := r.Read(piece)
		got = append(got, piece[:n]...)
		if err == io.EOF {
			break
		}
	}
	if code := <-done; code != 0 || string(got) != want || len(got) < 100_000 {
		t.Errorf("exit code %d (%s): %d bytes came through, want the same %d", code, errs.String(), len(got), len(want))
	}
}
