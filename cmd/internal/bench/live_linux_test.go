package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFramesOf finds every frame of the traffic, in order, and no more than
// asked for.
func TestFramesOf(t *testing.T) {
	dir := t.TempDir()
	if err := makeFile(dir, "small-500"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "small-500.pcap")
	for _, most := range []int{1, 100, 500, 1000} {
		frames, unmap, err := framesOf(path, most)
		if err != nil || len(frames) != min(most, 500) {
			t.Fatalf("%d frames (%v), want %d", len(frames), err, min(most, 500))
		}
		for i, f := range frames {
			if len(f) < 54 || f[12] != 0x08 && f[12] != 0x86 {
				t.Fatalf("frame %d is no IP packet on Ethernet: % x", i, f[:min(len(f), 20)])
			}
		}
		unmap()
	}
}

func TestRates(t *testing.T) {
	if got, err := rates("400000,50000"); err != nil || len(got) != 2 || got[0] != 50000 {
		t.Errorf("got %v, %v; want them in order", got, err)
	}
	for _, bad := range []string{"", "0", "1e6", "5,,6", "-1"} {
		if _, err := rates(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestLoadCountsWaiting: a call that was due while the one before it hung has
// waited, and is counted so.
func TestLoadCountsWaiting(t *testing.T) {
	n := 0
	node := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n++; n == 2 {
			time.Sleep(40 * time.Millisecond)
		}
	}))
	defer node.Close()
	took := make([]time.Duration, 5*latencyConns) // a call every 8 ms on the one connection
	if err := loadOne(strings.TrimPrefix(node.URL, "http://"), time.Now(), 0, took); err != nil {
		t.Fatal(err)
	}
	if took[latencyConns] < 40*time.Millisecond || took[2*latencyConns] < 30*time.Millisecond {
		t.Errorf("the call that hung took %v, the next %v; want 40 ms and what is left of it", took[latencyConns], took[2*latencyConns])
	}
}
