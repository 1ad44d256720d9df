package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// sendSYNs sends n bare SYNs, so many a second, between the addresses that pair
// names. They leave by a raw socket: no kernel waits for their answers.
func sendSYNs(ctx context.Context, perSecond, n int, pair func(i int) (from, to netip.AddrPort)) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.IPPROTO_RAW)
	if err != nil {
		return fmt.Errorf("open a raw socket: %w", err)
	}
	defer syscall.Close(fd)
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for i := range n {
		from, to := pair(i)
		if err := syscall.Sendto(fd, synPacket(from, to, uint32(i)*2654435761), 0, &syscall.SockaddrInet4{Addr: to.Addr().As4()}); err != nil {
			return fmt.Errorf("send a SYN from %s to %s: %w", from, to, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// synPacket is an IPv4 packet with a SYN as scanners make it: one option, the
// MSS. The kernel fills in the header's checksum and id (raw(7)).
func synPacket(from, to netip.AddrPort, seq uint32) []byte {
	b := []byte{0x45, 0, 0, 44, 0, 0, 0, 0, 64, syscall.IPPROTO_TCP, 0, 0}
	b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	tcp := len(b)
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint32(b, seq)
	b = append(b, 0, 0, 0, 0, 6<<4, 0x02, 4, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4) // SYN, window 1024, MSS 1460
	sum := uint32(syscall.IPPROTO_TCP + len(b) - tcp)
	for i := 12; i < len(b); i += 2 { // the addresses, then TCP: RFC 9293 section 3.1
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[tcp+16:], ^uint16(sum))
	return b
}

// freeze stops a process for a while, as a collector of garbage that stops the
// world does.
func freeze(ctx context.Context, pid int, d time.Duration) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	sleep(ctx, d)
	return p.Signal(syscall.SIGCONT)
}
