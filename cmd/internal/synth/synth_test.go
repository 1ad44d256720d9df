package synth

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func short(p Profile, n int) Profile { p.Packets = n; return p }

func TestSameSeedSameBytes(t *testing.T) {
	for _, p := range append([]Profile{Hostile}, Profiles...) {
		p = short(p, 5000)
		var a, b, c bytes.Buffer
		for _, w := range []struct {
			w    *bytes.Buffer
			seed uint64
		}{{&a, 1}, {&b, 1}, {&c, 2}} {
			if err := WritePcap(w.w, New(p, w.seed)); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s: the same seed gave other bytes", p.Name)
		}
		if bytes.Equal(a.Bytes(), c.Bytes()) {
			t.Errorf("%s: another seed gave the same bytes", p.Name)
		}
	}
}

// TestTsharkAgrees has tshark read a clean profile: no malformed packet, no
// bad checksum, and a response to every request but the last ones.
func TestTsharkAgrees(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Fatal("tshark is missing: apt-get install tshark")
	}
	p := short(Mixed, 4000)
	p.Retransmit, p.Reorder = 0, 0
	file := filepath.Join(t.TempDir(), "mixed.pcap")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := WritePcap(f, New(p, 7)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	count := func(filter string) int {
		out, err := exec.Command("tshark", "-r", file, "-d", "tcp.port==14265,http",
			"-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", filter, "-T", "fields", "-e", "frame.number").Output()
		if err != nil {
			t.Fatal(err)
		}
		return len(strings.Fields(string(out)))
	}
	if n := count("_ws.malformed or tcp.checksum.status == 0 or ip.checksum.status == 0 or tcp.analysis.lost_segment"); n != 0 {
		t.Errorf("tshark finds fault with %d packets", n)
	}
	requests, responses := count("http.request"), count("http.response")
	if requests < 50 || requests-responses > p.Conns {
		t.Errorf("%d requests, %d responses", requests, responses)
	}
}
