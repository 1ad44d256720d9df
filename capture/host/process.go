package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// unknown is what a count is that one may not know.
const unknown = -1

// proc is the procfs of Options.Root.
type proc struct{ root string }

func (p proc) path(pid int, name string) string {
	return filepath.Join(p.root, strconv.Itoa(pid), name)
}

// exists reports whether a process is there. A zombie is not: it holds no
// descriptor and serves nobody.
func (p proc) exists(pid int) bool {
	b, err := readSmall(p.path(pid, "stat"))
	if err != nil {
		return false
	}
	// The second field is the name in parentheses, and a name may contain
	// any character, parentheses and blanks included: look behind the last.
	i := bytes.LastIndexByte(b, ')')
	return i >= 0 && i+2 < len(b) && b[i+2] != 'Z' && b[i+2] != 'X'
}

// started returns the process's start time in ticks since boot, field 22 of
// /proc/PID/stat, which tells a process from a later one with the same pid.
func (p proc) started(pid int) string {
	b, err := readSmall(p.path(pid, "stat"))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

func (p proc) name(pid int) string {
	b, err := readSmall(p.path(pid, "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

// countFDs counts the open descriptors of a process. Since Linux 6.2 the
// directory's size is the number, without a right (proc_fd_getattr of
// fs/proc/fd.c); before, it is 0 and the directory has to be read.
func (p proc) countFDs(pid int) (int, error) {
	dir := p.path(pid, "fd")
	if onProcfs(dir) {
		info, err := os.Stat(dir)
		if err == nil && info.Size() > 0 {
			return int(info.Size()), nil
		}
	}
	return countEntries(dir)
}

// countEntries reads a directory in pieces, keeping nothing of it.
func countEntries(dir string) (int, error) {
	f, err := os.Open(dir)
	if err != nil {
		return unknown, err
	}
	defer f.Close()
	n := 0
	for {
		names, err := f.Readdirnames(1024)
		n += len(names)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return unknown, err
		}
	}
}

// fdLimit returns the soft limit of open files; unknown if there is none.
func (p proc) fdLimit(pid int) (int, error) {
	b, err := readSmall(p.path(pid, "limits"))
	if err != nil {
		return unknown, err
	}
	for line := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		if !ok {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) == 0 || fields[0] == "unlimited" {
			return unknown, nil
		}
		n, err := strconv.Atoi(fields[0])
		if err != nil {
			return unknown, fmt.Errorf("read %s: %w", p.path(pid, "limits"), err)
		}
		return n, nil
	}
	return unknown, fmt.Errorf("read %s: no line \"Max open files\"", p.path(pid, "limits"))
}

// overflows reads ListenOverflows and ListenDrops of a process's namespace
// (TcpExt in /proc/PID/net/netstat: a line of names, then a line of values).
func (p proc) overflows(pid int) (overflows, drops uint64) {
	b, err := readSmall(p.path(pid, "net/netstat"))
	if err != nil {
		return 0, 0
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "TcpExt:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i := 0; i < min(len(names), len(fields)); i++ {
			n, _ := strconv.ParseUint(fields[i], 10, 64)
			switch names[i] {
			case "ListenOverflows":
				overflows = n
			case "ListenDrops":
				drops = n
			}
		}
		break
	}
	return overflows, drops
}

// smallFile bounds what is read of a file that has a known, small shape.
const smallFile = 1 << 20

func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, smallFile))
}

// denied reports whether err means a missing right.
func denied(err error) bool { return errors.Is(err, fs.ErrPermission) }
