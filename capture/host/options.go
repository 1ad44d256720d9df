package host

import (
	"fmt"
	"strings"
)

// Options says whom to look at.
type Options struct {
	Ports []uint16 // the node's TCP ports; at least one
	PID   int      // 0: found by the listening port
	Unit  string   // systemd unit, such as "iri.service" ("": none)

	Root    string // where procfs is ("": /proc)
	Cgroups string // where the cgroup file system is ("": /sys/fs/cgroup)
}

func (o Options) withDefaults() Options {
	if o.Root == "" {
		o.Root = "/proc"
	}
	if o.Cgroups == "" {
		o.Cgroups = "/sys/fs/cgroup"
	}
	if o.Unit != "" && !strings.Contains(o.Unit, ".") {
		o.Unit += ".service"
	}
	return o
}

// Validate says what is wrong with o and what to do about it.
func (o Options) Validate() error {
	switch {
	case len(o.Ports) == 0:
		return fmt.Errorf("no port to look at: give the node's API port")
	case o.PID < 0:
		return fmt.Errorf("pid %d: give a positive one", o.PID)
	case o.PID > 0 && o.Unit != "":
		return fmt.Errorf("pid %d and unit %q are both given: give one of them", o.PID, o.Unit)
	case strings.ContainsAny(o.Unit, "/\x00"):
		return fmt.Errorf("unit %q: give a name such as iri.service, without a path", o.Unit)
	}
	return nil
}
