package kernellab

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"stallwatch/capture"
)

// T is the part of *testing.T that a Play needs.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Play is one row being played: its wire, its server, its checkpoints. Its
// methods end the row when the lab itself fails. It is for one goroutine.
type Play struct {
	t      T
	w      *wire
	srv    *process
	opts   ServerOptions
	ports  uint16
	Checks []Check
}

// NewPlay makes the namespaces and starts the server.
func NewPlay(t T, o ServerOptions) *Play {
	t.Helper()
	p := &Play{t: t, opts: o, ports: 40000}
	w, err := newWire()
	if err != nil {
		t.Fatalf("make the wire: %v", err)
	}
	p.w = w
	if o.Cookies != "" {
		p.must(w.server.set("ipv4/tcp_syncookies", o.Cookies))
	}
	if p.srv, err = startServer(w.server, o); err != nil {
		w.close()
		t.Fatalf("%v", err)
	}
	return p
}

// Close ends the server and the wire.
func (p *Play) Close() error { return errors.Join(p.srv.kill(), p.w.close()) }

// Frames returns what was captured so far.
func (p *Play) Frames() []Frame {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.w.frames[:len(p.w.frames):len(p.w.frames)]
}

func (p *Play) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%v", err)
	}
}

// Check waits until the kernel is as the row says (in the words of
// Kernel.String), and holds the tracker against it at that instant.
func (p *Play) Check(label, want string, b Blind, says ...string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		c, frames, err := p.look()
		p.must(err)
		if got := c.Kernel.String(); got == want {
			c.Label, c.Blind, c.Says = label, b, says
			p.Checks = append(p.Checks, c)
			if d := Judge(frames, &c); len(d) > 0 {
				p.t.Errorf("%s:\n\t%s\nthe kernel: %s\nthe packets:\n%s", label, strings.Join(d, "\n\t"), got, Dump(frames))
			}
			return
		} else if time.Now().After(deadline) {
			p.t.Fatalf("%s: the kernel says %q, the row %q\nthe packets:\n%s", label, got, want, Dump(frames))
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// look reads what the host says at an instant at which no segment is under
// way: none passes between two barriers around the reading.
func (p *Play) look() (c Check, frames []Frame, err error) {
	for range 100 {
		if frames, err = p.w.barrier(); err != nil {
			return c, nil, err
		}
		c = Check{At: frames[len(frames)-1].At}
		r, err := p.srv.report()
		if err != nil {
			return c, nil, err
		}
		c.Kernel = Kernel{Descriptors: r.Sockets, Apps: r.Conns}
		if c.Kernel.Sockets, c.Kernel.Queue, err = sockets(p.w.server); err != nil {
			return c, nil, err
		}
		after, err := p.w.barrier()
		if err != nil {
			return c, nil, err
		}
		if len(segments(after[len(frames):])) == 0 {
			return c, frames, nil
		}
	}
	return c, nil, errors.New("the wire is never quiet")
}

// Wait lets real time pass: for what a kernel does, or must not do, by timer.
func (p *Play) Wait(d time.Duration) { time.Sleep(d) }

// Kill ends the server process by kill -9.
func (p *Play) Kill() {
	p.t.Helper()
	p.must(p.srv.kill())
}

// Restart starts another server process, which listens on the same port.
func (p *Play) Restart() {
	p.t.Helper()
	srv, err := startServer(p.w.server, p.opts)
	p.must(err)
	p.srv = srv
}

// Accepted is a connection in the hands of the application.
type Accepted struct {
	p *Play
	n int
}

// Accept makes the application take the connection at the head of the queue.
func (p *Play) Accept() *Accepted {
	p.t.Helper()
	r, err := p.srv.do(order{Do: "accept"})
	p.must(err)
	return &Accepted{p, len(r.Conns) - 1}
}

func (a *Accepted) do(o order) App {
	a.p.t.Helper()
	o.Conn = a.n
	r, err := a.p.srv.do(o)
	a.p.must(err)
	return r.Conns[a.n]
}

// Read makes the application read until it has n bytes or all there will be.
func (a *Accepted) Read(n int) App { a.p.t.Helper(); return a.do(order{Do: "read", N: n}) }

// ReadAll makes it read until the end of the stream.
func (a *Accepted) ReadAll() App { a.p.t.Helper(); return a.Read(1 << 30) }

// Drain makes it read what is there.
func (a *Accepted) Drain() App { a.p.t.Helper(); return a.do(order{Do: "drain"}) }

// Answer makes it write an answer.
func (a *Accepted) Answer() {
	a.p.t.Helper()
	a.do(order{Do: "write", Data: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"})
}

// Shutdown makes it end its direction, and Close the whole connection.
func (a *Accepted) Shutdown() { a.p.t.Helper(); a.do(order{Do: "shutdown"}) }

// Close makes the application close the connection.
func (a *Accepted) Close() { a.p.t.Helper(); a.do(order{Do: "close"}) }

// dumped is how many segments a failure shows.
const dumped = 16

// Dump prints the last segments among frames, a line each, for a reader.
func Dump(frames []Frame) string {
	var b strings.Builder
	all := segments(frames)
	all = all[max(len(all)-dumped, 0):]
	for _, s := range all {
		began := all[0].At
		from := "S"
		if s.Dst.AddrPort() == serverEnd {
			from = "C"
		}
		fmt.Fprintf(&b, "\t%.6f %s %d>%d %s seq=%d ack=%d len=%d %.24q\n", s.At.Sub(began).Seconds(), from, s.Src.Port(), s.Dst.Port(),
			flagNames(s.Flags), s.Seq, s.Ack, s.Len(), s.Payload)
	}
	return b.String()
}

func flagNames(f capture.Flags) string {
	var b strings.Builder
	for i, name := range []string{"FIN ", "SYN ", "RST ", "PSH ", "ACK ", "URG "} {
		if f&(1<<i) != 0 {
			b.WriteString(name)
		}
	}
	return strings.TrimSpace(b.String())
}
