package peers

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

const (
	attack = "../../../testdata/captures/iri2018.pcap.zst"
	node   = "127.0.0.1:14265"
)

// tool finds a program; a machine without it skips the test, a build server
// must have it.
func tool(t *testing.T, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err == nil {
		return p
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed: run .ci/deps test", name)
	}
	t.Skipf("%s is not installed: run .ci/deps test", name)
	return ""
}

func writeTemp(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs a program until the test ends; its log is shown if that fails.
func start(t *testing.T, bin string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s %q said\n%s", bin, args, text)
		}
	})
}

// patience is for a program on a loaded machine, not for what it does.
const patience = time.Minute

// eventually repeats ask until it returns nil.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v: %v", patience, err)
		}
	}
}

func get(url string) ([]byte, error) {
	res, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, res.Status, b)
	}
	return b, err
}

// alerts are the changes that a replay told.
type alerts []detect.Alert

func (a *alerts) Event(*httpreassembly.Event, *rules.Verdict) {}
func (a *alerts) Loss(capture.Time, capture.Loss)             {}
func (a *alerts) Finding(f *detect.Finding) {
	if f.Kind == detect.AlertChanged {
		*a = append(*a, *f.Alert)
	}
}

// hangs is an instant of the recording at which everything hangs and the node
// still lives: it dies 51.9 s from the start.
const hangs = 48 * time.Second

// play runs the attack through a pipeline up to that instant.
func play(t *testing.T, set *rules.Set, sinks ...pipeline.Sink) *pipeline.Pipeline {
	t.Helper()
	src, err := replay.Open([]string{attack}, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	pipe, err := pipeline.New(pipeline.Options{Tracker: httpreassembly.Options{Ports: []uint16{14265}}, Rules: set}, sinks...)
	if err != nil {
		t.Fatal(err)
	}
	var first capture.Time
	for {
		var it capture.Item
		if err := src.Next(&it); err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = it.At
		}
		if it.At.Sub(first) > hangs {
			return pipe
		}
		pipe.Item(&it)
	}
}

func lines(b []byte) []string {
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}
