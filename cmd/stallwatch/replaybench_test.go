package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"stallwatch/cmd/internal/synth"
)

// BenchmarkReplay runs the whole command over a file of each profile. The
// processor profile of it is default.pgo, by which the compiler lays the
// program out: make pgo measures it anew.
func BenchmarkReplay(b *testing.B) {
	for _, profile := range synth.Profiles {
		b.Run(profile.Name, func(b *testing.B) {
			profile.Packets /= 5
			path := filepath.Join(b.TempDir(), profile.Name+".pcap")
			b.SetBytes(writeSynth(b, path, profile))
			args := []string{"replay", "-p", fmt.Sprint(synth.ServerPort), path}
			b.ReportAllocs()
			for b.Loop() {
				if code := run(b.Context(), args, stdio{nil, io.Discard, io.Discard}); code != exitOK {
					b.Fatalf("exit code %d", code)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*profile.Packets), "ns/packet")
		})
	}
}

// writeSynth writes a profile's traffic to path and returns its size.
func writeSynth(b *testing.B, path string, profile synth.Profile) int64 {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := synth.WritePcap(w, synth.New(profile, 1)); err != nil {
		b.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return st.Size()
}
