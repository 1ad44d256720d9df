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
	errElsewhere  = errors.New("no process that can be seen here listens")
)

// errEndless is what ends a look at a kernel that does not come to an end.
var errEndless = errors.New("the kernel's answer does not end")

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
	case errElsewhere:
		err = fmt.Errorf("%w on TCP port %s, though a socket does: its process is outside of this container, or procfs hides it (hidepid): run with the host's processes (docker: --pid=host), or give the capability CAP_SYS_PTRACE", err, ports)
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
	best, _ := p.holder(pids, p.listeners(filepath.Join(p.proc.path(pids[0], "net"))))
	if best == 0 {
		best = pids[0]
	}
	return best, nil
}

// slices are where units have their control groups: in the unified hierarchy,
// or in systemd's own of cgroup v1. Instances of a template (iri@1.service)
// share a slice of their own (systemd.slice(5)).
var slicesOfUnits = []string{"system.slice", "systemd/system.slice", "unified/system.slice"}

// unitPIDs reads the unit's processes, those of its sub-groups too: a scope of
// podman, or a unit that delegates, has them there.
func (p *Prober) unitPIDs() ([]int, error) {
	template, _, _ := strings.Cut(p.opts.Unit, "@")
	for _, dir := range slicesOfUnits {
		for _, sub := range []string{"", "system-" + template + ".slice"} {
			group := filepath.Join(p.opts.Cgroups, dir, sub, p.opts.Unit)
			if pids := p.groupPIDs(nil, group, maxGroupDepth); len(pids) > 0 {
				return pids, nil
			}
		}
	}
	return nil, fmt.Errorf("unit %q has no process: see systemctl status %s", p.opts.Unit, p.opts.Unit)
}

// Bounds of the control groups of one unit. The first processes do: the one
// that listens is hardly the last of thousands.
const (
	maxGroupDepth = 4
	maxGroupPIDs  = 4096
)

// groupPIDs appends the processes of a control group and of those below it.
func (p *Prober) groupPIDs(pids []int, dir string, depth int) []int {
	b, err := p.proc.read(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return pids
	}
	for field := range strings.FieldsSeq(string(b)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	if depth == 0 {
		return pids
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() && len(pids) < maxGroupPIDs {
			pids = p.groupPIDs(pids, filepath.Join(dir, e.Name()), depth-1)
		}
	}
	return pids
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
	pid, refused := p.holder(pids, inodes)
	switch {
	case pid != 0:
		return pid, nil
	case refused:
		return 0, errHidden
	}
	return 0, errElsewhere
}

func (p *Prober) searchNamespaces(pids []int) (inodes []uint64) {
	dir := filepath.Join(p.opts.Root, "self", "net")
	p.away = false
	if len(p.searched) > 0 {
		p.netDir = dir
		return slices.Clone(p.searched)
	}
	seen := map[uint64]bool{}
	for i := 0; ; i++ {
		if id, ok := namespaceID(dir); ok && !seen[id] {
			seen[id] = true
			if inodes = p.listeners(dir); len(inodes) > 0 {
				p.netDir, p.away = dir, p.own != 0 && id != p.own
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
// (a master and its workers share one, workers with SO_REUSEPORT have one each)
// the one with the most descriptors now, for that is where connections are; of
// equals the first. 0: none to be seen; refused then says that some processes
// do not show their descriptors.
func (p *Prober) holder(pids []int, inodes []uint64) (best int, refused bool) {
	most := -1
	p.workers = nil
	for _, pid := range pids {
		holds, err := p.proc.holds(pid, inodes)
		refused = refused || denied(err)
		if !holds {
			continue
		}
		p.note(pid)
		if n, _ := p.proc.countFDs(pid); n > most {
			best, most = pid, n
		}
	}
	return best, refused
}

// holds reports whether a process has one of the sockets of inodes.
func (p *proc) holds(pid int, inodes []uint64) (ok bool, err error) {
	err = p.eachHeld(pid, inodes, func(uint64) bool {
		ok = true
		return false
	})
	return ok, err
}

// eachHeld reads the links of a process's descriptors and calls found for each
// that is a socket of inodes, as long as found wants more. When it ends
// without that, the error is that of a link that may not be read.
func (p *proc) eachHeld(pid int, inodes []uint64, found func(inode uint64) (more bool)) error {
	f, err := os.Open(p.path(pid, "fd"))
	if err != nil {
		return err
	}
	defer f.Close()
	var refused error
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			link, err := os.Readlink(filepath.Join(f.Name(), name))
			if n := socketInode(link); err == nil && n != 0 && slices.Contains(inodes, n) && !found(n) {
				return nil
			}
			if denied(err) {
				refused = err
			}
		}
		if err != nil || len(names) == 0 {
			return refused
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
