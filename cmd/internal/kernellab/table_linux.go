package kernellab

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"stallwatch/capture"
)

// sockets reads the server's sockets from the kernel's table of ns
// (net/ipv4/tcp_ipv4.c: get_tcp4_sock).
func sockets(ns *namespace) (conns []Socket, queue int, err error) {
	err = ns.do(func() error {
		f, err := os.Open("/proc/thread-self/net/tcp")
		if err != nil {
			return err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Scan() // the header
		for lines.Scan() {
			s, local, err := parseSocket(lines.Text())
			if err != nil {
				return fmt.Errorf("socket table line %q: %w", lines.Text(), err)
			}
			switch {
			case local != serverEnd:
			case s.State == capture.Listen.String():
				queue = s.Unread // sk_ack_backlog
			default:
				conns = append(conns, s)
			}
		}
		return lines.Err()
	})
	return conns, queue, err
}

// parseSocket reads a line: sl local remote state tx:rx timer retransmits uid
// timeout inode.
func parseSocket(line string) (s Socket, local netip.AddrPort, err error) {
	f := strings.Fields(line)
	if len(f) < 10 {
		return s, local, fmt.Errorf("%d fields", len(f))
	}
	if local, err = parseEnd(f[1]); err != nil {
		return s, local, err
	}
	remote, err := parseEnd(f[2])
	if err != nil {
		return s, local, err
	}
	state, err := strconv.ParseUint(f[3], 16, 8)
	if err != nil {
		return s, local, err
	}
	_, rx, _ := strings.Cut(f[4], ":")
	unread, err := strconv.ParseUint(rx, 16, 32)
	if err != nil {
		return s, local, err
	}
	return Socket{Port: remote.Port(), State: capture.State(state).String(), Unread: int(unread), Accepted: f[9] != "0"}, local, nil
}

// parseEnd reads an IPv4 address, a word in the host's byte order, and a port,
// both hexadecimal.
func parseEnd(text string) (netip.AddrPort, error) {
	addr, port, _ := strings.Cut(text, ":")
	a, err := strconv.ParseUint(addr, 16, 32)
	if err != nil {
		return netip.AddrPort{}, err
	}
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ne.AppendUint32(nil, uint32(a)))), uint16(p)), nil
}
