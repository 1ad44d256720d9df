package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendBatch is how many packets go to the kernel with one call: at a million
// a second a call each would be most of the work.
const sendBatch = 64

// mmsghdr is struct mmsghdr of linux/socket.h.
type mmsghdr struct {
	unix.Msghdr
	sent uint32
}

// sendFile sends the first packets of a capture on an interface at a rate,
// evenly, and prints how many it sent in how many seconds.
func sendFile(path, iface string, packets, rate int) error {
	frames, unmap, err := framesOf(path, packets)
	if err != nil {
		return err
	}
	defer unmap()
	fd, err := openSender(iface)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	begin := time.Now()
	for i := 0; i < len(frames); i += sendBatch {
		due := begin.Add(time.Duration(float64(i) / float64(rate) * 1e9))
		for wait := time.Until(due); wait > 0; wait = time.Until(due) {
			if wait > 200*time.Microsecond {
				time.Sleep(wait - 100*time.Microsecond) // the rest is shorter than a sleep is exact
			}
		}
		if err := sendAll(fd, frames[i:min(i+sendBatch, len(frames))]); err != nil {
			return fmt.Errorf("send on %s: %w", iface, err)
		}
	}
	fmt.Printf("%d %.6f\n", len(frames), time.Since(begin).Seconds())
	return nil
}

func openSender(iface string) (fd int, err error) {
	dev, err := net.InterfaceByName(iface)
	if err != nil {
		return 0, err
	}
	if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	// Past the queueing discipline, whose lock would be the bottleneck.
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		unix.Close(fd)
		return 0, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: dev.Index}); err != nil {
		unix.Close(fd)
		return 0, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

func sendAll(fd int, frames [][]byte) error {
	var iov [sendBatch]unix.Iovec
	var msgs [sendBatch]mmsghdr
	for i, f := range frames {
		iov[i].Base = &f[0]
		iov[i].SetLen(len(f))
		msgs[i].Iov = &iov[i]
		msgs[i].SetIovlen(1)
	}
	for at := 0; at < len(frames); {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msgs[at])), uintptr(len(frames)-at), 0, 0, 0)
		if errno != 0 && errno != unix.EINTR && errno != unix.ENOBUFS && errno != unix.EAGAIN {
			return errno
		}
		if errno == 0 {
			at += int(n)
		}
	}
	return nil
}

// framesOf maps a pcap file of package synth and finds its first frames.
func framesOf(path string, most int) (frames [][]byte, unmap func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return nil, nil, os.NewSyscallError("mmap", err)
	}
	const fileHeader, recordHeader = 24, 16
	for at := fileHeader; at+recordHeader <= len(b) && len(frames) < most; {
		n := int(binary.NativeEndian.Uint32(b[at+8:]))
		at += recordHeader
		if n == 0 || n > len(b)-at {
			return nil, nil, fmt.Errorf("%s: a frame of %d bytes at %d", path, n, at)
		}
		frames = append(frames, b[at:at+n])
		at += n
	}
	return frames, func() { unix.Munmap(b) }, nil
}
