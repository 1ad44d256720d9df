package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

var update = flag.Bool("update", false, "rewrite the golden reports")

func captureNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(capturesDir + "/*.pcap.zst")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d captures in %s: %v", len(files), capturesDir, err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".pcap.zst"))
	}
	return names
}

// TestGoldenReports holds the report of every real capture. A change of it is
// read by people, and then taken with -update.
func TestGoldenReports(t *testing.T) {
	for _, name := range captureNames(t) {
		t.Run(name, func(t *testing.T) {
			_, out, errs := stallwatch(t, "replay", filepath.Join(capturesDir, name+".pcap.zst"))
			if errs != "" {
				t.Errorf("on standard error: %s", errs)
			}
			_, got, _ := strings.Cut(out, "\n") // the first line names the version
			golden := filepath.Join(capturesDir, name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the report of %s changed (-update takes it):\n got %s\nwant %s", name, got, want)
			}
		})
	}
}

// truth is one line of a capture's NAME.truth.jsonl: the kernel's own counts.
type truth struct {
	Time    time.Time      `json:"time"`
	Port    uint16         `json:"port"`
	Sockets map[string]int `json:"sockets"`
}

func truthOf(t *testing.T, name string, port uint16) []truth {
	t.Helper()
	f, err := os.Open(filepath.Join(capturesDir, name+".truth.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []truth
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var tr truth
		if err := json.Unmarshal(sc.Bytes(), &tr); err != nil {
			t.Fatal(err)
		}
		if tr.Port == port {
			list = append(list, tr)
		}
	}
	return list
}

// wireCount is a Sink that follows CLOSE_WAIT by Events alone: between a
// client's FIN and the server's reaction.
type wireCount struct {
	open map[httpreassembly.ConnID]bool
	ends []step
}

type step struct {
	at capture.Time
	n  int
}

func (w *wireCount) Finding(*detect.Finding)         {}
func (w *wireCount) Loss(capture.Time, capture.Loss) {}
func (w *wireCount) Event(ev *httpreassembly.Event, _ *rules.Verdict) {
	switch {
	case ev.Kind == httpreassembly.HalfClosed && ev.By == httpreassembly.Client:
		w.open[ev.Conn] = true
	case ev.Kind == httpreassembly.HalfClosed || ev.Kind == httpreassembly.Closed && ev.How != httpreassembly.ByCaptureEnd:
		delete(w.open, ev.Conn)
	default:
		return
	}
	w.ends = append(w.ends, step{ev.At, len(w.open)})
}

// TestCloseWaitEqualsTheKernel compares the count from the packets alone with
// what the node's kernel said at every whole second.
func TestCloseWaitEqualsTheKernel(t *testing.T) {
	for _, name := range captureNames(t) {
		if strings.HasPrefix(name, "blind_") || name == "late_start" {
			continue // the packets have not what the kernel has: that is what they are for
		}
		for _, port := range []uint16{14265, 14267} {
			list := truthOf(t, name, port)
			if len(list) == 0 {
				continue
			}
			w := closeWaitOf(t, name, port)
			seconds, wrong, worst, i, n := 0, 0, 0, 0, 0
			for _, tr := range list {
				if tr.Time.Nanosecond() >= int(100*time.Millisecond) { // whole seconds; the first of five samples
					continue
				}
				for i < len(w.ends) && w.ends[i].at <= capture.At(tr.Time) {
					n = w.ends[i].n
					i++
				}
				seconds++
				if d := max(n, tr.Sockets["close_wait"]) - min(n, tr.Sockets["close_wait"]); d > 0 {
					wrong++
					worst = max(worst, d)
				}
			}
			t.Logf("%s port %d: %d whole seconds, %d differ, by at most %d", name, port, seconds, wrong, worst)
			if worst > 1 || seconds > 0 && wrong*20 > seconds {
				t.Errorf("%s port %d: CLOSE_WAIT differs from the kernel's at %d of %d whole seconds, by up to %d", name, port, wrong, seconds, worst)
			}
		}
	}
}

func closeWaitOf(t *testing.T, name string, port uint16) *wireCount {
	t.Helper()
	src, err := replay.Open([]string{filepath.Join(capturesDir, name+".pcap.zst")}, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	w := &wireCount{open: map[httpreassembly.ConnID]bool{}}
	pipe, err := pipeline.New(pipeline.Options{Rules: rules.Default(), Tracker: httpreassembly.Options{Ports: []uint16{port}}}, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := readAll(t.Context(), src, pipe, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestAttackIsNamedInTime is what the tool is for: the culprit's name, before
// the first honest client is failed.
func TestAttackIsNamedInTime(t *testing.T) {
	for _, name := range []string{"iri2018", "iri2018_netns", "nginx_proxy", "haproxy_proxy"} {
		t.Run(name, func(t *testing.T) {
			var events struct {
				Play struct {
					AttackStart  time.Time `json:"attack_start"`
					FirstFailure struct {
						Start, End time.Time
					} `json:"first_failure"`
				} `json:"play"`
			}
			b, err := os.ReadFile(filepath.Join(capturesDir, name+".events.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &events); err != nil {
				t.Fatal(err)
			}
			_, out, _ := stallwatch(t, "replay", "--json", "-p", "14265", filepath.Join(capturesDir, name+".pcap.zst"))
			first := map[string]time.Time{}
			for _, a := range alertsOf(t, out) {
				if _, seen := first[a.Alert]; !seen && a.State == "firing" && a.Severity != "info" {
					first[a.Alert] = a.Time
					if a.Alert == "CallStalled" && a.Command != "getTransactionsToApprove" {
						t.Errorf("the culprit is %q", a.Command)
					}
				}
			}
			at, fired := first["CallStalled"]
			if !fired || !at.Before(events.Play.FirstFailure.Start) || at.Before(events.Play.AttackStart) {
				t.Errorf("CallStalled at %v; want between the attack's start %v and the beginning of the first failed honest call %v", at, events.Play.AttackStart, events.Play.FirstFailure.Start)
			}
			t.Logf("lead before the first failed honest call: %v", events.Play.FirstFailure.End.Sub(at))
		})
	}
}

// alert is what the tests look at of an alert's record.
type alert struct {
	Type, State, Alert, Severity, Command string
	Time                                  time.Time
}

func alertsOf(t *testing.T, stream string) []alert {
	t.Helper()
	var list []alert
	for line := range strings.Lines(stream) {
		var a alert
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if a.Type == "alert" {
			list = append(list, a)
		}
	}
	return list
}

// TestSameBytesOverShards: the records of a real capture do not depend on how
// many trackers shared the work.
func TestSameBytesOverShards(t *testing.T) {
	for _, name := range []string{"iri2018", "nginx_proxy", "curl_mix"} {
		path := filepath.Join(capturesDir, name+".pcap.zst")
		_, want, _ := stallwatch(t, "replay", "--json", path)
		for _, n := range []string{"2", "3"} {
			if _, got, _ := stallwatch(t, "replay", "--json", "--shards", n, path); got != want {
				g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
				i := slices.IndexFunc(g, func(s string) bool { return !slices.Contains(w, s) })
				t.Errorf("%s: %s shards gave other records, the first being line %d: %s", name, n, i, g[max(i, 0)])
			}
		}
	}
}
