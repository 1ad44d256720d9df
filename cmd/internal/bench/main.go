// Command bench measures whole programs on the same captures: stallwatch and
// the tools of its kind that are installed, in turn, so that a busy machine
// slows all of them. What counts are the ratios within one turn.
//
//	make bench            # all of it, some minutes
//	make bench QUICK=1    # a tenth of the traffic, one minute
//	make bench-live       # what a capture loses, and what a watched node feels; root
//
// The traffic is synthetic and the same everywhere (package synth). It is kept
// in the directory of -dir, to be made once: 4 GB, with the large file 6 GB.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type options struct {
	bin, dir string
	turns    int
	quick    bool
	parts    string
	seconds  float64 // a peer that took longer than this runs no second time

	quiet             time.Duration // how long a run of live and latency waits for an idle machine
	iface, from, peer string        // of the part live: captured on, its other end's namespace and name
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin/stallwatch", "the program to measure")
	flag.StringVar(&o.dir, "dir", "testdata/big", "where the traffic is kept")
	flag.IntVar(&o.turns, "turns", 9, "runs of each program")
	flag.BoolVar(&o.quick, "quick", false, "a tenth of the traffic, and fewer runs")
	flag.StringVar(&o.parts, "parts", "speed,cores,memory,attack", "what to measure")
	flag.Float64Var(&o.seconds, "patience", 5, "seconds after which a peer is not run again")
	flag.DurationVar(&o.quiet, "quiet", 20*time.Second, "how long a run of the parts live and latency waits for an idle machine, and is repeated")
	flag.StringVar(&o.iface, "iface", "", "for the part live: the interface to capture on")
	flag.StringVar(&o.from, "from", "", "for the part live: the network namespace of its other end")
	flag.StringVar(&o.peer, "peer", "", "for the part live: the name of its other end")
	name := flag.String("make", "", "only make this file of traffic")
	send := flag.String("send", "", "only send the packets of the file named, on this interface")
	rate := flag.Int("rate", 100_000, "packets a second of -send")
	packets := flag.Int("packets", 100_000, "packets of -send")
	list := flag.String("rates", "", "for the part live: packets a second, with commas")
	flag.Parse()
	switch {
	case *name != "":
		exit(makeFile(o.dir, *name))
	case *send != "":
		exit(sendFile(flag.Arg(0), *send, *packets, *rate))
	}
	if *list != "" {
		var err error
		if liveRates, err = rates(*list); err != nil {
			exit(err)
		}
	}
	if o.quick {
		o.turns = min(o.turns, 3)
	}
	exit(run(&o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(o *options) error {
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return err
	}
	o.bin = bin
	if o.dir, err = filepath.Abs(o.dir); err != nil { // the programs run in a directory of their own
		return err
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	parts := strings.Split(o.parts, ",")
	for _, p := range []struct {
		name string
		f    func(*options) error
	}{{"speed", speed}, {"cores", cores}, {"memory", memory}, {"attack", attack}, {"live", live}, {"latency", latency}} {
		if !slices.Contains(parts, p.name) {
			continue
		}
		if err := p.f(o); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}
