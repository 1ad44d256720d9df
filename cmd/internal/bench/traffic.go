package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"stallwatch/capture"
	"stallwatch/cmd/internal/synth"
)

// file returns the path of the capture name, which a process of its own makes
// unless it is there.
func (o *options) file(name string) (string, error) {
	path := filepath.Join(o.dir, name+".pcap")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	fmt.Fprintf(os.Stderr, "bench: making %s\n", path)
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(self, "-make", name, "-dir", o.dir)
	cmd.Stderr = os.Stderr
	return path, cmd.Run()
}

// traffic makes the source that a file's name says: kind-number.
func traffic(name string) (capture.Source, error) {
	kind, number, _ := strings.Cut(name, "-")
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil, fmt.Errorf("%s: want kind-number", name)
	}
	for _, p := range synth.Profiles {
		if p.Name == kind {
			p.Packets = n
			return synth.New(p, 1), nil
		}
	}
	honest := synth.Small
	honest.Packets = n
	switch kind {
	case "idle":
		return synth.Idle(n), nil
	case "unanswered":
		return synth.Stalled(n), nil
	case "syn":
		return synth.SynFlood(n), nil
	case "holes":
		return synth.OutOfOrder(n/100, 97), nil
	case "stalled":
		return &synth.Chain{synth.Stalled(10_000), synth.New(honest, 1)}, nil
	}
	return nil, fmt.Errorf("%s: no such traffic", name)
}

// makeFile writes the capture name into dir, whole or not at all.
func makeFile(dir, name string) error {
	src, err := traffic(name)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name+".pcap")
	f, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := synth.WritePcap(w, src); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// profile makes the capture of a profile and returns how many packets it has.
func (o *options) profile(p synth.Profile) (path string, packets int, err error) {
	packets = o.scale(p.Packets)
	if path, err = o.file(fmt.Sprintf("%s-%d", p.Name, packets)); err != nil {
		return "", 0, err
	}
	path, err = filepath.Abs(path)
	return path, packets, err
}

// scale is n, or a tenth of it when in a hurry.
func (o *options) scale(n int) int {
	if o.quick {
		return n / 10
	}
	return n
}
