package kernellab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Numbers of linux/if_link.h and linux/veth.h that x/sys/unix lacks.
const (
	infoPeer = 1 // VETH_INFO_PEER
)

// message is a request of rtnetlink(7) being written.
type message struct{ b []byte }

var ne = binary.NativeEndian

// newMessage begins a request with its fixed part, a C struct.
func newMessage(kind, flags uint16, fixed []byte) *message {
	m := &message{b: make([]byte, unix.NLMSG_HDRLEN)}
	ne.PutUint16(m.b[4:], kind)
	ne.PutUint16(m.b[6:], flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	m.b = append(m.b, fixed...)
	return m
}

// attr appends an attribute whose content fill writes.
func (m *message) attr(kind uint16, fill func()) {
	start := len(m.b)
	m.b = append(m.b, 0, 0, 0, 0)
	ne.PutUint16(m.b[start+2:], kind)
	fill()
	ne.PutUint16(m.b[start:], uint16(len(m.b)-start))
	m.b = append(m.b, make([]byte, -len(m.b)&3)...)
}

func (m *message) raw(b ...byte)                     { m.b = append(m.b, b...) }
func (m *message) bytes(kind uint16, b []byte)       { m.attr(kind, func() { m.raw(b...) }) }
func (m *message) text(kind uint16, s string)        { m.bytes(kind, append([]byte(s), 0)) }
func (m *message) number(kind uint16, n uint32)      { m.bytes(kind, ne.AppendUint32(nil, n)) }
func (m *message) address(kind uint16, a netip.Addr) { m.bytes(kind, a.AsSlice()) }

// send asks the kernel and returns its verdict.
func (m *message) send() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	ne.PutUint32(m.b, uint32(len(m.b)))
	if err := unix.Sendto(fd, m.b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return os.NewSyscallError("recvfrom", err)
	}
	if n < unix.NLMSG_HDRLEN+4 || ne.Uint16(buf[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("rtnetlink answered %x", buf[:n])
	}
	if code := int32(ne.Uint32(buf[unix.NLMSG_HDRLEN:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// ifinfo is struct ifinfomsg.
func ifinfo(index int, flags, change uint32) []byte {
	b := make([]byte, 0, unix.SizeofIfInfomsg)
	b = append(b, unix.AF_UNSPEC, 0, 0, 0)
	b = ne.AppendUint32(b, uint32(index))
	b = ne.AppendUint32(b, flags)
	return ne.AppendUint32(b, change)
}

// addVeth makes a pair of interfaces: name here, peer in the namespace there.
func addVeth(name string, mac [6]byte, peer string, peerMAC [6]byte, there *namespace) error {
	m := newMessage(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, ifinfo(0, 0, 0))
	m.text(unix.IFLA_IFNAME, name)
	m.bytes(unix.IFLA_ADDRESS, mac[:])
	m.attr(unix.IFLA_LINKINFO, func() {
		m.text(unix.IFLA_INFO_KIND, "veth")
		m.attr(unix.IFLA_INFO_DATA, func() {
			m.attr(infoPeer, func() {
				m.raw(ifinfo(0, 0, 0)...)
				m.text(unix.IFLA_IFNAME, peer)
				m.bytes(unix.IFLA_ADDRESS, peerMAC[:])
				m.number(unix.IFLA_NET_NS_FD, uint32(there.fd))
			})
		})
	})
	return m.send()
}

// setUp brings an interface up.
func setUp(index int) error {
	return newMessage(unix.RTM_NEWLINK, 0, ifinfo(index, unix.IFF_UP, unix.IFF_UP)).send()
}

// addAddr gives an interface an address.
func addAddr(index int, p netip.Prefix) error {
	m := newMessage(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL,
		slices.Concat([]byte{family(p.Addr()), byte(p.Bits()), unix.IFA_F_NODAD, 0}, ne.AppendUint32(nil, uint32(index))))
	m.address(unix.IFA_LOCAL, p.Addr())
	m.address(unix.IFA_ADDRESS, p.Addr())
	return m.send()
}

// addNeighbour tells the kernel where an address is for good, so that it never
// asks: nobody would answer.
func addNeighbour(index int, a netip.Addr, mac [6]byte) error {
	fixed := append([]byte{family(a), 0, 0, 0}, ne.AppendUint32(nil, uint32(index))...)
	fixed = ne.AppendUint16(fixed, unix.NUD_PERMANENT)
	m := newMessage(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, append(fixed, 0, 0))
	m.address(unix.NDA_DST, a)
	m.bytes(unix.NDA_LLADDR, mac[:])
	return m.send()
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
