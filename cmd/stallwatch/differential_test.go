package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stallwatch/cmd/internal/freeport"
)

// call is an exchange as a server's own log and the records tell it.
type call struct {
	client, method, target string
	request                int64 // content bytes
	status                 int
	response               int64 // content bytes
}

func (c call) String() string {
	return fmt.Sprintf("%s %s %s (%d bytes) -> %d (%d bytes)", c.client, c.method, c.target, c.request, c.status, c.response)
}

// watched runs watch on a loopback port while traffic runs, and returns the
// exchanges it saw.
func watched(t *testing.T, port string, traffic func()) []call {
	t.Helper()
	var out, errs lockedBuffer
	done := make(chan int, 1)
	ctx, stop := contextWithCancel(t)
	go func() {
		done <- run(ctx, []string{"watch", "-i", "lo", "-p", port, "--metrics", "", "--no-host", "--records", "-", "--redact", "off"}, stdio{strings.NewReader(""), &out, &errs})
	}()
	errs.await(t, "watching")
	traffic()
	stop()
	if code := <-done; code != 0 {
		t.Fatalf("watch: exit code %d\n%s", code, errs.String())
	}
	var calls []call
	for line := range strings.Lines(out.String()) {
		var r struct {
			Type, Client, Method, Target string
			Request                      int64 `json:"request_body_bytes"`
			Status                       int
			Response                     int64 `json:"response_body_bytes"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Type == "exchange" {
			calls = append(calls, call{r.Client, r.Method, r.Target, r.Request, r.Status, r.Response})
		}
	}
	return calls
}

func sameCalls(t *testing.T, got, want []call) {
	t.Helper()
	order := func(a, b call) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if !slices.Equal(got, want) {
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("the server logged, and stallwatch did not see: %v", w)
			}
		}
		for _, g := range got {
			if !slices.Contains(want, g) {
				t.Errorf("stallwatch saw, and the server did not log: %v", g)
			}
		}
		t.Errorf("%d exchanges, the server logged %d", len(got), len(want))
	}
	t.Logf("%d exchanges are the server's own", len(want))
}

// TestServersOwnLog holds the records to what a Go server says it served:
// chunked, pipelined, 100-continue, HEAD, empty, large, aborted.
func TestServersOwnLog(t *testing.T) {
	mayCapture(t)
	var mu sync.Mutex
	var logged []call
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return // the client left in the middle of its request
		}
		size := 0
		fmt.Sscanf(r.URL.Path, "/%d", &size)
		c := call{r.RemoteAddr, r.Method, r.RequestURI, n, 200, int64(size)}
		switch {
		case strings.HasSuffix(r.URL.Path, "/none"):
			c.status, c.response = 204, 0
			w.WriteHeader(204)
		case strings.HasSuffix(r.URL.Path, "/chunked"):
			for range size / 100 {
				w.Write(make([]byte, 100))
				w.(http.Flusher).Flush()
			}
			c.response = int64(size / 100 * 100)
		default:
			w.Header().Set("Content-Length", fmt.Sprint(size))
			w.Write(make([]byte, size))
		}
		if r.Method == http.MethodHead {
			c.response = 0
		}
		mu.Lock()
		defer mu.Unlock()
		logged = append(logged, c)
	})}
	go server.Serve(l)
	defer server.Close()
	got := watched(t, fmt.Sprint(l.Addr().(*net.TCPAddr).Port), func() { variety(t, l.Addr().String()) })
	// Answers may be out before their handlers have logged them.
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(logged) < 200 {
		t.Fatalf("only %d exchanges", len(logged))
	}
	sameCalls(t, slices.DeleteFunc(got, func(c call) bool { return c.status == 0 && c.method == "POST" && c.target == "/aborted" }), logged)
}

// variety makes calls of every framing, several connections at once.
func variety(t *testing.T, addr string) {
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 4))
			tr := &http.Transport{DisableKeepAlives: i%3 == 2, DisableCompression: true, ExpectContinueTimeout: time.Second}
			defer tr.CloseIdleConnections()
			c := &http.Client{Transport: tr, Timeout: 20 * time.Second}
			for range 30 {
				request(t, c, rnd, "http://"+addr, true)
			}
		})
		wg.Go(func() { pipelined(t, addr, 10+i) })
		wg.Go(func() { aborted(t, addr) })
	}
	wg.Wait()
}

func request(t *testing.T, c *http.Client, rnd *rand.Rand, base string, expect bool) {
	size := []int{0, 1, 90, 5000, 200_000}[rnd.IntN(5)]
	method := []string{"GET", "POST", "POST", "HEAD", "PUT"}[rnd.IntN(5)]
	target := fmt.Sprintf("%s/%d%s?q=%d", base, size, []string{"", "/chunked", "/none"}[rnd.IntN(3)], rnd.IntN(100))
	var body io.Reader
	if method == "POST" || method == "PUT" {
		b := bytes.Repeat([]byte("x"), []int{0, 1, 700, 70_000, 300_000}[rnd.IntN(5)])
		body = bytes.NewReader(b)
		if rnd.IntN(2) == 0 {
			body = struct{ io.Reader }{body} // of unknown length: chunked
		}
	}
	req, err := http.NewRequest(method, target, body)
	if err != nil {
		t.Error(err)
		return
	}
	if rnd.IntN(3) == 0 && body != nil && expect {
		req.Header.Set("Expect", "100-continue")
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// pipelined sends n requests at once and reads the answers.
func pipelined(t *testing.T, addr string, n int) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", i*300, i, strings.Repeat("y", i))
	}
	c.Write(b.Bytes())
	r := bufio.NewReader(c)
	for range n {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
	}
}

// aborted leaves in the middle of a request's content.
func aborted(t *testing.T, addr string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	fmt.Fprintf(c, "POST /aborted HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
	c.Close()
}

// TestNginxAccessLog holds the records to nginx's access log. Without Expect:
// nginx adds the 25 bytes of its own "100 Continue" to $body_bytes_sent.
func TestNginxAccessLog(t *testing.T) {
	mayCapture(t)
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if nginx = "/usr/sbin/nginx"; !isExecutable(nginx) {
			t.Fatal("nginx is missing: make test installs it")
		}
	}
	dir, port := t.TempDir(), fmt.Sprint(freeport.Hold(t).Port())
	os.Chmod(dir, 0o755)
	for _, size := range []int{0, 1, 90, 5000, 200_000} {
		os.WriteFile(filepath.Join(dir, fmt.Sprint(size)), make([]byte, size), 0o644)
	}
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	log_format calls escape=json '{"client":"$remote_addr:$remote_port","method":"$request_method","target":"$request_uri","status":$status,"response":$body_bytes_sent}';
	access_log %[1]s/access.log calls;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server { listen 127.0.0.1:%[2]s; root %[1]s; client_max_body_size 10m;
		location ~ ^(/\d+)/ { return 404; } }
}`, dir, port)
	writeFile(t, dir, "nginx.conf", []byte(conf))
	cmd := exec.Command(nginx, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	var nginxErr bytes.Buffer
	cmd.Stderr = &nginxErr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() }
	defer stop()
	awaitPort(t, "127.0.0.1:"+port, &nginxErr)
	os.Truncate(filepath.Join(dir, "access.log"), 0)
	got := watched(t, port, func() { nginxVariety(t, "127.0.0.1:"+port) })
	stop()
	sameCalls(t, withoutRequests(got), nginxLog(t, filepath.Join(dir, "access.log")))
}

func nginxVariety(t *testing.T, addr string) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 5))
			tr := &http.Transport{DisableKeepAlives: i%2 == 1, DisableCompression: true}
			defer tr.CloseIdleConnections()
			for range 25 {
				request(t, &http.Client{Transport: tr, Timeout: 20 * time.Second}, rnd, "http://"+addr, false)
			}
		})
		wg.Go(func() { getsPipelined(t, addr, 8) })
	}
	wg.Wait()
}

func getsPipelined(t *testing.T, addr string, n int) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	c.Write(bytes.Repeat([]byte("GET /5000 HTTP/1.1\r\nHost: x\r\n\r\n"), n))
	r := bufio.NewReader(c)
	for range n {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
	}
}

// withoutRequests drops the length of the request's content, which nginx does
// not log.
func withoutRequests(calls []call) []call {
	for i := range calls {
		calls[i].request = 0
	}
	return calls
}

func nginxLog(t *testing.T, path string) []call {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []call
	for line := range strings.Lines(string(b)) {
		var r struct {
			Client, Method, Target string
			Status                 int
			Response               int64
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, call{r.Client, r.Method, r.Target, 0, r.Status, r.Response})
	}
	return list
}
