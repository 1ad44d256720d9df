package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxNamespaces bounds how many network namespaces are searched for a
// listener. A machine with more containers than that names its node by pid or
// unit.
const maxNamespaces = 256

// Reasons why the process is not known.
var (
	errNoListener = errors.New("nothing on this machine listens")
	errHidden     = errors.New("not allowed to see which process listens")
)

// find returns the pid of the node's process.
func (p *Prober) find() (pid int, err error) {
	if p.opts.PID > 0 {
		if !p.proc.exists(p.opts.PID) {
			return 0, fmt.Errorf("process %d is not running: give the node's present pid, or leave --pid out to find it by its port", p.opts.PID)
		}
		return p.opts.PID, nil
	}
	if p.opts.Unit != "" {
		return p.findUnit()
	}
	pid, err = p.findListener()
	ports := portList(p.opts.Ports)
	switch err {
	case errNoListener:
		err = fmt.Errorf("%w on TCP port %s: no descriptors can be counted; start the node, name it with --pid or --unit, or watch on the machine it runs on", err, ports)
	case errHidden:
		err = fmt.Errorf("%w on TCP port %s: give the capabilities CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH (in the unit: AmbientCapabilities=CAP_NET_RAW CAP_SYS_PTRACE CAP_DAC_READ_SEARCH), run as the node's user, or name it with --pid or --unit", err, ports)
	}
	return pid, err
}

func portList(ports []uint16) string {
	var b strings.Builder
	for i, port := range ports {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(int(port)))
	}
	return b.String()
}

// findUnit returns the process of the unit that listens on a watched port,
// or, when links may not be read, the unit's first.
func (p *Prober) findUnit() (int, error) {
	pids, err := p.unitPIDs()
	if err != nil {
		return 0, err
	}
	best := p.holder(pids, p.listeners(filepath.Join(p.proc.path(pids[0], "net"))))
	if best == 0 {
		best = pids[0]
	}
	return best, nil
}

// unitPIDs reads the unit's cgroup.procs, in the unified hierarchy or in
// systemd's own of cgroup v1.
func (p *Prober) unitPIDs() ([]int, error) {
	for _, dir := range []string{"system.slice", "systemd/system.slice", "unified/system.slice"} {
		b, err := p.proc.read(filepath.Join(p.opts.Cgroups, dir, p.opts.Unit, "cgroup.procs"))
		if err != nil {
			continue
		}
		var pids []int
		for field := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		if len(pids) > 0 {
			return pids, nil
		}
	}
	return nil, fmt.Errorf("unit %q has no process: see systemctl status %s", p.opts.Unit, p.opts.Unit)
}

// findListener looks for the listening socket in this namespace first, then
// in every other one, and for the process that holds it. It notes where the
// socket was even when the process stays hidden.
func (p *Prober) findListener() (int, error) {
	pids := p.proc.pids()
	p.netDir = ""
	inodes := p.searchNamespaces(pids)
	if len(inodes) == 0 {
		return 0, errNoListener
	}
	if pid := p.holder(pids, inodes); pid != 0 {
		return pid, nil
	}
	return 0, errHidden
}

func (p *Prober) searchNamespaces(pids []int) (inodes []uint64) {
	dir := filepath.Join(p.opts.Root, "self", "net")
	if len(p.searched) > 0 {
		p.netDir = dir
		return slices.Clone(p.searched)
	}
	seen := map[uint64]bool{}
	for i := 0; ; i++ {
		if id, ok := namespaceID(dir); ok && !seen[id] {
			seen[id] = true
			if inodes = p.listeners(dir); len(inodes) > 0 {
				p.netDir = dir
				return inodes
			}
		}
		if i == len(pids) || len(seen) >= maxNamespaces {
			return nil
		}
		dir = p.proc.path(pids[i], "net")
	}
}

// listeners returns the inodes of the sockets that listen on the watched
// ports.
func (p *Prober) listeners(netDir string) []uint64 {
	t := table{ports: p.opts.Ports}
	if p.proc.readTCP(netDir, &t) != nil && len(t.inodes) == 0 {
		return nil
	}
	return t.inodes
}

// holder returns the process that has one of the sockets open: of several
// (a master and its workers share one) the one with the most descriptors, for
// that is where connections are; of equals the first. 0: none to be seen.
func (p *Prober) holder(pids []int, inodes []uint64) int {
	best, most := 0, -1
	for _, pid := range pids {
		if !p.proc.holds(pid, inodes) {
			continue
		}
		if n, _ := p.proc.countFDs(pid); n > most {
			best, most = pid, n
		}
	}
	return best
}

// holds reads the links of a process's descriptors until one is a socket of
// inodes.
func (p *proc) holds(pid int, inodes []uint64) bool {
	f, err := os.Open(p.path(pid, "fd"))
	if err != nil {
		return false
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			link, err := os.Readlink(filepath.Join(f.Name(), name))
			if err == nil && slices.Contains(inodes, socketInode(link)) {
				return true
			}
		}
		if err != nil || len(names) == 0 {
			return false
		}
	}
}

// socketInode reads "socket:[12345]"; 0 for any other link.
func socketInode(link string) uint64 {
	rest, ok := strings.CutPrefix(link, "socket:[")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// pids lists the processes, in order.
func (p *proc) pids() []int {
	f, err := os.Open(p.root)
	if err != nil {
		return nil
	}
	defer f.Close()
	var pids []int
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		if err != nil || len(names) == 0 {
			break
		}
	}
	slices.Sort(pids)
	return pids
}
