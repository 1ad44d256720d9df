package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestTsharkAgrees reads every real capture with tshark and holds the
// exchanges to it: the same requests, in the same order on each connection,
// each with the same answer.
func TestTsharkAgrees(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Fatal("tshark is missing: make test installs it")
	}
	for _, name := range captureNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := unpacked(t, name)
			for _, port := range []string{"14265", "14267"} {
				want := tsharkMessages(t, file, port, wholeBodies[name] != "")
				got := stallwatchMessages(t, file, port)
				compare(t, port, got, want)
			}
		})
	}
}

func unpacked(t *testing.T, name string) string {
	t.Helper()
	in, err := os.ReadFile(filepath.Join(capturesDir, name+".pcap.zst"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out, err := d.DecodeAll(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, t.TempDir(), name+".pcap", out)
}

func compare(t *testing.T, port string, got, want map[string][]string) {
	t.Helper()
	n, wrong := 0, 0
	for client, w := range want {
		g := got[client]
		n += len(w)
		for i := range max(len(w), len(g)) {
			a, b := "nothing", "nothing"
			if i < len(g) {
				a = g[i]
			}
			if i < len(w) {
				b = w[i]
			}
			if a != b {
				if wrong++; wrong < 10 {
					t.Errorf("port %s, client %s, exchange %d:\nstallwatch %s\ntshark     %s", port, client, i+1, a, b)
				}
			}
		}
	}
	for client, g := range got {
		if _, known := want[client]; !known {
			t.Errorf("port %s: tshark sees nothing of client %s, stallwatch %q", port, client, g)
		}
	}
	t.Logf("port %s: %d exchanges on %d connections, %d differ", port, n, len(want), wrong)
}

// wholeBodies are the captures for which tshark has to put contents together,
// and why. Elsewhere an exchange counts from its head on, as with stallwatch.
var wholeBodies = map[string]string{
	"proxy_leaks": "the proxy writes head and content apart: without the content tshark 4.0 takes the next head of the connection for more of it",
}

// tsharkMessages lists the exchanges of a port by client address.
func tsharkMessages(t *testing.T, file, port string, whole bool) map[string][]string {
	t.Helper()
	out, err := exec.Command("tshark", "-r", file, "-d", "tcp.port=="+port+",http", "-o", "http.decompress_body:FALSE",
		"-o", "http.desegment_body:"+strings.ToUpper(strconv.FormatBool(whole)),
		"-Y", "http.request or http.response or tcp.flags.syn == 1 or tcp.flags.fin == 1", "-T", "json", "-J", "frame ip ipv6 tcp http", "-e", "frame.number", "-e", "ip.src", "-e", "ip.dst", "-e", "ipv6.src", "-e", "ipv6.dst",
		"-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "tcp.flags.fin", "-e", "tcp.flags.syn",
		"-e", "http.request.method", "-e", "http.request.uri", "-e", "http.request.version", "-e", "http.response.code", "-e", "http.content_length").Output()
	if err != nil {
		t.Fatal(err)
	}
	var frames []struct {
		Source struct {
			Layers map[string][]string `json:"layers"`
		} `json:"_source"`
	}
	if err := json.Unmarshal(out, &frames); err != nil {
		t.Fatal(err)
	}
	requests, answers := map[string][]string{}, map[string][]string{}
	closed := map[string]bool{} // clients to whom the server has sent a FIN
	for _, f := range frames {
		l := f.Source.Layers
		one := func(k string) string { return strings.Join(l[k], "") }
		switch port {
		case one("tcp.dstport"):
			client := endpoint(one("ip.src")+one("ipv6.src"), one("tcp.srcport"))
			if set(one("tcp.flags.syn")) {
				delete(closed, client)
			}
			for i, m := range l["http.request.method"] {
				// What comes after the server's FIN no process reads: its kernel
				// answers with a RST. A version that is not 1 is an oddity.
				if closed[client] || !strings.HasPrefix(l["http.request.version"][i], "HTTP/1.") {
					continue
				}
				requests[client] = append(requests[client], m+" "+l["http.request.uri"][i])
			}
		case one("tcp.srcport"):
			client := endpoint(one("ip.dst")+one("ipv6.dst"), one("tcp.dstport"))
			if set(one("tcp.flags.fin")) {
				closed[client] = true
			}
			for _, code := range l["http.response.code"] {
				if !strings.HasPrefix(code, "1") { // 100 Continue is no answer
					answers[client] = append(answers[client], code)
				}
			}
		}
	}
	return paired(requests, answers)
}

// endpoint writes an address and a port as records do.
func endpoint(addr, port string) string {
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	return addr + ":" + port
}

// set reads a flag as one version of tshark or another prints it.
func set(flag string) bool { return flag == "1" || flag == "True" }

func paired(requests, answers map[string][]string) map[string][]string {
	list := map[string][]string{}
	for client, rs := range requests {
		for i, r := range rs {
			status := "-"
			if i < len(answers[client]) {
				status = answers[client][i]
			}
			list[client] = append(list[client], r+" -> "+status)
		}
	}
	return list
}

// stallwatchMessages lists the same from the records: exchanges, and calls
// that are pending at the capture's end.
func stallwatchMessages(t *testing.T, file, port string) map[string][]string {
	t.Helper()
	_, out, _ := stallwatch(t, "replay", "--json", "--redact", "off", "-p", port, file)
	type place struct { // conn grows with time, so places sort as the client's requests did
		conn  string
		depth int
	}
	byPlace := map[string]map[place]string{}
	for line := range strings.Lines(out) {
		var r struct {
			Type, Conn, Client, Method, Target string
			Depth, Status                      int
			Final                              bool
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Type != "exchange" && !(r.Type == "pending" && r.Final) || r.Method == "" {
			continue
		}
		status := "-"
		if r.Status != 0 {
			status = strconv.Itoa(r.Status)
		}
		if byPlace[r.Client] == nil {
			byPlace[r.Client] = map[place]string{}
		}
		byPlace[r.Client][place{r.Conn, r.Depth}] = fmt.Sprintf("%s %s -> %s", r.Method, r.Target, status)
	}
	list := map[string][]string{}
	for client, m := range byPlace {
		places := slices.SortedFunc(maps.Keys(m), func(a, b place) int {
			return cmp.Or(cmp.Compare(a.conn, b.conn), cmp.Compare(a.depth, b.depth))
		})
		for _, p := range places {
			list[client] = append(list[client], m[p])
		}
	}
	return list
}
