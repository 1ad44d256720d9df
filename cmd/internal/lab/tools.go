package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stallwatch/cmd/internal/demo"
)

const (
	nodeURL  = "http://127.0.0.1:14265/"
	proxyURL = "http://127.0.0.1:14267/"
	version  = "X-IOTA-API-Version: 1"
	info     = `{"command":"getNodeInfo"}`
)

// curls are the calls of curl_mix, in order.
func curls(temp string) [][]string {
	post := []string{"-H", version, "-d"}
	big := "@" + filepath.Join(temp, "big.json")
	return [][]string{
		{nodeURL},       // GET without the header: 400
		{"-I", nodeURL}, // HEAD
		{"-X", "OPTIONS", nodeURL},
		append(post, info, nodeURL),
		append(post, info, nodeURL, nodeURL, nodeURL), // three calls on one connection
		{"--http1.0", "-H", version, "-d", info, nodeURL},
		{"-H", version, "-H", "Connection: close", "-d", info, nodeURL},
		{"-H", version, "-H", "Transfer-Encoding: chunked", "-d", info, nodeURL},
		{"-H", version, "-H", "Expect: 100-continue", "-d", info, nodeURL},
		{"-H", version, "--data-binary", big, nodeURL}, // more than 1 MB: Expect by curl itself, refused
		{"-H", version, "-H", "Transfer-Encoding: chunked", "--data-binary", big, nodeURL},
		append(post, `{"command":"frobnicate"}`, nodeURL),             // 400
		append(post, `{"command":"addNeighbors","uris":[]}`, nodeURL), // 401
		append(post, `{"command":7}`, nodeURL),                        // 500
		append(post, `{`, nodeURL),                                    // 400
		append(post, `{"depth":4,"command":"getTransactionsToApprove"}`, nodeURL),
		{"--compressed", "-H", version, "-d", `{"command":"getTips"}`, nodeURL},  // not compressed: IRI has no gzip
		{"--compressed", "-H", version, "-d", `{"command":"getTips"}`, proxyURL}, // gzip, chunked, by nginx
		append(post, `{"command":"getTips"}`, proxyURL, proxyURL),
		{"--limit-rate", "20k", "-H", version, "-d", `{"command":"getTrytes","hashes":[` + strings.Repeat(`"A",`, 39) + `"A"]}`, nodeURL},
		{"-m", "1", "-H", version, "-d", `{"command":"getTransactionsToApprove","reference":"` + demo.Reference + `"}`, nodeURL}, // gives up
	}
}

func playCurl(ctx context.Context, st *Stage) error {
	if err := st.Capture("lo", bothLegs); err != nil {
		return err
	}
	p, err := st.Node(demo.NodeOptions{Listen: nodeAddr})
	if err != nil {
		return err
	}
	proxy, err := nginx(st, nginxConf)
	if err != nil {
		return err
	}
	if err := st.Truth(Target{PID: p.PID, Port: nodePort}, proxy); err != nil {
		return err
	}
	// JSON that compresses well: the capture is committed.
	if _, err := st.write("big.json", `{"command":"storeTransactions","trytes":["`+strings.Repeat("9", 1<<20)+`"]}`); err != nil {
		return err
	}
	for _, args := range curls(st.Temp) {
		if err := st.Tool(ctx, append([]string{"curl", "-s", "-S", "-o", "/dev/null"}, args...)...); err != nil {
			return err
		}
	}
	for _, command := range []string{"getNodeInfo", "getTransactionsToApprove"} {
		if err := halfClose(nodeAddr, `{"command":"`+command+`"}`); err != nil {
			return err
		}
	}
	time.Sleep(time.Second) // a truth or two after the last close
	return nil
}

// halfClose sends a request, shuts its side down and reads the answer to its
// end: a legal client that puts the server's socket in CLOSE_WAIT meanwhile.
func halfClose(addr netip.AddrPort, body string) error {
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: %d\r\n\r\n%s", addr, version, len(body), body)
	if err := errors.Join(err, c.CloseWrite(), c.SetReadDeadline(time.Now().Add(5*time.Second))); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err == nil && !strings.Contains(string(answer), "200 OK") {
		err = fmt.Errorf("half-closed client was answered %.80q", answer)
	}
	return err
}

// wrkScript posts a call; depth of them at once when depth is more than 1.
const wrkScript = `wrk.method = "POST"
wrk.body = '{"command":"wereAddressesSpentFrom","addresses":["A"]}'
wrk.headers["X-IOTA-API-Version"] = "1"
init = function(args)
	local all = {}
	for i = 1, %d do all[i] = wrk.format() end
	request = function() return req end
	req = table.concat(all)
end
`

func playWrk(ctx context.Context, st *Stage) error {
	if _, err := onLoopback(st, demo.NodeOptions{}); err != nil {
		return err
	}
	for _, depth := range []int{1, 4} {
		path, err := st.write(fmt.Sprintf("wrk%d.lua", depth), fmt.Sprintf(wrkScript, depth))
		if err != nil {
			return err
		}
		if err := st.Tool(ctx, "wrk", "-t", "1", "-c", "6", "-d", "1s", "-s", path, nodeURL); err != nil {
			return err
		}
	}
	return nil
}

func playSlowHeaders(ctx context.Context, st *Stage) error {
	return playSlow(ctx, st, "-H", "-t", "POST")
}

func playSlowBody(ctx context.Context, st *Stage) error {
	return playSlow(ctx, st, "-B", "-s", "8192", "-f", "application/json")
}

// slowFlags are 30 connections, 15 a second, for 40 s: longer than the 30 s
// that a detector gives a request.
var slowFlags = []string{"-c", "30", "-r", "15", "-i", "5", "-l", "40", "-x", "8", "-p", "3"}

// playSlow has slowhttptest beside honest clients.
func playSlow(ctx context.Context, st *Stage, mode ...string) error {
	// With 128 descriptors the queue behind the slow ones would kill the node
	// before their 30 s are over.
	p, err := onLoopback(st, demo.NodeOptions{FDLimit: 512})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		time.Sleep(3 * time.Second)
		done <- st.Tool(ctx, append(append([]string{"slowhttptest", "-u", nodeURL}, slowFlags...), mode...)...)
	}()
	s := demo.DefaultScenario()
	s.Attack.Rate, s.Clients.Rate, s.Clients.Keep, s.Length = 0, 2, 2, 48*time.Second
	return errors.Join(st.Play(ctx, p, s), <-done)
}

// staticConf serves a file on the node's port.
const staticConf = `
	server { listen 127.0.0.1:14265 sndbuf=16k; root %[1]s/www; }
`

func playSlowRead(ctx context.Context, st *Stage) error {
	if err := st.Capture("lo", "tcp port 14265"); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(st.Temp, "www"), 0o755); err != nil {
		return err
	}
	if _, err := st.write("www/big.json", strings.Repeat("9", 1<<20)); err != nil {
		return err
	}
	if err := os.Chmod(st.Temp, 0o755); err != nil { // nginx's worker must reach the file
		return err
	}
	cmd, err := st.nginx(nodeAddr, staticConf)
	if err != nil {
		return err
	}
	if err := st.Truth(Target{PID: worker(cmd), Port: nodePort}); err != nil {
		return err
	}
	return st.Tool(ctx, append([]string{"slowhttptest", "-X", "-u", nodeURL + "big.json", "-w", "512", "-y", "1024", "-n", "5", "-z", "32"}, slowFlags...)...)
}
