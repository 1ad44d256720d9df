package evidence

import (
	"errors"
	"fmt"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/advise"
	"stallwatch/detect"
)

// Options configure a Collector. The zero value of a field takes its default.
type Options struct {
	Dir string // where bundles go; required, made if it is not there

	RingBytes int64         // packets that are kept for the next alert (0: 32 MiB)
	Before    time.Duration // how long before an alert its bundle begins (0: 3 min)
	After     time.Duration // how long after it ends (0: 15s)
	Cooldown  time.Duration // the same alert makes no further bundle within, unless it got worse (0: 10 min)

	MaxPackets int64         // bytes of packets.pcap (0: 64 MiB)
	MaxBundles int           // directories kept (0: 50)
	MaxBytes   int64         // of all bundles together (0: 1 GiB)
	MaxAge     time.Duration // of a bundle (0: 30 days)
	MinFree    int64         // bytes of the disk that must stay free (0: 1 GiB; negative: none)

	Full    bool         // values of parameters stay in reproduce.sh and calls.jsonl
	Version string       // of the program, for the manifest
	Advise  advise.Input // what is known of the proxy and the rules

	// ReplayFlags are the flags that make a replay judge as this run does, as
	// in "-p", "14265", "--fd-limit", "128": the manifest names the command.
	ReplayFlags []string

	// Report is told of each bundle, written or not, from the Collector's
	// goroutine (nil: nobody is). Alerts that were given no bundle are only
	// counted: the packet path waits for nobody.
	Report func(Result)
	Now    func() time.Time                        // the wall clock, for the age of bundles (nil: time.Now)
	Free   func(dir string) (bytes int64, ok bool) // of the disk (nil: statfs)
}

// Result says what became of a bundle.
type Result struct {
	Alert *detect.Alert
	Path  string // of the directory; "" if Err is set
	Bytes int64
	Err   error
}

// WithDefaults returns o with each zero field set.
func (o Options) WithDefaults() Options {
	set(&o.RingBytes, 32<<20)
	set(&o.Before, 3*time.Minute)
	set(&o.After, 15*time.Second)
	set(&o.Cooldown, 10*time.Minute)
	set(&o.MaxPackets, 64<<20)
	set(&o.MaxBundles, 50)
	set(&o.MaxBytes, 1<<30)
	set(&o.MaxAge, 30*24*time.Hour)
	set(&o.MinFree, 1<<30)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Free == nil {
		o.Free = freeBytes
	}
	return o
}

func set[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate says what of o cannot be.
func (o Options) Validate() error {
	o = o.WithDefaults()
	switch {
	case o.Dir == "":
		return errors.New("evidence: no directory")
	case o.RingBytes < 2*blockBytes || o.RingBytes > 16<<30:
		return fmt.Errorf("evidence ring of %d bytes: want 2 MiB to 16 GiB", o.RingBytes)
	case o.Before < 0 || o.After < 0 || o.Cooldown < 0 || o.MaxAge < 0:
		return errors.New("evidence: durations want to be positive")
	case o.MaxPackets < 0 || o.MaxBundles < 0 || o.MaxBytes < 0:
		return errors.New("evidence: bounds want to be positive")
	}
	return nil
}

// Stats count what became of alerts and packets. See Collector.Stats.
type Stats struct {
	Written        uint64 // bundles
	Failed         uint64 // bundles that could not be written
	Refused        uint64 // bundles not written since the disk is too full
	Busy           uint64 // alerts without a bundle: too many were being written
	Cooling        uint64 // alerts without a bundle: the same had one shortly before
	Removed        uint64 // old bundles removed to keep the bounds
	PacketsDropped uint64 // packets that the ring could not keep
	CallsDropped   uint64 // hanging calls that the ledger had no room for
	Bytes          uint64 // written
}

// maxOpen bounds the bundles that wait for what follows their alert, or to be
// written: each may hold as much of the ring's memory.
const maxOpen = 8

// Bounds of what is remembered besides packets.
const (
	maxLedger   = 4096 // hanging calls
	maxSamples  = 1024
	maxTimeline = 2048
	maxKeys     = 1024 // incidents whose cooldown is remembered
)

// key is the identity of an incident.
type key struct{ name, subject string }

// had is the last bundle of an incident.
type had struct {
	at       capture.Time
	severity detect.Severity
}
