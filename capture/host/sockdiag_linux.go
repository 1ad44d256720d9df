package host

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"stallwatch/capture"
)

// Numbers of linux/sock_diag.h and linux/inet_diag.h.
const (
	tcpDiagGetSock = 18 // TCPDIAG_GETSOCK
	reqBytecode    = 1  // INET_DIAG_REQ_BYTECODE
	bcJump         = 1  // INET_DIAG_BC_JMP
	bcSourceEqual  = 11 // INET_DIAG_BC_S_EQ, Linux 4.16
	diagReqSize    = 56 // struct inet_diag_req_v2
	diagMsgSize    = 72 // struct inet_diag_msg
	netlinkHeader  = 16 // struct nlmsghdr

	// maxFilterPorts bounds the port filter that runs in the kernel: a jump
	// has 16 bits. With more ports the whole table comes and is sifted here.
	maxFilterPorts = 1024
	// diagBuffer holds several of the kernel's dump messages (32 KiB each).
	diagBuffer = 128 << 10
)

// listenOnly and allStates are masks of 1<<state.
const (
	listenOnly = uint32(1) << capture.Listen
	allStates  = uint32(1)<<capture.NumStates - 2
)

// diag asks the kernel for its TCP sockets by sock_diag(7). It needs no
// right, and sees the network namespace it was opened in.
type diag struct {
	fd  int
	seq uint32
	req []byte
	buf []byte
}

func openDiag() (*diag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// The kernel answers at once; the time-out is for a kernel that does not.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("setsockopt", err)
	}
	// The kernel itself is netlink's port 0. A connected socket gets nothing
	// from anybody else, so that no sender needs to be looked at.
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	return &diag{fd: fd, buf: make([]byte, diagBuffer)}, nil
}

func (d *diag) close() { unix.Close(d.fd) }

// read adds the sockets in states (a mask) to t, of both families: a dual
// stack listener keeps its IPv4 clients as mapped IPv6 sockets. The kernel
// walks its whole hash table for each dump, half a million buckets on a large
// machine, so one dump of every family is asked for. SOCK_DIAG_BY_FAMILY has
// none such; the request it replaced in Linux 3.3 has, and is still served.
func (d *diag) read(t *table, states uint32) error {
	if err := d.dump(t, unix.AF_UNSPEC, states); err != nil {
		return fmt.Errorf("sock_diag: %w", err)
	}
	return nil
}

func (d *diag) dump(t *table, family uint8, states uint32) error {
	d.seq++
	d.req = appendDiagRequest(d.req[:0], d.seq, family, states, t.ports)
	if _, err := unix.Write(d.fd, d.req); err != nil {
		return os.NewSyscallError("write", err)
	}
	start := time.Now()
	for time.Since(start) < 5*time.Second {
		n, err := unix.Read(d.fd, d.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("read", err)
		}
		if n == len(d.buf) {
			return fmt.Errorf("a message of %d bytes or more", n)
		}
		done, err := parseDiag(d.buf[:n], d.seq, t)
		if done || err != nil {
			return err
		}
	}
	return errEndless
}

// appendDiagRequest appends a dump request for the sockets of ports. One port
// goes into the request itself, which every kernel compares first; several
// take a program.
func appendDiagRequest(b []byte, seq uint32, family uint8, states uint32, ports []uint16) []byte {
	ne := binary.NativeEndian
	b = append(b, 0, 0, 0, 0) // length, below
	b = ne.AppendUint16(b, tcpDiagGetSock)
	b = ne.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b = ne.AppendUint32(b, seq)
	b = ne.AppendUint32(b, 0)
	b = append(b, family, 0, 0, 0)
	id := len(b)
	b = append(b, make([]byte, 48)...) // struct inet_diag_sockid: any
	b = ne.AppendUint32(b, states)
	b = ne.AppendUint32(b, 0)
	switch n := len(ports); {
	case n == 1:
		binary.BigEndian.PutUint16(b[id:], ports[0]) // idiag_sport
	case n <= maxFilterPorts:
		code := 12*n - 4
		b = ne.AppendUint16(b, uint16(4+code))
		b = ne.AppendUint16(b, reqBytecode)
		b = appendPortFilter(b, ports)
	}
	ne.PutUint32(b, uint32(len(b)))
	return b
}

// appendPortFilter appends a program of struct inet_diag_bc_op that accepts a
// socket whose local port is one of ports. A program accepts when it ends at
// its end exactly, and rejects when it jumps 4 bytes beyond.
//
//	S_EQ port0 ── no ──> S_EQ port1 ── no ──> ... reject
//	  │ yes                 │ yes
//	 JMP end               JMP end
func appendPortFilter(b []byte, ports []uint16) []byte {
	ne := binary.NativeEndian
	left := 12*len(ports) - 4 // bytes from here to the end
	for _, p := range ports {
		b = append(b, bcSourceEqual, 8)
		b = ne.AppendUint16(b, 12) // no: the next port, or 4 bytes beyond the end
		b = append(b, 0, 0)
		b = ne.AppendUint16(b, p)
		left -= 8
		if left > 0 {
			b = append(b, bcJump, 4)
			b = ne.AppendUint16(b, uint16(left))
			left -= 4
		}
	}
	return b
}

// parseDiag adds the sockets of one datagram to t. done: the dump is over.
func parseDiag(b []byte, seq uint32, t *table) (done bool, err error) {
	ne := binary.NativeEndian
	for len(b) >= netlinkHeader {
		n := int(ne.Uint32(b))
		if n < netlinkHeader || n > len(b) {
			return false, fmt.Errorf("a message of %d bytes in %d", n, len(b))
		}
		body := b[netlinkHeader:n]
		if ne.Uint32(b[8:]) == seq {
			switch ne.Uint16(b[4:]) {
			case unix.NLMSG_DONE:
				return true, nil
			case unix.NLMSG_ERROR:
				return true, diagError(body)
			case tcpDiagGetSock:
				if e, ok := parseEntry(body); ok {
					t.add(&e)
				}
			}
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return false, nil
}

func diagError(body []byte) error {
	if len(body) < 4 {
		return fmt.Errorf("an error without a number")
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
}

// parseEntry reads a struct inet_diag_msg.
func parseEntry(b []byte) (e entry, ok bool) {
	if len(b) < diagMsgSize {
		return e, false
	}
	ne, be := binary.NativeEndian, binary.BigEndian
	e.state = capture.State(b[1])
	e.local = netip.AddrPortFrom(diagAddr(b[0], b[8:24]), be.Uint16(b[4:]))
	e.remote = netip.AddrPortFrom(diagAddr(b[0], b[24:40]), be.Uint16(b[6:]))
	e.queue, e.max = int(ne.Uint32(b[56:])), int(ne.Uint32(b[60:]))
	e.inode = uint64(ne.Uint32(b[68:]))
	return e, true
}

func diagAddr(family uint8, b []byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(b))
	}
	return netip.AddrFrom16([16]byte(b)).Unmap()
}
