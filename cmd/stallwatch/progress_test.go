package main

import (
	"bytes"
	"testing"
	"time"
)

func TestProgressLine(t *testing.T) {
	for _, tt := range []struct {
		name        string
		read, total int64
		took        time.Duration
		want        string
	}{
		{"half", 50 << 20, 100 << 20, 5 * time.Second, " 50% of 100 MiB, 10 MiB/s, 5s left"},
		{"pipe", 50 << 20, 0, 5 * time.Second, "50 MiB read, 10 MiB/s"},
		{"nothing yet", 0, 100, time.Second, "0 B read, 0 B/s"},
	} {
		if got := progressLine(tt.read, tt.total, tt.took); got != tt.want {
			t.Errorf("%s: progressLine(%d, %d, %v) = %q, want %q", tt.name, tt.read, tt.total, tt.took, got, tt.want)
		}
	}
}

func TestNoProgressWhenPiped(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b)
	for range 3 * checkEvery {
		p.step(1, 1, 2)
	}
	p.done()
	if b.Len() != 0 {
		t.Errorf("a pipe was told %q", b.String())
	}
}
