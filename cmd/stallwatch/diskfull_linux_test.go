package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWatchOutlivesItsRecording: a full disk ends the recording, with one
// word about it at once and an exit code at the end, and not the watch.
func TestWatchOutlivesItsRecording(t *testing.T) {
	mayCapture(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4k"); err != nil {
		t.Skipf("this test mounts a small file system: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 20_000)) }))
	defer node.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(node.URL, "http://"), ":")

	ctx, cancel := contextWithCancel(t)
	errs := &lockedBuffer{}
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"watch", "-i", "lo", "-p", port, "--metrics", "", "-w", filepath.Join(dir, "x.pcap")}, stdio{strings.NewReader(""), &bytes.Buffer{}, errs})
	}()
	ask := func(times int) {
		for range times {
			res, err := http.Get(node.URL)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}
	}
	errs.await(t, "watching")
	ask(50)
	errs.await(t, "the watch goes on without it")
	ask(7)
	cancel()
	if c := <-code; c != 1 {
		t.Errorf("exit code %d, want 1: the recording is not whole", c)
	}
	if s := errs.String(); strings.Count(s, "no space left on device") != 2 || !strings.Contains(s, "57 calls seen") {
		t.Errorf("want the reason in the log and at the end, and every call seen, got\n%s", s)
	}
}
