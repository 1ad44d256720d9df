package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"stallwatch/cmd/internal/config"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// analysis holds the flags that watch, replay and demo share: they decide
// what is said, so they are the same live and offline.
type analysis struct {
	ports   []string
	rules   []string
	base    *rules.Set // of the files, before the API is selected
	api     string
	fdLimit int
	workers int
	shards  int
	memory  string
	trusted []string
	doors   bool
}

func (a *analysis) register(f *pflag.FlagSet, ports string) {
	f.StringArrayVarP(&a.ports, "port", "p", nil, ports)
	f.StringArrayVar(&a.rules, "rules", nil, "a `FILE` of your own rules, over the embedded ones (repeatable; see \"stallwatch rules\")")
	f.StringVar(&a.api, "api", "auto", "how a request names its command: "+strings.Join(rules.Default().APIs(), ", ")+"; auto looks at each request")
	f.IntVar(&a.fdLimit, "fd-limit", 0, "the node's limit of open files, assumed where its process cannot be asked (default: as the rules say, 4096)")
	f.IntVar(&a.workers, "workers", 0, "calls the node works on at once: IRI has 8 for each core (default: as the rules say, 16)")
	f.StringVar(&a.memory, "memory", "128MiB", "what the analysis may take, as in 512MiB: it sets every bound; beyond it less is followed, and said so")
	f.StringSliceVar(&a.trusted, "trusted-proxy", []string{"127.0.0.1", "::1"}, "`NETWORK`s of proxies whose X-Forwarded-For, Forwarded and PROXY headers are believed")
	f.BoolVar(&a.doors, "perimeter", false, "look at the SYNs of every other port too: PortScan and LoginProbe")
	f.IntVar(&a.shards, "shards", 1, "connection trackers that work in parallel; the output is the same")
}

// maxMemory bounds --memory: a typing error must not take the machine.
const maxMemory = 1 << 40

// gcPercent is how much may be garbage beside what lives. The hot paths do not
// allocate, so collecting four times as often as Go's default of 100 costs no
// time that can be measured, and a crowd of connections takes a third less.
const gcPercent = 25

// limitMemory tells the collector to keep to the bound that o divides: it
// works harder as the heap comes near. An operator's own GOMEMLIMIT and GOGC
// go first.
func limitMemory(o pipeline.Options) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(o.Memory)
	}
}

// options checks the flags; fallback are the ports when none was given.
func (a *analysis) options(fallback ...uint16) (pipeline.Options, error) {
	ports, err := config.Ports(a.ports)
	if err != nil {
		return pipeline.Options{}, usage(err)
	}
	if len(ports) == 0 {
		ports = fallback
	}
	if a.base, err = rules.Load(a.rules...); err != nil {
		return pipeline.Options{}, usage(nearFile(err))
	}
	set, err := a.base.Select(a.api)
	if err != nil {
		return pipeline.Options{}, usage(fmt.Errorf("--api: %w", err))
	}
	for _, n := range []struct {
		flag          string
		value, lo, hi int
	}{{"--fd-limit", a.fdLimit, 0, 1 << 30}, {"--workers", a.workers, 0, 1 << 20}, {"--shards", a.shards, 1, pipeline.MaxShards}} {
		if n.value < n.lo || n.value > n.hi {
			return pipeline.Options{}, usage(fmt.Errorf("%s %d: want a number from %d to %d", n.flag, n.value, n.lo, n.hi))
		}
	}
	trusted, err := config.Networks(a.trusted)
	if err != nil {
		return pipeline.Options{}, usage(fmt.Errorf("--trusted-proxy: %w", err))
	}
	memory, err := config.Size(a.memory)
	if err == nil && (memory < pipeline.MinMemory || memory > maxMemory) {
		err = fmt.Errorf("%s: want %d MiB to %d GiB", a.memory, pipeline.MinMemory>>20, int64(maxMemory)>>30)
	}
	if err != nil {
		return pipeline.Options{}, usage(fmt.Errorf("--memory: %w", err))
	}
	return pipeline.Options{
		Memory:  memory,
		Tracker: httpreassembly.Options{Ports: ports, Perimeter: a.doors},
		Detect:  detect.Options{FDLimit: a.fdLimit, Workers: a.workers, Trusted: trusted},
		Rules:   set,
		Shards:  a.shards,
	}, nil
}

// replayFlags are the flags that make a replay judge as this run does.
func (a *analysis) replayFlags() []string {
	flags := []string{"--api", a.api, "--memory", a.memory}
	if a.fdLimit > 0 {
		flags = append(flags, "--fd-limit", strconv.Itoa(a.fdLimit))
	}
	if a.workers > 0 {
		flags = append(flags, "--workers", strconv.Itoa(a.workers))
	}
	for _, p := range a.ports {
		flags = append(flags, "-p", p)
	}
	for _, n := range a.trusted {
		flags = append(flags, "--trusted-proxy", n)
	}
	if a.doors {
		flags = append(flags, "--perimeter")
	}
	for _, r := range a.rules {
		flags = append(flags, "--rules", r)
	}
	return flags
}
