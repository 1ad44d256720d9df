package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stallwatch/cmd/internal/demo"
)

// hostSample is what these tests read of a recording's side file.
type hostSample struct {
	Type    string
	PID     int
	FDs     int
	FDLimit int `json:"fd_limit"`
	Sockets map[string]int
	Addrs   []netip.Addr
	Conns   []struct{ State string }
	Err     string
}

func hostSamples(t *testing.T, capture string) (list []hostSample) {
	t.Helper()
	b, err := os.ReadFile(strings.TrimSuffix(capture, ".pcap") + ".host.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var s hostSample
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if s.Type == "sample" {
			list = append(list, s)
		}
	}
	return list
}

// startNode starts a real node, which is stopped when the test ends.
func startNode(t *testing.T, o demo.NodeOptions) *demo.NodeProc {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	node, err := demo.Start(exe, o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Stop() })
	return node
}

// watchTo starts a watch that records to dir.
func watchTo(t *testing.T, dir string, args ...string) (capture string, errs *lockedBuffer, stop func() (records string)) {
	t.Helper()
	ctx, cancel := contextWithCancel(t)
	errs = &lockedBuffer{}
	var out bytes.Buffer
	code := make(chan int, 1)
	capture = filepath.Join(dir, "watched.pcap")
	args = append([]string{"watch", "--metrics", "", "--records", "-", "-w", capture}, args...)
	go func() { code <- run(ctx, args, stdio{strings.NewReader(""), &out, errs}) }()
	errs.await(t, "watching")
	return capture, errs, func() string {
		cancel()
		if c := <-code; c != 0 {
			t.Errorf("exit code %d\n%s", c, errs.String())
		}
		return out.String()
	}
}

// callNode makes one call and tells whether it was answered.
func callNode(addr, body string) bool {
	client := http.Client{Timeout: 5 * time.Second}
	req, err := http.NewRequest("POST", "http://"+addr, strings.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("X-IOTA-API-Version", "1")
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode == http.StatusOK
}

const (
	nodeInfo = `{"command":"getNodeInfo"}`
	stalling = `{"command":"getTransactionsToApprove","depth":3,"reference":"P9KFSJVGSPLXAEBJSHWFZLGP9GGJTIO9YITDEHATDTGAFLPLBZ9FOFWWTKMAZXZHFGQHUOXLXUALY9999"}`
)

// stallAndLeave makes the node keep a connection that its client has given up.
func stallAndLeave(c net.Conn) {
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nX-IOTA-API-Version: 1\r\nContent-Length: %d\r\n\r\n%s", len(stalling), stalling)
	c.(*net.TCPConn).CloseWrite()
}

// until waits for real processes to come to a state.
func until(t *testing.T, what string, log fmt.Stringer, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); <-time.After(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v%s", what, patience, log)
		}
	}
}

// TestWatchFollowsARestart kills the node with calls in flight and starts
// another on its port: the watch says once that it is gone and once that it is
// there, and goes on with the new process.
func TestWatchFollowsARestart(t *testing.T) {
	mayCapture(t)
	if testing.Short() {
		t.Skip("takes 8 s of real time")
	}
	node := startNode(t, demo.NodeOptions{FDLimit: 200})
	addr := node.Addr.String()
	// A connection from before the watch, half closed: only the socket table tells of it.
	old, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	stallAndLeave(old)

	capture, errs, stop := watchTo(t, t.TempDir(), "-i", "lo", "-p", fmt.Sprint(node.Addr.Port()), "--log-format", "json")
	errs.await(t, "in sight")
	for range 6 {
		go callNode(addr, stalling)
	}
	callNode(addr, nodeInfo)
	until(t, "calls in flight", errs, func() bool { return strings.Count(socketsOf(t, node.Addr.Port()), "\n") >= 6 })
	if err := node.Kill(); err != nil {
		t.Fatal(err)
	}
	// Clients go on asking, or nobody could tell from the wire.
	asked := time.Now()
	until(t, "NodeDown", errs, func() bool {
		callNode(addr, nodeInfo)
		return strings.Contains(errs.String(), `"message":"NodeDown"`) && strings.Contains(errs.String(), "cannot be seen")
	})
	for time.Since(asked) < 3*time.Second { // some polls without a node
		callNode(addr, nodeInfo)
		<-time.After(100 * time.Millisecond)
	}
	again := startNode(t, demo.NodeOptions{FDLimit: 300, Listen: node.Addr})
	until(t, "the new process", errs, func() bool {
		callNode(addr, nodeInfo)
		return strings.Contains(errs.String(), fmt.Sprintf(`"pid":%d`, again.PID)) && strings.Contains(errs.String(), `"message":"NodeRestarted"`)
	})
	records := stop()

	checkRestartLog(t, errs.String())
	checkRestartSamples(t, hostSamples(t, capture), node.PID, again.PID)
	told := 0
	for _, a := range alertsOf(t, records) {
		if a.Alert == "NodeRestarted" && a.State == "firing" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("NodeRestarted fired %d times, want once\n%s", told, strings.Join(recordsOf(records, "alert"), "\n"))
	}
}

// socketsOf lists the established sockets of a port's server side.
func socketsOf(t *testing.T, port uint16) string {
	t.Helper()
	out, err := exec.Command("ss", "-Htn", "state", "established", "sport", "=", fmt.Sprint(port)).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func checkRestartLog(t *testing.T, log string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "the node's process") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 3 || !strings.Contains(lines[0], "in sight") || !strings.Contains(lines[1], "cannot be seen") || !strings.Contains(lines[2], "in sight") {
		t.Errorf("want one line when the process is seen, one when it is gone, and one when the next is seen; got %d:\n%s", len(lines), strings.Join(lines, ""))
	}
}

func checkRestartSamples(t *testing.T, list []hostSample, first, second int) {
	t.Helper()
	var order []int
	for i, s := range list {
		if !slices.Contains(order, s.PID) {
			order = append(order, s.PID)
		}
		limit := map[int]int{first: 200, second: 300}[s.PID]
		if s.FDLimit != limit || (s.PID == 0) != (s.Err != "") || s.PID != 0 && s.FDs < 10 {
			t.Errorf("sample %d: pid %d with %d of %d descriptors, err %q; want a limit of %d", i, s.PID, s.FDs, s.FDLimit, s.Err, limit)
		}
	}
	if !slices.Equal(order, []int{first, 0, second}) {
		t.Errorf("pids %v, want %d, none, %d", order, first, second)
	}
	if len(list) == 0 || !slices.ContainsFunc(list[0].Conns, func(c struct{ State string }) bool { return c.State == "close_wait" }) {
		t.Errorf("the first sample has not the connection from before: %+v", list)
	}
}

// inOwnNamespace runs the test once more in a network namespace of its own,
// and reports whether it is that run.
func inOwnNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv("STALLWATCH_CHILD") != "" {
		return true
	}
	cmd := exec.Command("unshare", "-n", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "STALLWATCH_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(string(out), "unshare failed") && os.Getenv("CI") == "" {
		t.Skipf("needs the right to make a network namespace: %s", out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

func shell(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}

// TestWatchSeesAContainer: the node runs as in a container, in network, pid
// and mount namespaces of its own behind a veth pair; the watch runs outside,
// captures on the outer end, and finds process, descriptors and sockets.
func TestWatchSeesAContainer(t *testing.T) {
	if !inOwnNamespace(t) {
		return
	}
	port := fmt.Sprint(":", 20000+rand.N(10000)) // hardly another's: the node is looked for on the whole machine
	node := startNode(t, demo.NodeOptions{Listen: netip.MustParseAddrPort("0.0.0.0" + port), FDLimit: 200,
		Wrap: []string{"unshare", "--net", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child"}})
	pid := onlyChild(t, node.PID)
	inside := fmt.Sprintf("nsenter --net=/proc/%d/ns/net ", pid)
	for _, line := range []string{
		"ip link set lo up", // where the metrics are
		"ip link add near type veth peer name far",
		fmt.Sprintf("ip link set far netns %d", pid),
		"ip addr add 10.98.0.1/24 dev near", "ip link set near up",
		inside + "ip addr add 10.98.0.2/24 dev far", inside + "ip link set far up", inside + "ip link set lo up",
	} {
		shell(t, line)
	}
	capture, errs, stop := watchTo(t, t.TempDir(), "-i", "near", "-p", port[1:], "--log-format", "json", "--metrics", "127.0.0.1:0")
	errs.await(t, "in sight")
	var open []net.Conn
	for range 5 {
		c, err := net.Dial("tcp", "10.98.0.2"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	stallAndLeave(open[0])
	if !callNode("10.98.0.2"+port, nodeInfo) {
		t.Fatal("the node does not answer")
	}
	scraped(t, errs, `stallwatch_close_wait{source="kernel"}`, func(v float64) bool { return v == 1 })
	records := stop()
	list := hostSamples(t, capture)
	s := list[len(list)-1]
	established := s.Sockets["established"]
	if s.PID != pid || s.FDLimit != 200 || s.FDs < 10 || established < 4 || established > 5 || s.Sockets["close_wait"] != 1 || s.Err != "" {
		t.Errorf("sample %+v; want process %d with a limit of 200, 4 connections or 5, and one half closed", s, pid)
	}
	if !slices.Contains(s.Addrs, netip.MustParseAddr("10.98.0.2")) || slices.Contains(s.Addrs, netip.MustParseAddr("10.98.0.1")) {
		t.Errorf("addresses %v, want those of the container", s.Addrs)
	}
	if !strings.Contains(records, `"command":"getNodeInfo"`) || !strings.Contains(records, `"fd_limit":200`) {
		t.Errorf("records without the call or the node's descriptors:\n%s", records)
	}
}

// onlyChild returns the process that unshare started.
func onlyChild(t *testing.T, parent int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
