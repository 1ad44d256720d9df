package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"stallwatch/detect"
)

// The torture: a process is fed changes of alerts, delivers them to a
// receiver that fails half of the time, and is killed with -9 again and
// again; each time it starts anew with what it finds in its spool.

const (
	victimArg = "notify-torture-victim"

	tortureChanges   = 10_000
	tortureIncidents = 40 // under way at the same time
	tortureKills     = 20
)

// tortureAlert is the i-th change of the trace: incidents fire, escalate, and
// are resolved, in turns. The trace is a function of i, so that each process
// can go on where the file of its queue ends.
func tortureAlert(i int) *detect.Alert {
	const steps = 5 // changes of an incident: the first fires, the last resolves
	round, slot := i/tortureIncidents, i%tortureIncidents
	life, step := round/steps, round%steps
	a := stalled(float64(i), detect.Firing, detect.Severity(1+min(step, 2)))
	a.Subject = fmt.Sprintf("incident %d", slot)
	a.Command = fmt.Sprintf("life%d", life)
	a.Server, a.Value, a.Limit, a.Unit, a.Evidence = server, float64(i+1), 0, "changes", detect.Evidence{}
	if step == steps-1 {
		a.State = detect.Resolved
	}
	return a
}

// victim is the process that is killed. It tells the number of changes that
// its queue holds on the disk by the file's own word, the sequence.
func victim(args []string) {
	r := Receiver{Name: "victim", Kind: Webhook, URLs: []Secret{NewSecret(args[1])}, PerMinute: -1}
	c := Config{Spool: args[0], Receivers: []Receiver{r}}
	n, err := New(&c, Options{Log: zerolog.New(os.Stderr).Level(zerolog.ErrorLevel), Timeout: patience, tune: func(l *limits) {
		quick(l)
		l.changes, l.backoff = 1<<20, time.Millisecond
	}})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	w := n.workers[0]
	w.mu.Lock()
	next := int(w.q.seq)
	w.mu.Unlock()
	for i := next; i < tortureChanges; i++ {
		n.Finding(&detect.Finding{Kind: detect.AlertChanged, Alert: tortureAlert(i)})
		// The intake drops the oldest when it is full: no faster than that.
		for n.backlog() > intakeSize/2 {
			time.Sleep(time.Millisecond)
		}
	}
	for n.Stats().Receivers[0].Queue > 0 || int(w.seqNow()) < tortureChanges {
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println("done", n.Stats().Lost, n.Stats().Receivers[0].Dropped)
	n.Close(context.Background())
}

func (n *Notifier) backlog() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.waiting
}

func (w *worker) seqNow() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.q.seq
}

// flaky fails every second request: before it takes the message, or after.
type flaky struct {
	f     *fake
	after atomic.Int64 // answers that got lost
	n     atomic.Int64
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch n := f.n.Add(1); {
	case n%2 == 1:
		f.f.ServeHTTP(w, r)
	case n%40 == 0:
		f.after.Add(1)
		f.f.ServeHTTP(discard{http.Header{}}, r)
		reset(w, r)
	case n%4 == 0:
		status(503, "busy")(w, r)
	default:
		reset(w, r)
	}
}

// discard is an answer that gets lost.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func TestTorture(t *testing.T) {
	t.Parallel()
	f := newFake(t, Webhook)
	f.check = func(*fake, *seen) (string, error) { return "", nil }
	fl := &flaky{f: f}
	srv := startPlain(t, fl)
	dir := filepath.Join(t.TempDir(), "spool")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	var last string
	for last == "" {
		cmd := exec.Command(exe, victimArg, dir, srv+"/hook")
		cmd.Stderr = os.Stderr
		var out strings.Builder
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if kills < tortureKills {
			kills++
			time.Sleep(80*time.Millisecond + rand.N(200*time.Millisecond))
			cmd.Process.Kill()
			cmd.Wait()
			if strings.HasPrefix(out.String(), "error") {
				t.Fatalf("after %d kills: %s", kills, out.String())
			}
			continue
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("the last process: %v\n%s", err, out.String())
		}
		last = out.String()
	}
	if !strings.HasPrefix(last, "done 0 0") {
		t.Errorf("the last process says %q, want nothing lost and nothing dropped", last)
	}
	_, took := f.requests()
	checkTorture(t, took, kills+int(fl.after.Load()))
}

// checkTorture looks at all that the receiver took, in order.
func checkTorture(t *testing.T, took []seen, window int) {
	t.Helper()
	ids := map[string]int{}
	arrived := map[string][]int{} // by incident and life: the numbers of the changes
	repeats := 0
	for _, s := range took {
		id := s.header.Get(IdempotencyHeader)
		if ids[id]++; ids[id] > 1 {
			repeats++
			continue
		}
		var m webhookMessage
		if err := json.Unmarshal(s.body, &m); err != nil {
			t.Fatal(err)
		}
		for _, a := range m.Alerts {
			key := a.Labels["subject"] + " " + a.Labels["command"]
			arrived[key] = append(arrived[key], changeNumber(t, &a))
		}
	}
	if repeats > window {
		t.Errorf("%d messages came twice, want at most one for each of the %d kills and lost answers", repeats, window)
	}
	lives := tortureChanges / tortureIncidents / 5
	for slot := range tortureIncidents {
		for life := range lives {
			key := fmt.Sprintf("incident %d life%d", slot, life)
			first := life*5*tortureIncidents + slot
			got := arrived[key]
			if len(got) < 2 || got[0] != first || got[len(got)-1] != first+4*tortureIncidents {
				t.Fatalf("%s: got changes %v, want first %d and last %d", key, got, first, first+4*tortureIncidents)
			}
			for i := range got[1:] {
				if got[i+1] <= got[i] {
					t.Fatalf("%s: got changes %v: out of order or twice", key, got)
				}
			}
		}
	}
	t.Logf("%d messages for %d changes, %d of them twice (window %d)", len(took), tortureChanges, repeats, window)
}

// changeNumber is the number of a change, which stands as the measured value.
func changeNumber(t *testing.T, a *webhookAlert) int {
	t.Helper()
	for _, line := range strings.Split(a.Annotations["description"], "\n") {
		if v, ok := strings.CutPrefix(line, "Measured: "); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(v, " changes"))
			if err != nil {
				t.Fatal(err)
			}
			return n - 1
		}
	}
	t.Fatalf("no number in %v", a.Annotations)
	return 0
}

// startPlain serves h on a loopback socket without TLS.
func startPlain(t *testing.T, h http.Handler) string {
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL
}
