package host

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"stallwatch/capture"
)

// readTCP adds the sockets of a /proc/PID/net directory to t. It is how
// another network namespace is seen without entering it; the kernel walks all
// of its sockets and writes a line for each, whatever the port.
func (p *proc) readTCP(dir string, t *table) error {
	err4 := p.readTCPFile(filepath.Join(dir, "tcp"), t)
	err6 := p.readTCPFile(filepath.Join(dir, "tcp6"), t)
	if errors.Is(err6, os.ErrNotExist) {
		err6 = nil // a kernel without IPv6
	}
	return errors.Join(err4, err6)
}

func (p *proc) readTCPFile(name string, t *table) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if p.lines == nil {
		p.lines = bufio.NewReaderSize(nil, 64<<10)
	}
	p.lines.Reset(f)
	if err := parseTCP(p.lines, t); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// parseTCP reads the format of /proc/net/tcp (tcp4_seq_show of
// net/ipv4/tcp_ipv4.c): fields between blanks. Columns do not do: they shift
// by one at line 10,000, when the line number outgrows its four places.
func parseTCP(br *bufio.Reader, t *table) error {
	for first := true; ; first = false {
		line, err := br.ReadSlice('\n')
		if len(line) > 0 && !first {
			if e, ok := parseTCPLine(line, t); ok {
				t.add(&e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// parseTCPLine reads
//
//	sl: local remote st tx:rx tr:when retrnsmt uid timeout inode ...
//
// ok is false for a socket of a port that t does not watch, too: most lines
// are read no further than that.
func parseTCPLine(line []byte, t *table) (e entry, ok bool) {
	var local, remote, state, queues, inode []byte
	_, line = cutField(line)
	local, line = cutField(line)
	if len(local) < 4 {
		return e, false
	}
	if port, ok := parseNumber(local[len(local)-4:], 16); !ok || !t.watches(uint16(port)) {
		return e, false
	}
	remote, line = cutField(line)
	state, line = cutField(line)
	queues, line = cutField(line)
	for range 5 {
		inode, line = cutField(line)
	}
	var ok1, ok2, ok3, ok4, ok5 bool
	var st, rx uint64
	e.local, ok1 = parseHexAddr(local)
	e.remote, ok2 = parseHexAddr(remote)
	st, ok3 = parseNumber(state, 16)
	_, queue, _ := bytes.Cut(queues, []byte{':'})
	rx, ok4 = parseNumber(queue, 16)
	e.inode, ok5 = parseNumber(inode, 10)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || st >= uint64(capture.NumStates) {
		return e, false
	}
	e.state = capture.State(st)
	if e.state == capture.Listen {
		e.queue, e.max = int(rx), -1 // this file does not tell the limit
	}
	return e, true
}

// parseHexAddr reads "0100007F:37B9": 32-bit words of the address as the
// machine holds them, the port in the order one writes it.
func parseHexAddr(b []byte) (a netip.AddrPort, ok bool) {
	host, portText, found := bytes.Cut(b, []byte{':'})
	port, ok := parseNumber(portText, 16)
	if !found || !ok || port > 0xffff || len(host) != 8 && len(host) != 32 {
		return a, false
	}
	var raw [16]byte
	for i := 0; i < len(host)/8; i++ {
		word, ok := parseNumber(host[8*i:8*i+8], 16)
		if !ok {
			return a, false
		}
		binary.NativeEndian.PutUint32(raw[4*i:], uint32(word))
	}
	if len(host) == 8 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[:4])), uint16(port)), true
	}
	return netip.AddrPortFrom(netip.AddrFrom16(raw).Unmap(), uint16(port)), true
}

// parseNumber is strconv.ParseUint for bytes, without the copy: a table has a
// hundred thousand of them.
func parseNumber(b []byte, base uint64) (n uint64, ok bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	for _, c := range b {
		d := uint64(99)
		switch {
		case c >= '0' && c <= '9':
			d = uint64(c - '0')
		case c >= 'a' && c <= 'f':
			d = uint64(c-'a') + 10
		case c >= 'A' && c <= 'F':
			d = uint64(c-'A') + 10
		}
		if d >= base {
			return 0, false
		}
		n = n*base + d
	}
	return n, true
}
