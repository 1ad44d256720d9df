package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestStoppedWatchAccusesNobody stops the program while calls are in flight,
// and lets them end when its ring has overflowed. Going on, it says that it
// did not watch, and takes none of them for one that hangs.
func TestStoppedWatchAccusesNobody(t *testing.T) {
	mayCapture(t)
	const slow = 5
	release := make(chan struct{})
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			<-release
		}
		io.WriteString(w, "{}")
	}))
	t.Cleanup(node.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(node.URL, "http://"), ":")

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs lockedBuffer
	cmd := exec.Command(exe, "watch", "-i", "lo", "-p", port, "--metrics", "", "--log-format", "json", "--records", "-", "-B", "4MiB")
	cmd.Env = append(os.Environ(), "STALLWATCH_PROGRAM=1")
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	errs.await(t, "watching")

	quick := func() {
		res, err := http.Get(node.URL)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		<-time.After(5 * time.Millisecond)
	}
	var calls sync.WaitGroup
	for range slow {
		calls.Go(func() {
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			res, err := client.Post(node.URL, "application/json", strings.NewReader(`{"command":"getTransactionsToApprove"}`))
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
		})
	}
	// Requests that came before a call that was told were seen as well.
	for deadline := time.Now().Add(patience); strings.Count(out.String(), `"type":"exchange"`) < 3; {
		if time.Now().After(deadline) {
			t.Fatalf("no call is told: %s %s", out.String(), errs.String())
		}
		quick()
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The kernel fills a block of the ring every 20 ms, and it has eight or so.
	for stopped := time.Now(); time.Since(stopped) < time.Second; {
		quick()
	}
	close(release)
	calls.Wait()
	for gone := time.Now(); time.Since(gone) < time.Second/2; {
		quick()
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); !strings.Contains(errs.String(), "nothing was watched for a while") && time.Now().Before(deadline); {
		quick()
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, errs.String())
	}
	if s := errs.String(); strings.Count(s, "nothing was watched for a while") != 1 || !strings.Contains(s, `"cause":"stallwatch was stopped or got no CPU, and the ring overflowed"`) {
		t.Errorf("want the pause told once, with its cause: %s", s)
	}
	if n := bytes.Count([]byte(out.String()), []byte(`"outcome":"lost"`)); n < slow {
		t.Errorf("%d calls are lost, want the %d that ended unseen", n, slow)
	}
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, `"type":"pending"`) || strings.Contains(line, `"alert":"CallStalled"`) {
			t.Errorf("accused: %s", line)
		}
	}
}
