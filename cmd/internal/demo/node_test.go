package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// startNode runs a node in this process until the test ends.
func startNode(t *testing.T, o NodeOptions) netip.AddrPort {
	t.Helper()
	o.Dir = t.TempDir()
	n, err := NewNode(o, func(Note) {}, log.New(io.Discard, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("node ended with %v", err)
		}
	})
	return n.Addr()
}

func dial(t *testing.T, addr netip.AddrPort) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func post(body string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: n\r\nX-IOTA-API-Version: 1\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func TestAnswers(t *testing.T) {
	addr := startNode(t, NodeOptions{})
	for _, tt := range []struct {
		name, request string
		status        int
		want          string // in the body
	}{
		{"getNodeInfo", post(`{"command":"getNodeInfo"}`), 200, `"appName":"IRI"`},
		{"no version header", "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 400, "Invalid API Version"},
		{"no command", post(`{}`), 400, "COMMAND parameter has not been specified"},
		{"not JSON", post(`{`), 400, "Invalid JSON syntax"},
		{"wrong type", post(`{"command":7}`), 500, `"exception"`},
		{"unknown", post(`{"command":"frobnicate"}`), 400, "Command [frobnicate] is unknown"},
		{"limited", post(`{"command":"addNeighbors","uris":[]}`), 401, "COMMAND addNeighbors is not available on this node"},
		{"too long", post(`{"command":"` + strings.Repeat("x", maxBodyLength) + `"}`), 400, "Request too long"},
		{"preflight", "OPTIONS / HTTP/1.1\r\n\r\n", 200, ""},
		{"chunked with a trailer", "POST / HTTP/1.1\r\nX-IOTA-API-Version: 1\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"9\r\n{\"command\r\nf;ext=1\r\n\":\"getNodeInfo\"\r\n1\r\n}\r\n0\r\nX-T: 1\r\n\r\n", 200, "latestMilestone"},
		{"HTTP/1.0", "POST / HTTP/1.0\r\nX-IOTA-API-Version: 1\r\nContent-Length: 25\r\n\r\n{\"command\":\"getNodeInfo\"}", 200, "IRI"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, br := dial(t, addr)
			if _, err := io.WriteString(c, tt.request); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatalf("request %.80q: %v", tt.request, err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status || !strings.Contains(string(body), tt.want) {
				t.Errorf("request %.80q: got %d %.200q, want %d with %q", tt.request, resp.StatusCode, body, tt.status, tt.want)
			}
			var answer struct{ Duration *int64 }
			if len(body) > 0 && (json.Unmarshal(body, &answer) != nil || answer.Duration == nil) {
				t.Errorf("answer %.200q has no duration", body)
			}
		})
	}
}

// TestContinue: the interim response comes before the body is sent.
func TestContinue(t *testing.T) {
	c, br := dial(t, startNode(t, NodeOptions{}))
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nX-IOTA-API-Version: 1\r\nExpect: 100-continue\r\nContent-Length: 25\r\n\r\n")
	if line, err := br.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v; want 100 Continue", line, err)
	}
	if line, err := br.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("got %q, %v; want the end of the interim response", line, err)
	}
	io.WriteString(c, `{"command":"getNodeInfo"}`)
	if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("got %v, %v; want 200", resp, err)
	}
}

// TestKeepAlive pipelines two requests on one connection.
func TestKeepAlive(t *testing.T) {
	c, br := dial(t, startNode(t, NodeOptions{}))
	io.WriteString(c, post(`{"command":"getNodeInfo"}`)+post(`{"command":"getTips"}`))
	for i, want := range []string{"appName", "hashes"} {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), want) {
			t.Errorf("answer %d: %.100q, %v; want %q", i, body, err, want)
		}
	}
}

// TestFlaws shows what a stalled call does to the others: with the monitor it
// blocks its lock group and nothing else; once the pool is full, everything.
func TestFlaws(t *testing.T) {
	stall := post(`{"command":"getTransactionsToApprove","depth":15,"reference":"` + Reference + `"}`)
	for _, tt := range []struct {
		name    string
		o       NodeOptions
		stalls  int
		command string
		answers bool
	}{
		{"no monitor, pool not full", NodeOptions{Workers: 3}, 2, "findTransactions", true},
		{"monitor blocks its group", NodeOptions{Workers: 4, Monitor: true}, 1, "findTransactions", false},
		{"monitor spares the others", NodeOptions{Workers: 4, Monitor: true}, 1, "getNodeInfo", true},
		{"pool full", NodeOptions{Workers: 2}, 2, "getNodeInfo", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := startNode(t, tt.o)
			for range tt.stalls {
				c, br := dial(t, addr)
				// The interim response proves that a worker has the call.
				head, body, _ := strings.Cut(stall, "\r\n\r\n")
				io.WriteString(c, head+"\r\nExpect: 100-continue\r\n\r\n")
				if _, err := br.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				io.WriteString(c, body)
				// Once the client is gone the node must not notice.
				c.(*net.TCPConn).CloseWrite()
			}
			patience := 20 * time.Second
			if !tt.answers {
				patience = 300 * time.Millisecond
			}
			l := link{target: addr}
			defer l.close()
			want := map[bool]Outcome{true: Answered, false: TimedOut}[tt.answers]
			got := l.do(t.Context(), tt.command, `{"command":"`+tt.command+`"}`, patience, false)
			// A call may still overtake the stalled one on its way from the
			// socket to the monitor.
			for try := 0; got.Outcome != want && !tt.answers && try < 20; try++ {
				got = l.do(t.Context(), tt.command, `{"command":"`+tt.command+`"}`, patience, false)
			}
			if got.Outcome != want {
				t.Errorf("%s while %d calls stall: %+v, want %v", tt.command, tt.stalls, got, want)
			}
		})
	}
}

// TestBadRequests: nothing a client sends keeps the node from answering the
// next one.
func TestBadRequests(t *testing.T) {
	addr := startNode(t, NodeOptions{})
	for _, request := range []string{
		"\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
		"GET / HTTP/1.1\r\nA: " + strings.Repeat("x", maxHead) + "\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		c, br := dial(t, addr)
		io.WriteString(c, request) // the node may close before all is written
		if b, err := br.ReadByte(); err == nil {
			t.Errorf("request %.60q: the node answers (%q...), want the connection closed", request, b)
		}
	}
	c, br := dial(t, addr)
	io.WriteString(c, post(`{"command":"getNodeInfo"}`))
	if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("after bad requests: %v, %v; want 200", resp, err)
	}
}

// TestOptions: what a node is told is what its process understands.
func TestOptions(t *testing.T) {
	want := NodeOptions{
		Compute: map[string]Span{"attachToTangle": {5 * time.Second, 9 * time.Second}, "getTips": {0, time.Millisecond}},
		Limited: []string{"attachToTangle", "getNeighbors"}, Monitor: true, Workers: 3, FDLimit: 99, Dir: "d",
	}.withDefaults()
	got, err := parseNode(nodeArgs(want)[1:], io.Discard)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v (%v)\nwant %+v", got, err, want)
	}
	for _, bad := range []string{"getTips", "getTips=1s", "getTips=2s-1s", "getTips=-2s--1s", "getTips=x-y"} {
		if _, err := parseNode([]string{"-compute", bad}, io.Discard); err == nil {
			t.Errorf("-compute %s was accepted", bad)
		}
	}
}

// TestAdmin: a node whose operator left a door open answers there, and only
// there; a list over MAX_REQUESTS_LIST is refused.
func TestAdmin(t *testing.T) {
	addr := startNode(t, NodeOptions{Limited: []string{"removeNeighbors", "attachToTangle"}})
	for body, want := range map[string]Outcome{
		`{"command":"addNeighbors","uris":["udp://192.0.2.1:14600"]}`:                     Answered,
		`{"command":"setApiRateLimit","limit":1}`:                                         Answered,
		`{"command":"getNeighbors"}`:                                                      Answered,
		`{"command":"removeNeighbors","uris":[]}`:                                         Erred,
		`{"command":"attachToTangle"}`:                                                    Erred,
		`{"command":"getBalances","addresses":["A"` + strings.Repeat(`,"A"`, 999) + `]}`:  Answered,
		`{"command":"getBalances","addresses":["A"` + strings.Repeat(`,"A"`, 1000) + `]}`: Erred,
	} {
		l := link{target: addr}
		if got := l.do(t.Context(), "", body, 20*time.Second, false); got.Outcome != want {
			t.Errorf("%.60s: %+v, want %v", body, got, want)
		}
	}
}

func TestReferenceIsAHash(t *testing.T) {
	if len(Reference) != 81 || strings.Trim(Reference, "9ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		t.Errorf("reference %q (%d characters) is not a hash of 81 trytes", Reference, len(Reference))
	}
}
