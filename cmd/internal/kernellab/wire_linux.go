package kernellab

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"stallwatch/capture"
)

// patience is how long the lab waits for what must happen. Only a machine that
// is far too busy, or a kernel that does something else, gets there.
const patience = time.Minute

// wire joins two namespaces by a veth pair. The server's kernel has one end;
// at the other, frames are put on the wire as they are. What passes the
// server's end is captured, both ways, with the kernel's time stamps.
type wire struct {
	client, server *namespace
	out            int // AF_PACKET socket on the client's end
	in             int // AF_PACKET socket on the server's end
	pings          uint16
	closed         chan struct{} // when the reader has ended

	mu     sync.Mutex // guards frames and err
	news   sync.Cond
	frames []Frame
	err    error
}

// newWire makes the namespaces and the wire, and captures.
func newWire() (*wire, error) {
	w := &wire{out: -1, in: -1, closed: make(chan struct{})}
	w.news.L = &w.mu
	err := w.build()
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	go w.read()
	if err := w.comeUp(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// comeUp waits until frames pass: the kernel drops them silently for a while
// after an interface was set up (linkwatch).
func (w *wire) comeUp() error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if err := w.ping(); err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
		w.mu.Lock()
		n := len(w.frames)
		w.mu.Unlock()
		if n > 0 {
			return nil
		}
	}
	return errors.New("the wire does not come up")
}

func (w *wire) build() (err error) {
	if w.server, err = newNamespace(); err != nil {
		return err
	}
	if w.client, err = newNamespace(); err != nil {
		return err
	}
	if err := w.client.do(w.clientEnd); err != nil {
		return fmt.Errorf("client's end: %w", err)
	}
	if err := w.server.do(w.serverEnd); err != nil {
		return fmt.Errorf("server's end: %w", err)
	}
	return nil
}

func (w *wire) clientEnd() error {
	// The pair's MAC is not the one that frames carry: what the server
	// answers is for another host, and this kernel leaves it alone.
	if err := addVeth("swclient", [6]byte{2, 0, 0, 0, 77, 3}, "swserver", serverMAC, w.server); err != nil {
		return fmt.Errorf("make veth pair: %w", err)
	}
	index, err := quietUp("swclient")
	if err != nil {
		return err
	}
	// Protocol 0: it only sends.
	w.out, err = packetSocket(index, 0)
	return err
}

func (w *wire) serverEnd() error {
	if lo, err := net.InterfaceByName("lo"); err != nil {
		return err
	} else if err := setUp(lo.Index); err != nil {
		return err
	}
	index, err := quietUp("swserver")
	if err != nil {
		return err
	}
	if err := addAddr(index, netip.PrefixFrom(serverAddr, 30)); err != nil {
		return fmt.Errorf("add address: %w", err)
	}
	if err := addNeighbour(index, clientAddr, clientMAC); err != nil {
		return fmt.Errorf("add neighbour: %w", err)
	}
	w.in, err = packetSocket(index, unix.ETH_P_ALL)
	return err
}

// quietUp brings an interface up without the noise of IPv6.
func quietUp(name string) (index int, err error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	err = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0o644)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6 is quiet
		return 0, err
	}
	return ifi.Index, setUp(ifi.Index)
}

func packetSocket(index int, protocol uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	be := protocol<<8 | protocol>>8
	err = errors.Join(
		os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)),
		os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)),
		os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})),
		os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: be, Ifindex: index})))
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// send puts a frame on the wire.
func (w *wire) send(frame []byte) error {
	_, err := unix.Write(w.out, frame)
	return os.NewSyscallError("send", err)
}

// read collects what passes, until the wire is closed.
func (w *wire) read() {
	defer close(w.closed)
	buf, oob := make([]byte, 1<<16), make([]byte, 256)
	for {
		n, oobn, _, _, err := unix.Recvmsg(w.in, buf, oob, 0)
		if err == unix.EAGAIN || err == unix.EINTR {
			if w.stopped() {
				return
			}
			continue
		}
		at, ok := stampOf(oob[:oobn])
		if err == nil && !ok {
			err = errors.New("a frame without a time stamp")
		}
		w.mu.Lock()
		if err != nil {
			w.err = os.NewSyscallError("recvmsg", err)
		} else {
			// Packets of two processors may be stamped and queued in either order.
			if k := len(w.frames); k > 0 && at <= w.frames[k-1].At {
				at = w.frames[k-1].At + 1
			}
			w.frames = append(w.frames, Frame{at, bytes.Clone(buf[:n])})
		}
		w.news.Broadcast()
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func stampOf(oob []byte) (capture.Time, bool) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			return capture.Time(int64(ne.Uint64(m.Data))*1e9 + int64(ne.Uint64(m.Data[8:]))), true
		}
	}
	return 0, false
}

var errClosed = errors.New("the wire is closed")

func (w *wire) stopped() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

// until waits until cond, given all frames so far, is true.
func (w *wire) until(what string, cond func([]Frame) bool) error {
	deadline := time.Now().Add(patience)
	late := time.AfterFunc(patience, func() {
		w.mu.Lock() // or the wait below could begin between its look at the clock and this
		defer w.mu.Unlock()
		w.news.Broadcast()
	})
	defer late.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !cond(w.frames) {
		if w.err != nil {
			return w.err
		}
		if !time.Now().Before(deadline) {
			return fmt.Errorf("%s did not happen within %v", what, patience)
		}
		w.news.Wait()
	}
	return nil
}

// pingID marks the lab's own echo requests.
const pingID = 0x7a77

func (w *wire) ping() error {
	w.pings++
	return w.send(appendIPv4(nil, unix.IPPROTO_ICMP, w.pings, 0, false, appendEcho(nil, pingID, w.pings)))
}

// barrier returns when the server's kernel has handled every frame sent so
// far and the capture has what came of it: an echo request goes the same way
// behind them, and its answer is captured. It returns all frames until then.
func (w *wire) barrier() ([]Frame, error) {
	if err := w.ping(); err != nil {
		return nil, err
	}
	var seen []Frame
	looked := 0
	err := w.until("the echo of ping "+strconv.Itoa(int(w.pings)), func(frames []Frame) bool {
		for ; looked < len(frames); looked++ {
			if i, n, ok := echoReply(frames[looked].Data); ok && i == pingID && n == w.pings {
				seen = frames[: looked+1 : looked+1]
				return true
			}
		}
		return false
	})
	return seen, err
}

// close ends the capture; the namespaces end with their last user.
func (w *wire) close() error {
	var all error
	w.mu.Lock()
	if w.err == nil {
		w.err = errClosed
	}
	w.mu.Unlock()
	if w.in >= 0 {
		<-w.closed
		all = errors.Join(all, unix.Close(w.in))
	}
	if w.out >= 0 {
		all = errors.Join(all, unix.Close(w.out))
	}
	for _, ns := range []*namespace{w.client, w.server} {
		if ns != nil {
			all = errors.Join(all, ns.close())
		}
	}
	return all
}
