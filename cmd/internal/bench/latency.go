package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Of the load that a watched node serves.
const (
	latencyRate  = 2000 // calls a second, evenly spaced, whatever the node does
	latencyConns = 16
	latencyWarm  = time.Second
	latencySpan  = 5 * time.Second
)

const latencyConf = `worker_processes 1;
daemon off;
pid %[1]s/pid;
error_log stderr crit;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	keepalive_requests 1000000;
	server { listen %[2]s; location / { default_type application/json; return 200 '%[3]s'; } }
}
`

// latency measures what watching costs the calls of the watched node: an nginx
// under a constant, moderate load on this machine, watched and not, in turn.
// Two unwatched runs in a row show what the machine's noise is.
func latency(o *options) error {
	addr, master, stop, err := startNginx()
	if err != nil {
		return err
	}
	defer stop()
	if _, err := load(addr, latencyWarm); err != nil {
		return err
	}
	nginx, err := withChildren(master) // there is a worker by now: it has answered
	if err != nil {
		return err
	}
	q := quiet{patience: o.quiet}
	var plain, again, watched []quantiles
	for turn := range o.turns {
		runs := []func() error{
			func() error { return measureLoad(addr, turn, &plain) },
			func() error { return o.whileWatched(addr, func() error { return measureLoad(addr, turn, &watched) }) },
			func() error { return measureLoad(addr, turn, &again) },
		}
		for i := range runs {
			k := (i + turn) % len(runs)
			if err := q.run(func() (time.Duration, error) { return ownTime(nginx, runs[k]) }); err != nil {
				return err
			}
		}
	}
	fmt.Printf("latency of %d calls a second to nginx on this machine, median [least most] of %d turns of %v\n", latencyRate, o.turns, latencySpan)
	for _, q := range []struct {
		name string
		of   func(quantiles) float64
	}{{"p50", func(q quantiles) float64 { return q.p50 }}, {"p99", func(q quantiles) float64 { return q.p99 }}} {
		a, w, b := pick(plain, q.of), pick(watched, q.of), pick(again, q.of)
		fmt.Printf("  %s  unwatched %s µs  watched %s µs\n", q.name, spread(a, "%.0f"), spread(w, "%.0f"))
		fmt.Printf("       watched/unwatched %s  unwatched/unwatched %s\n", spread(quotients(w, a), "%.2f"), spread(quotients(b, a), "%.2f"))
	}
	q.tell()
	fmt.Println()
	return nil
}

// ownTime is what f takes on this machine: in this process, in children that
// end meanwhile, and in nginx.
func ownTime(nginx []int, f func() error) (time.Duration, error) {
	before, err := timeOf(nginx)
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := timeOf(nginx)
	return after - before, err
}

func timeOf(pids []int) (sum time.Duration, err error) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			return 0, err
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		for _, f := range fields[11:13] { // utime and stime
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, err
			}
			sum += time.Duration(n) * tick
		}
	}
	return sum, nil
}

type quantiles struct{ p50, p99 float64 } // µs

func pick(list []quantiles, of func(quantiles) float64) (v []float64) {
	for _, q := range list {
		v = append(v, of(q))
	}
	return v
}

func quotients(a, b []float64) (v []float64) {
	for i := range a {
		v = append(v, a[i]/b[i])
	}
	return v
}

// startNginx starts one that answers every call with 1 KB.
func startNginx() (addr string, pid int, stop func(), err error) {
	bin, err := exec.LookPath("nginx")
	if err != nil {
		if bin = "/usr/sbin/nginx"; !isFile(bin) {
			return "", 0, nil, fmt.Errorf("nginx is the node: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "stallwatch-bench")
	if err != nil {
		return "", 0, nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", 0, nil, err
	}
	addr = l.Addr().String()
	l.Close()
	conf := filepath.Join(dir, "conf")
	text := fmt.Sprintf(latencyConf, dir, addr, `{"appName":"`+strings.Repeat("x", 1000)+`"}`)
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(conf, []byte(text), 0o644)); err != nil {
		return "", 0, nil, err
	}
	cmd := exec.Command(bin, "-c", conf, "-p", dir, "-e", "stderr")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", 0, nil, err
	}
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		os.RemoveAll(dir)
	}
	for deadline := time.Now().Add(readyWithin); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr, cmd.Process.Pid, stop, nil
		}
		if time.Now().After(deadline) {
			stop()
			return "", 0, nil, errors.New("nginx does not listen")
		}
	}
}

// withChildren returns a process and those it has started.
func withChildren(pid int) ([]int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	pids := []int{pid}
	for field := range strings.FieldsSeq(string(b)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		pids = append(pids, child)
	}
	return pids, nil
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

var callsSeen = regexp.MustCompile(`(?m)^(\d+) calls seen`)

// whileWatched runs f while stallwatch watches, and makes sure that it saw the
// calls.
func (o *options) whileWatched(addr string, f func() error) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	cmd := exec.Command(o.bin, "watch", "-i", "lo", "-p", port, "--metrics", "", "--log-format", "json")
	said := &said{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer cmd.Process.Kill()
	if err := said.await("watching", ended); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(readyWithin):
		return errors.New("stallwatch does not end")
	}
	m := callsSeen.FindStringSubmatch(said.String())
	if m == nil {
		return fmt.Errorf("stallwatch does not say how many calls it saw: %.500s", said.String())
	}
	if n, _ := strconv.Atoi(m[1]); n < int(latencyRate*latencySpan.Seconds()) {
		return fmt.Errorf("stallwatch saw %d calls only", n)
	}
	return nil
}

// measureLoad notes the quantiles of a turn; those of a turn that is repeated
// take the place of what was noted.
func measureLoad(addr string, turn int, to *[]quantiles) error {
	if _, err := load(addr, latencyWarm); err != nil {
		return err
	}
	took, err := load(addr, latencySpan)
	if err != nil {
		return err
	}
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)))]) / 1e3 }
	*to = append((*to)[:turn], quantiles{at(0.5), at(0.99)})
	return nil
}

// load calls at latencyRate for so long and returns what each call took.
func load(addr string, span time.Duration) ([]time.Duration, error) {
	n := int(latencyRate * span.Seconds())
	took := make([]time.Duration, n)
	errs := make([]error, latencyConns)
	begin := time.Now().Add(10 * time.Millisecond)
	var wg sync.WaitGroup
	for k := range latencyConns {
		wg.Go(func() { errs[k] = loadOne(addr, begin, k, took) })
	}
	wg.Wait()
	return took, errors.Join(errs...)
}

const latencyCall = "POST / HTTP/1.1\r\nHost: node\r\nX-IOTA-API-Version: 1\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n" + `{"command":"getNodeInfo"}`

// loadOne makes every latencyConns-th call, on a connection of its own. A call
// that was due while the one before it was unanswered has waited since then; a
// late wake-up of ours is not the node's time.
func loadOne(addr string, begin time.Time, k int, took []time.Duration) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	br := bufio.NewReader(c)
	for i := k; i < len(took); i += latencyConns {
		due := begin.Add(time.Duration(i) * time.Second / latencyRate)
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
			due = time.Now()
		}
		if _, err := io.WriteString(c, latencyCall); err != nil {
			return err
		}
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return err
		}
		res.Body.Close()
		took[i] = time.Since(due)
	}
	return nil
}
