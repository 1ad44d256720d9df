package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"stallwatch/capture"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/metrics"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/status"
)

// TestStatusOfTheAttack reads the page second by second while the recorded
// attack of January 2018 goes by: the node is fine, then there is a warning,
// then it is critical, and the page names the calls that hang.
func TestStatusOfTheAttack(t *testing.T) {
	path, play, err := unpackPlay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	src, err := replay.Open([]string{path}, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var now time.Time
	page := status.New(status.Options{Now: func() time.Time { return now }})
	pipe, err := pipeline.New(demoOptions(play.Node.Port()), page)
	if err != nil {
		t.Fatal(err)
	}
	out := &outputs{status: page}
	var states []string
	var next capture.Time
	longest, most := 0.0, 0
	for {
		var it capture.Item
		if err := src.Next(&it); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pipe.Item(&it)
		now = it.At.Std()
		if it.Kind == capture.HostSampled {
			out.sampled(it.Sample)
		}
		if it.At < next {
			continue
		}
		next = it.At.Add(time.Second)
		pipe.Snapshot(&out.snap)
		page.Publish(pipe.Stats(), &out.snap)
		d := page.Document()
		if len(states) == 0 || states[len(states)-1] != d.State {
			states = append(states, d.State)
		}
		for i, c := range d.Calls {
			if i > 0 && c.Age > d.Calls[i-1].Age {
				t.Fatalf("%v: call %d is older than the one above it", it.At, i)
			}
			longest = max(longest, c.Age)
		}
		if len(d.Nodes) > 0 {
			most = max(most, d.Nodes[0].InFlight)
			if n := d.Nodes[0]; n.State == status.Fine && n.Oldest != nil && *n.Oldest > 30 {
				t.Errorf("%v: the node is fine with a call of %v s", it.At, *n.Oldest)
			}
		}
	}
	order := []string{status.Idle, status.Fine, status.Warning, status.Critical}
	if !slices.Contains(states, status.Fine) || !slices.IsSortedFunc(states, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) }) {
		t.Errorf("the states were %v", states)
	}
	if states[len(states)-1] != status.Critical || longest < 20 || most < 50 {
		t.Errorf("in the end %s, the longest call %.1f s, at most %d in flight", states[len(states)-1], longest, most)
	}
	d := page.Document()
	if len(d.Firing) < 3 || !slices.ContainsFunc(d.Firing, func(in *status.Incident) bool { return in.Name == "CallStalled" && len(in.Next) > 0 }) {
		t.Errorf("%d incidents fire, and CallStalled with its advice should", len(d.Firing))
	}
	if h := d.Nodes[0].History; h == nil || len(h.InFlight) < 40 || len(h.FDs) != len(h.InFlight) {
		t.Errorf("the history is too short: %+v", h)
	}
}

func TestStatusFlag(t *testing.T) {
	for _, row := range []struct{ addr, who, url string }{
		{"127.0.0.1:9814", statusLocal, "http://127.0.0.1:9814/"},
		{"[::1]:9814", statusLocal, "http://[::1]:9814/"},
		{"0.0.0.0:9814", statusLocal, "http://127.0.0.1:9814/"},
		{"[::]:9814", statusAll, "http://127.0.0.1:9814/"},
		{"192.0.2.1:9814", statusAll, "http://192.0.2.1:9814/"},
		{"192.0.2.1:9814", statusLocal, ""},
	} {
		if got := statusURL(row.addr, row.who); got != row.url {
			t.Errorf("%s with --status %s: %q, want %q", row.addr, row.who, got, row.url)
		}
	}
	if code, _, errs := stallwatch(t, "watch", "--status", "everybody"); code != exitUsage || !strings.Contains(errs, `--status "everybody": want local, all or off`) {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// TestListener asks everything that --metrics serves.
func TestListener(t *testing.T) {
	dir := t.TempDir()
	receivers := filepath.Join(dir, "notify.yaml")
	if err := os.WriteFile(receivers, []byte("spool: "+dir+"\nreceivers:\n  - {name: ban, type: log, path: "+dir+"/abuse.log}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{statusLocal, statusOff} {
		f := &watchFlags{status: who, metrics: "127.0.0.1:0", records: filepath.Join(dir, "records.jsonl"), notify: receivers, redact: "on", analysis: analysis{api: "auto", memory: "128MiB", shards: 1}}
		o, err := f.options(14265)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		out, err := f.openOutputs(stdio{out: io.Discard}, zerolog.New(&log), o)
		if err != nil {
			t.Fatal(err)
		}
		base := "http://" + out.addr + "/"
		f.greet(zerolog.New(&log), o, out, "")
		if told := strings.Contains(log.String(), `"status":"`+base+`"`); told != (who == statusLocal) {
			t.Errorf("--status %s: the log says %s", who, log.String())
		}
		for path, want := range map[string]string{"": "text/html; charset=utf-8", "status.json": "application/json", "metrics": "text/plain", "healthz": "application/json"} {
			if who == statusOff && path == "" {
				want = "text/plain"
			}
			resp, err := http.Get(base + path)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if who == statusOff && path == "status.json" {
				if resp.StatusCode != http.StatusNotFound {
					t.Errorf("--status off: /status.json is %s", resp.Status)
				}
				continue
			}
			if !strings.HasPrefix(resp.Header.Get("Content-Type"), want) || len(body) == 0 {
				t.Errorf("--status %s: /%s is %s, %s", who, path, resp.Status, resp.Header.Get("Content-Type"))
			}
			if path == "status.json" && (!json.Valid(body) || !bytes.Contains(body, []byte(`"receivers":[{"receiver":"ban","sent":0,"waiting":0}]`)) || !bytes.Contains(body, []byte(`"records":{"failing":false`))) {
				t.Errorf("no JSON, or without receivers and records: %s", body)
			}
		}
		if err := out.close(); err != nil {
			t.Error(err)
		}
	}
}

// A name that a web site let point here reads nothing of the page; metrics,
// which name nobody, are read by whatever name an operator has for them.
func TestReboundName(t *testing.T) {
	f := &watchFlags{status: statusLocal}
	o := demoOptions(14265)
	out := &outputs{}
	out.metrics = metrics.New(o.Rules, metrics.Options{})
	out.openStatus(f, o, nil)
	server := httptest.NewServer(out.handler())
	defer server.Close()
	for path, want := range map[string]int{"/": 421, "/status.json": 421, "/metrics": 200} {
		r, _ := http.NewRequest("GET", server.URL+path, nil)
		r.Host = "evil.example"
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// The demo tells where its page is.
func TestDemoServesItsPage(t *testing.T) {
	var said bytes.Buffer
	f := demoFlags{}
	out, err := f.openOutputs(stdio{out: &said, err: io.Discard}, newStage(io.Discard), demoOptions(14265))
	if err != nil {
		t.Fatal(err)
	}
	defer out.close()
	url := regexp.MustCompile(`http://\S+`).FindString(said.String())
	resp, err := http.Get(url)
	if err != nil {
		t.Fatalf("%q: %v", said.String(), err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", url, resp.Status)
	}
}
