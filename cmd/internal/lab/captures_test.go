package lab

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

const captures = "../../../testdata/captures"

// maxCommitted bounds a committed capture, maxTogether all of them: a clone
// should not take long because of them.
const (
	maxCommitted = 400_000
	maxTogether  = 7_500_000
)

// TestCommitted checks that each scenario's files are there, whole, and told
// of, so that a capture cannot be committed without its truth.
func TestCommitted(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(captures, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			if !strings.Contains(string(readme), "`"+s.Name+"`") {
				t.Errorf("README.md does not tell of it")
			}
			base := filepath.Join(captures, s.Name)
			first, last := packets(t, base+".pcap.zst")
			events(t, base+".events.json", s, first, last)
			truths(t, base+".truth.jsonl", first, last)
			if info, err := os.Stat(base + ".pcap.zst"); err == nil {
				total += info.Size()
			}
		})
	}
	if total > maxTogether {
		t.Errorf("all captures together have %d bytes, want at most %d", total, maxTogether)
	}
}

// packets walks a nanosecond pcap to its end and returns its first and last
// instant.
func packets(t *testing.T, path string) (first, last time.Time) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > maxCommitted {
		t.Errorf("%s has %d bytes (%v), want at most %d", path, info.Size(), err, maxCommitted)
	}
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	r := bufio.NewReader(z)
	head := make([]byte, 24)
	if _, err := io.ReadFull(r, head); err != nil || binary.LittleEndian.Uint32(head) != 0xa1b23c4d {
		t.Fatalf("%s starts with %x (%v), want a pcap with nanoseconds", path, head, err)
	}
	n := 0
	for {
		if got, err := io.ReadFull(r, head[:16]); err != nil {
			if got != 0 || n == 0 {
				t.Errorf("%s ends after %d packets with %d bytes over", path, n, got)
			}
			return first, last
		}
		last = time.Unix(int64(binary.LittleEndian.Uint32(head)), int64(binary.LittleEndian.Uint32(head[4:])))
		if n++; n == 1 {
			first = last
		}
		if _, err := r.Discard(int(binary.LittleEndian.Uint32(head[8:]))); err != nil {
			t.Fatalf("%s: packet %d is cut: %v", path, n, err)
		}
	}
}

// events checks what is said to have happened against the packets' times.
func events(t *testing.T, path string, s Scenario, first, last time.Time) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var e Events
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if e.Scenario != s.Name || strings.Contains(e.Packets, " 0 packets dropped by kernel") == (s.Name == "lossy") {
		t.Errorf("%s: scenario %q, tcpdump said %q; want %q and no drops, or drops in lossy", path, e.Scenario, e.Packets, s.Name)
	}
	if e.Play == nil {
		return
	}
	// A balancer's checks may come before the first wallet.
	if e.Play.Start.After(first.Add(time.Second)) || e.Play.End.Before(last.Add(-2*time.Second)) {
		t.Errorf("%s: play from %v to %v, packets from %v to %v", path, e.Play.Start, e.Play.End, first, last)
	}
	if f := e.Play.FirstFailure; f != nil && !e.Play.AttackStart.IsZero() && f.End.Before(e.Play.AttackStart) {
		t.Errorf("%s: an honest call failed at %v, before the attack at %v", path, f.End, e.Play.AttackStart)
	}
}

// truths checks that the kernel was asked during the whole capture.
func truths(t *testing.T, path string, first, last time.Time) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var at []time.Time
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var tr Truth
		if err := json.Unmarshal(lines.Bytes(), &tr); err != nil {
			t.Fatalf("%s: line %q: %v", path, lines.Text(), err)
		}
		at = append(at, tr.Time)
	}
	if len(at) == 0 || at[0].After(first.Add(time.Second)) || at[len(at)-1].Before(last.Add(-2*time.Second)) {
		t.Errorf("%s: %d truths do not span the packets from %v to %v", path, len(at), first, last)
	}
}
