package host

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"stallwatch/capture"
)

// unknown is what a count is that one may not know.
const unknown = -1

// proc is the procfs of Options.Root. It is not safe for concurrent use: its
// buffers serve one read after the other.
type proc struct {
	root  string
	buf   []byte        // of read
	lines *bufio.Reader // of socket tables
}

func (p *proc) path(pid int, name string) string {
	return filepath.Join(p.root, strconv.Itoa(pid), name)
}

// alive returns the start time of a process in ticks since boot, field 22 of
// /proc/PID/stat, which tells it from a later one with the same pid. ok is
// false when there is none. A zombie is none: it holds no descriptor and
// serves nobody.
func (p *proc) alive(pid int) (started uint64, ok bool) {
	b, err := p.read(p.path(pid, "stat"))
	if err != nil {
		return 0, false
	}
	// The second field is the name in parentheses, and a name may contain
	// any character, parentheses and blanks included: look behind the last.
	i := bytes.LastIndexByte(b, ')')
	if i < 0 || i+2 >= len(b) || b[i+2] == 'Z' || b[i+2] == 'X' {
		return 0, false
	}
	var field []byte
	rest := b[i+1:]
	for range 20 {
		field, rest = cutField(rest)
	}
	started, _ = parseNumber(field, 10)
	return started, true
}

func (p *proc) exists(pid int) bool {
	_, ok := p.alive(pid)
	return ok
}

func (p *proc) name(pid int) string {
	b, err := p.read(p.path(pid, "comm"))
	if err != nil {
		return ""
	}
	return string(bytes.TrimSuffix(b, []byte{'\n'}))
}

// countFDs counts the open descriptors of a process.
func (p *proc) countFDs(pid int) (int, error) {
	dir := p.path(pid, "fd")
	if n, ok := sizeOfFDs(dir); ok {
		return n, nil
	}
	return countEntries(dir)
}

// sizeOfFDs tells the number of descriptors without reading them. Since Linux
// 6.2 it is the directory's size, for which no right is needed
// (proc_fd_getattr of fs/proc/fd.c); before, that is 0.
func sizeOfFDs(dir string) (n int, ok bool) {
	if !onProcfs(dir) {
		return 0, false
	}
	info, err := os.Stat(dir)
	if err != nil || info.Size() == 0 {
		return 0, false
	}
	return int(info.Size()), true
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
func (p *proc) fdLimit(pid int) (int, error) {
	b, err := p.read(p.path(pid, "limits"))
	if err != nil {
		return unknown, err
	}
	for line := range bytes.Lines(b) {
		rest, ok := bytes.CutPrefix(line, []byte("Max open files"))
		if !ok {
			continue
		}
		soft, _ := cutField(rest)
		if len(soft) == 0 || string(soft) == "unlimited" {
			return unknown, nil
		}
		n, ok := parseNumber(soft, 10)
		if !ok {
			return unknown, fmt.Errorf("read %s: the limit of open files is %q", p.path(pid, "limits"), soft)
		}
		return int(n), nil
	}
	return unknown, fmt.Errorf("read %s: no line \"Max open files\"", p.path(pid, "limits"))
}

// readOverflows fills in ListenOverflows and ListenDrops of a process's
// namespace (TcpExt in /proc/PID/net/netstat: a line of names, then a line of
// values).
func (p *proc) readOverflows(pid int, s *capture.Sample) {
	b, err := p.read(p.path(pid, "net/netstat"))
	if err != nil {
		return
	}
	var names []byte
	for line := range bytes.Lines(b) {
		rest, ok := bytes.CutPrefix(line, []byte("TcpExt:"))
		if !ok {
			continue
		}
		if names == nil {
			names = rest
			continue
		}
		for {
			var name, value []byte
			name, names = cutField(names)
			value, rest = cutField(rest)
			if len(name) == 0 || len(value) == 0 {
				return
			}
			switch string(name) {
			case "ListenOverflows":
				s.Overflows, _ = parseNumber(value, 10)
			case "ListenDrops":
				s.Drops, _ = parseNumber(value, 10)
			}
		}
	}
}

// smallFile bounds what is read of a file that has a known, small shape.
const smallFile = 1 << 20

// read returns a small file's content, which is valid until the next call.
func (p *proc) read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if p.buf == nil {
		p.buf = make([]byte, 8<<10)
	}
	for n := 0; ; {
		if n == len(p.buf) {
			if n >= smallFile {
				return p.buf, nil
			}
			p.buf = append(p.buf, make([]byte, n)...)
		}
		m, err := f.Read(p.buf[n:])
		n += m
		if err == io.EOF || err == nil && m == 0 {
			return p.buf[:n], nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// cutField splits off what stands before the next blank, blanks in front of
// it left out.
func cutField(b []byte) (field, rest []byte) {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n' || b[0] == '\t') {
		b = b[1:]
	}
	for i, c := range b {
		if c == ' ' || c == '\n' || c == '\t' {
			return b[:i], b[i:]
		}
	}
	return b, nil
}

// denied reports whether err means a missing right.
func denied(err error) bool { return errors.Is(err, fs.ErrPermission) }
