package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mutation damages a capture; off lists where its records begin.
type mutation struct {
	name string
	do   func(b []byte, off []int, rnd *rand.Rand) []byte
}

var mutations = []mutation{
	{"bytes flipped anywhere", func(b []byte, _ []int, rnd *rand.Rand) []byte {
		for range 1 + len(b)/5000 {
			b[24+rnd.IntN(len(b)-24)] ^= byte(1 + rnd.IntN(255))
		}
		return b
	}},
	{"bytes flipped in packets", func(b []byte, off []int, rnd *rand.Rand) []byte {
		for range len(off) / 10 {
			o := off[rnd.IntN(len(off))]
			n := int(binary.LittleEndian.Uint32(b[o+8:]))
			b[o+16+rnd.IntN(n)] ^= byte(1 + rnd.IntN(255))
		}
		return b
	}},
	{"cut", func(b []byte, _ []int, rnd *rand.Rand) []byte { return b[:1+rnd.IntN(len(b)-1)] }},
	{"times backwards", func(b []byte, off []int, rnd *rand.Rand) []byte {
		for i, o := range off {
			binary.LittleEndian.PutUint32(b[o:], uint32(1_700_000_000-i*rnd.IntN(100)))
		}
		return b
	}},
	{"times anywhere", func(b []byte, off []int, rnd *rand.Rand) []byte {
		for _, o := range off {
			if rnd.IntN(20) == 0 {
				binary.LittleEndian.PutUint32(b[o:], rnd.Uint32())
				binary.LittleEndian.PutUint32(b[o+4:], rnd.Uint32())
			}
		}
		return b
	}},
	{"lengths wrong", func(b []byte, off []int, rnd *rand.Rand) []byte {
		o := off[rnd.IntN(len(off))]
		binary.LittleEndian.PutUint32(b[o+8:], rnd.Uint32()>>rnd.IntN(32))
		return b
	}},
	{"IP and TCP lengths wrong", func(b []byte, off []int, rnd *rand.Rand) []byte {
		for range len(off) / 5 {
			o := off[rnd.IntN(len(off))]
			if n := int(binary.LittleEndian.Uint32(b[o+8:])); n > 54 {
				b[o+16+14+[]int{0, 2, 3, 6, 7, 9, 32}[rnd.IntN(7)]] = byte(rnd.Uint32())
			}
		}
		return b
	}},
	{"packets shuffled", func(b []byte, off []int, rnd *rand.Rand) []byte {
		out := append([]byte(nil), b[:24]...)
		ends := append(off[1:len(off):len(off)], len(b))
		for _, i := range rnd.Perm(len(off)) {
			out = append(out, b[off[i]:ends[i]]...)
		}
		return out
	}},
	{"garbage after the header", func(b []byte, _ []int, rnd *rand.Rand) []byte {
		for i := 24; i < len(b); i++ {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}},
	{"ports and sequence numbers at random", func(b []byte, off []int, rnd *rand.Rand) []byte {
		for _, o := range off {
			if n := int(binary.LittleEndian.Uint32(b[o+8:])); n > 54 && rnd.IntN(8) == 0 {
				b[o+16+34+rnd.IntN(14)] = byte(rnd.Uint32())
			}
		}
		return b
	}},
}

func recordOffsets(b []byte) []int {
	var off []int
	for o := 24; o+16 <= len(b); o += 16 + int(binary.LittleEndian.Uint32(b[o+8:])) {
		off = append(off, o)
	}
	return off
}

// TestMutatedCaptures damages a real capture in every way: the program ends,
// by itself and in order, its records are whole, and the summary says
// where a file broke. (That every frame is counted is tested in decode.)
func TestMutatedCaptures(t *testing.T) {
	whole, err := os.ReadFile(unpacked(t, "iri2018_monitor"))
	if err != nil {
		t.Fatal(err)
	}
	off := recordOffsets(whole)
	dir := t.TempDir()
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3) {
				b := m.do(append([]byte(nil), whole...), append([]int(nil), off...), rand.New(rand.NewPCG(seed, 77)))
				path := filepath.Join(dir, fmt.Sprintf("%s %d.pcap", m.name, seed))
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				code, out, errs := stallwatch(t, "replay", "--json", path)
				os.Remove(path)
				checkAccount(t, seed, code, out, errs)
			}
		})
	}
}

func checkAccount(t *testing.T, seed uint64, code int, out, errs string) {
	t.Helper()
	if code != 0 && code != 1 || (code == 1) != (errs != "") {
		t.Fatalf("seed %d: exit code %d, %q", seed, code, errs)
	}
	if out == "" {
		return // not even a header was left
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Fatalf("seed %d: no JSON: %q", seed, l)
		}
	}
	var sum struct {
		Type    string
		Broken  []string
		Packets uint64
	}
	json.Unmarshal([]byte(lines[len(lines)-1]), &sum)
	if sum.Type != "summary" || (code == 1) != (len(sum.Broken) > 0) {
		t.Fatalf("seed %d: exit code %d, summary %+v", seed, code, sum)
	}
}
