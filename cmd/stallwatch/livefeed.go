package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"stallwatch/capture"
	"stallwatch/capture/host"
	"stallwatch/capture/live"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/config"
	"stallwatch/cmd/internal/pipeline"
)

// captureFlags are what watch and record were told about the capture itself.
type captureFlags struct {
	interfaces []string
	filter     string
	snapLen    int
	buffer     string
	immediate  bool
	promisc    bool
	pid        int
	unit       string
	noHost     bool
	duration   time.Duration
}

func (f *captureFlags) register(fl *pflag.FlagSet) {
	fl.StringSliceVarP(&f.interfaces, "interface", "i", []string{"any"}, "`INTERFACE` to capture on (repeatable)")
	fl.StringVarP(&f.filter, "filter", "f", "", "a further pcap-filter `EXPRESSION`, and-ed with the ports")
	fl.IntVarP(&f.snapLen, "snaplen", "s", 0, "bytes of a packet that are kept (0: 262144)")
	fl.StringVarP(&f.buffer, "buffer-size", "B", "32MiB", "ring of each interface, as in 64MiB: the larger, the longer a burst it takes")
	fl.BoolVar(&f.immediate, "immediate", false, "hand over each packet at once: lower delay, less throughput")
	fl.BoolVar(&f.promisc, "promiscuous", false, "see the packets of other machines too (needs CAP_NET_ADMIN)")
	fl.IntVar(&f.pid, "pid", 0, "the node's `PID` (default: found by the port it listens on)")
	fl.StringVar(&f.unit, "unit", "", "the node's systemd `UNIT`, as in iri.service")
	fl.BoolVar(&f.noHost, "no-host", false, "do not look at the node's process: the wire alone")
	fl.DurationVar(&f.duration, "duration", 0, "stop by itself after, as in 10m (default: when interrupted)")
}

// open starts the capture of ports, with perimeter of every port's SYN and
// RST as well. problem is what keeps the host's probe
// from seeing the node, "" if nothing does.
func (f *captureFlags) open(ports []uint16, perimeter bool) (src *live.Source, problem string, err error) {
	buffer, err := config.Size(f.buffer)
	if err != nil {
		return nil, "", usage(fmt.Errorf("--buffer-size: %w", err))
	}
	if f.pid < 0 || f.duration < 0 {
		return nil, "", usage(errors.New("--pid and --duration want positive values"))
	}
	o := live.Options{Interfaces: f.interfaces, Ports: ports, Filter: f.filter, SnapLen: f.snapLen,
		Buffer: int(buffer), Immediate: f.immediate, Promiscuous: f.promisc, Perimeter: perimeter}
	if !f.noHost {
		p, err := host.New(host.Options{Ports: ports, PID: f.pid, Unit: f.unit})
		if err != nil {
			return nil, "", usage(err)
		}
		problem = p.Problem(time.Now())
		o.Prober = p
	}
	if err := o.Validate(); err != nil {
		return nil, "", usage(err)
	}
	src, err = live.Open(o)
	if errors.Is(err, live.ErrNoInterface) || errors.Is(err, live.ErrFilter) || errors.Is(err, live.ErrSnapLen) {
		err = usage(err)
	}
	return src, problem, err
}

// stopper ends a capture when ctx is done or after d, if d is not zero.
// The function it returns releases it.
func stopper(ctx context.Context, src *live.Source, d time.Duration) context.CancelFunc {
	cancel := func() {}
	if d > 0 {
		ctx, cancel = context.WithTimeout(ctx, d)
	}
	release := context.AfterFunc(ctx, src.Stop)
	return func() { release(); cancel() }
}

// feed is a capture on its way into a pipeline and a recording; either may
// be nil.
type feed struct {
	src  *live.Source
	pipe *pipeline.Pipeline
	rec  *replay.Recorder
	// unrecorded is told why a recording beside a pipeline ends early.
	unrecorded func(error)
	// item sees each Item before the pipeline does. second is called about once a second of capture time, and sampled for
	// each look at the node's process, from the goroutine of run; nil is
	// nobody.
	item    func(*capture.Item)
	second  func()
	sampled func(*capture.Sample)
}

// run ends with the capture. What was captured is finished and recorded even
// when it ends with an error. A recording that cannot go on ends the run only
// where it was all there is: who fills the disk must not end the watch.
func (f *feed) run() error {
	var it capture.Item
	var last, next capture.Time
	var err, broken error
	for {
		if err = f.src.Next(&it); err != nil {
			break
		}
		last = it.At
		if f.rec != nil && broken == nil {
			if broken = f.rec.Write(&it); broken != nil && f.pipe == nil {
				break
			} else if broken != nil && f.unrecorded != nil {
				f.unrecorded(broken)
			}
		}
		if f.item != nil {
			f.item(&it)
		}
		if f.pipe != nil {
			f.pipe.Item(&it)
		}
		if f.sampled != nil && it.Kind == capture.HostSampled {
			f.sampled(it.Sample)
		}
		if f.second != nil && it.At >= next {
			next = it.At.Add(time.Second)
			f.second()
		}
	}
	if err == io.EOF {
		err = nil
	}
	if f.pipe != nil {
		f.pipe.Finish(last)
	}
	if f.rec != nil {
		// What Close says of a broken recording is the same once more.
		if closing := f.rec.Close(last); broken == nil {
			broken = closing
		}
	}
	return errors.Join(err, broken)
}
