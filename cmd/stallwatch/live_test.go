package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stallwatch/capture/live"
	"stallwatch/cmd/internal/demo"
)

// mayCapture skips a test without the right to capture, but never in CI.
func mayCapture(t *testing.T) {
	t.Helper()
	src, err := live.Open(live.Options{Interfaces: []string{"lo"}})
	if err == nil {
		src.Close()
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	t.Skipf("this test captures on loopback: %v", err)
}

// attackedNode starts a demo node that is attacked for as long as ctx lasts.
func attackedNode(t *testing.T, ctx context.Context) (port string, wait func()) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sc := demo.DefaultScenario()
	sc.WarmUp, sc.Length = time.Second, 2*time.Minute
	node, err := demo.Start(exe, sc.Node, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Stop() })
	var wg sync.WaitGroup
	return fmt.Sprint(node.Addr.Port()), func() {
		wg.Go(func() { demo.Play(ctx, node, sc) })
		t.Cleanup(wg.Wait)
	}
}

// TestLiveEqualsReplay watches a node under real attack and holds the live
// run to its own recording: the alerts are the same to the byte. A second
// capture by record, at the same time, gives the same alerts as well; its
// samples of the host were taken at other instants, so values may differ.
func TestLiveEqualsReplay(t *testing.T) {
	mayCapture(t)
	if testing.Short() {
		t.Skip("takes 15 s of real time")
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	dir := t.TempDir()
	port, play := attackedNode(t, ctx)
	hook := newHook(t)
	bundles := filepath.Join(dir, "evidence")
	recorded, watched := filepath.Join(dir, "recorded.pcap"), filepath.Join(dir, "watched.pcap")

	var wg sync.WaitGroup
	var liveOut bytes.Buffer
	var liveErr, recordErr lockedBuffer
	var liveCode, recordCode int
	wg.Go(func() {
		liveCode = run(ctx, []string{"watch", "-i", "lo", "-p", port, "--metrics", "127.0.0.1:0", "--records", "-", "-w", watched,
			"--notify", hook.config(t, dir), "--evidence", bundles},
			stdio{strings.NewReader(""), &liveOut, &liveErr})
	})
	wg.Go(func() {
		recordCode = run(ctx, []string{"record", "-i", "lo", "-p", port, "-w", recorded},
			stdio{strings.NewReader(""), io.Discard, &recordErr})
	})
	liveErr.await(t, "watching")
	recordErr.await(t, "recording to")
	play()
	late := hook.attend(t)
	// By then both had seconds to come to their alerts.
	sure := time.Now().Add(-3 * time.Second)
	cancel()
	wg.Wait()
	if liveCode != 0 || recordCode != 0 {
		t.Fatalf("watch: exit code %d\n%s\nrecord: exit code %d\n%s", liveCode, liveErr.String(), recordCode, recordErr.String())
	}
	t.Log("\n" + liveErr.String())

	got := recordsOf(liveOut.String(), "alert", "pending")
	_, out, errs := stallwatch(t, "replay", "--json", "-p", port, watched)
	if want := recordsOf(out, "alert", "pending"); !slices.Equal(got, want) {
		t.Errorf("the replay of what watch recorded says something else (%s)\nlive   %s\nreplay %s", errs, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	alerts := alertsOf(t, liveOut.String())
	if i := slices.IndexFunc(alerts, func(a alert) bool {
		return a.Alert == "CallStalled" && a.Command == "getTransactionsToApprove" && a.State == "firing"
	}); i < 0 {
		t.Errorf("the attack was not named: %v", alerts)
	}
	hook.check(t, alerts, late)
	checkBundles(t, bundles, port)
	_, out, _ = stallwatch(t, "replay", "--json", "-p", port, recorded)
	a, b := alerts, alertsOf(t, out)
	if x, y := missing(a, b, sure), missing(b, a, sure); len(x)+len(y) > 0 {
		t.Errorf("record at the same time gives other alerts: lacks %v of\n%v\nand has %v besides, of\n%v", x, a, y, b)
	}
}

// recordsOf are the lines of a stream of the given types.
func recordsOf(stream string, types ...string) []string {
	var list []string
	for line := range strings.Lines(stream) {
		if slices.ContainsFunc(types, func(k string) bool { return strings.HasPrefix(line, `{"type":"`+k+`"`) }) {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// missing are the alerts of a that fired before sure and are not in b.
func missing(a, b []alert, sure time.Time) (list []string) {
	for _, x := range a {
		if x.State == "firing" && x.Time.Before(sure) && !slices.ContainsFunc(b, func(y alert) bool { return x.Alert == y.Alert && x.Command == y.Command && y.State == "firing" }) {
			list = append(list, x.Alert+" "+x.Command)
		}
	}
	return list
}

// hook is a receiver of Alertmanager's webhook format that notes when each
// alert came.
type hook struct {
	server *httptest.Server
	mu     sync.Mutex
	came   map[string]time.Time // alert name -> first firing message
}

func newHook(t *testing.T) *hook {
	h := &hook{came: map[string]time.Time{}}
	h.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Version string
			Alerts  []struct {
				Status string
				Labels map[string]string
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || m.Version != "4" {
			http.Error(w, "want version 4", http.StatusBadRequest)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, a := range m.Alerts {
			if name := a.Labels["alertname"]; a.Status == "firing" && h.came[name].IsZero() {
				h.came[name] = time.Now()
			}
		}
	}))
	t.Cleanup(h.server.Close)
	return h
}

// config writes the receiver's configuration: the URL is a secret, so it
// stands in a file of its own.
func (h *hook) config(t *testing.T, dir string) string {
	url := writeFile(t, dir, "hook.url", []byte(h.server.URL))
	return writeFile(t, dir, "notify.yaml", fmt.Appendf(nil, "receivers:\n  - {name: hook, type: webhook, url_file: %s}\nspool: %s\n", url, filepath.Join(dir, "spool")))
}

// attend waits for messages of three alerts and five seconds more. It returns
// by how much this machine was late at most, meanwhile, with the little that a
// message takes: a timer, a file brought to the disk, a request.
func (h *hook) attend(t *testing.T) (late time.Duration) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "probe"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const every = 50 * time.Millisecond
	end := time.Now().Add(patience)
	for heard := false; time.Now().Before(end); {
		begin := time.Now()
		<-time.After(every)
		file.WriteAt([]byte("x"), 0)
		file.Sync()
		if res, err := http.Get(h.server.URL); err == nil {
			res.Body.Close()
		}
		late = max(late, time.Since(begin)-every)
		h.mu.Lock()
		if !heard && len(h.came) >= 3 {
			heard, end = true, time.Now().Add(5*time.Second)
		}
		h.mu.Unlock()
	}
	return late
}

// check holds the first message about each alert to two seconds on a machine
// that is in time itself.
func (h *hook) check(t *testing.T, alerts []alert, late time.Duration) {
	t.Helper()
	within := 2*time.Second + 10*late
	h.mu.Lock()
	defer h.mu.Unlock()
	told := map[string]bool{}
	for _, a := range alerts {
		if a.State != "firing" || a.Severity == "info" || told[a.Alert] {
			continue
		}
		told[a.Alert] = true
		came := h.came[a.Alert]
		if came.IsZero() || came.Sub(a.Time) > within {
			t.Errorf("%s fired at %v, its message came at %v; want within %v", a.Alert, a.Time, came, within)
		}
		t.Logf("the message of %s came %v after the alert, the machine was up to %v late", a.Alert, came.Sub(a.Time), late)
	}
	if len(told) < 3 {
		t.Errorf("only %v fired", told)
	}
}

// checkBundles replays each bundle: it gives its own alert again.
func checkBundles(t *testing.T, dir, port string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "packets.pcap"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no bundle in %s: %v", dir, err)
	}
	for _, path := range found {
		var want struct{ Alert string }
		b, err := os.ReadFile(filepath.Join(filepath.Dir(path), "alert.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		_, out, errs := stallwatch(t, "replay", "--json", "-p", port, path)
		if !slices.ContainsFunc(alertsOf(t, out), func(a alert) bool { return a.Alert == want.Alert && a.State == "firing" }) {
			t.Errorf("the bundle of %s replays without it: %s%s", want.Alert, errs, strings.Join(recordsOf(out, "alert"), "\n"))
		}
	}
}
