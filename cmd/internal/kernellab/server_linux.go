package kernellab

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ServerOptions configure the listening socket and its namespace.
type ServerOptions struct {
	Backlog   int    // of listen(2), 0: 16; the queue holds one more
	Defer     int    // TCP_DEFER_ACCEPT in seconds; 0: off
	KeepAlive int    // SO_KEEPALIVE, first probe and interval in seconds; 0: off
	Receive   int    // SO_RCVBUF in bytes; 0: the kernel's default
	Cookies   string // net.ipv4.tcp_syncookies; empty: 1, as by default
}

// order is a line on the server's standard input, and report the line that
// answers it. The server does nothing on its own: it accepts, reads, writes
// and closes when told, so that each row decides how the application behaves.
type order struct {
	Do     string // listen, accept, read, drain, write, shutdown, close, report
	Listen ServerOptions
	Conn   int    // which of the accepted connections, from 0
	N      int    // read: until so many bytes were read in all
	Data   string // write
}

type report struct {
	Err     string
	Conns   []App
	Sockets int // descriptors of sockets that are open, without the listener's
}

// socket is an App in the process that has it.
type socket App

// server is the state of the server process.
type server struct {
	listener int
	conns    []App
}

// ServerMain is the server process: it obeys the orders on in until it ends.
func ServerMain(in io.Reader, out io.Writer) error {
	s := &server{listener: -1}
	orders, reports := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		var r report
		if err := s.obey(&o); err != nil {
			r.Err = fmt.Sprintf("%s: %v", o.Do, err)
		}
		var err error
		if r.Sockets, err = s.sockets(); err != nil {
			r.Err += err.Error()
		}
		r.Conns = s.conns
		if err := reports.Encode(&r); err != nil {
			return fmt.Errorf("write a report: %w", err)
		}
	}
}

func (s *server) obey(o *order) error {
	switch o.Do {
	case "listen":
		return s.listen(&o.Listen)
	case "accept":
		return s.accept()
	case "report":
		return nil
	}
	if o.Conn >= len(s.conns) {
		return fmt.Errorf("connection %d of %d", o.Conn, len(s.conns))
	}
	c := (*socket)(&s.conns[o.Conn])
	switch o.Do {
	case "read":
		return c.readUntil(o.N)
	case "drain":
		c.drain()
		return nil
	case "write":
		n, err := unix.Write(c.fd, []byte(o.Data))
		c.Wrote += max(n, 0)
		return err
	case "shutdown":
		return unix.Shutdown(c.fd, unix.SHUT_WR)
	case "close":
		c.Closed = true
		return unix.Close(c.fd)
	}
	return errors.New("no such order")
}

func (s *server) listen(o *ServerOptions) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	options := [][3]int{{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}}
	if o.Defer > 0 {
		options = append(options, [3]int{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, o.Defer})
	}
	if o.KeepAlive > 0 { // inherited by what is accepted
		options = append(options, [3]int{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			[3]int{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, o.KeepAlive}, [3]int{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, o.KeepAlive},
			[3]int{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 2})
	}
	if o.Receive > 0 {
		options = append(options, [3]int{unix.SOL_SOCKET, unix.SO_RCVBUF, o.Receive})
	}
	for _, v := range options {
		if err := unix.SetsockoptInt(fd, v[0], v[1], v[2]); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(serverEnd.Port()), Addr: serverAddr.As4()}); err != nil {
		return err
	}
	s.listener = fd
	return unix.Listen(fd, cmp.Or(o.Backlog, 16))
}

func (s *server) accept() error {
	if err := ready(s.listener); err != nil {
		return err
	}
	fd, from, err := unix.Accept4(s.listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return err
	}
	a, ok := from.(*unix.SockaddrInet4)
	if !ok {
		return fmt.Errorf("accepted from %T", from)
	}
	s.conns = append(s.conns, App{Port: uint16(a.Port), fd: fd})
	return nil
}

// readUntil reads until the application has n bytes, or all there will be.
func (c *socket) readUntil(n int) error {
	for len(c.Read) < n && c.End == "" {
		if err := ready(c.fd); err != nil {
			return fmt.Errorf("%w with %d of %d bytes", err, len(c.Read), n)
		}
		c.receive(0)
	}
	return nil
}

// drain reads what is there.
func (c *socket) drain() {
	for c.End == "" && c.receive(unix.MSG_DONTWAIT) {
	}
}

// receive reads once, and reports whether there may be more.
func (c *socket) receive(flags int) bool {
	buf := make([]byte, 1<<16)
	n, _, err := unix.Recvfrom(c.fd, buf, flags)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return err == unix.EINTR
	case err != nil:
		c.End = err.Error()
	case n == 0:
		c.End = "EOF"
	default:
		c.Read += string(buf[:n])
	}
	return n > 0
}

// ready waits until fd can be read or accepted from.
func ready(fd int) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("nothing came within %v", patience)
		default:
			return nil
		}
	}
}

// sockets counts the descriptors that are sockets and not the listener.
func (s *server) sockets() (int, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	if s.listener >= 0 {
		n--
	}
	return n, nil
}
