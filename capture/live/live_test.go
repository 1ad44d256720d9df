package live

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
)

// open captures for real. Without the right to it the test is skipped, but
// never in CI.
func open(t *testing.T, o Options) *Source {
	t.Helper()
	s, err := Open(o)
	if errors.Is(err, ErrPermission) && os.Getenv("CI") == "" {
		t.Skipf("needs the right to capture: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// echo serves on loopback and returns the port.
func echo(t *testing.T) (addr string, port uint16) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	return ln.Addr().String(), uint16(ln.Addr().(*net.TCPAddr).Port)
}

func say(t *testing.T, addr, text string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, len(text))); err != nil {
		t.Fatal(err)
	}
}

// patience is for what happens at once on an idle machine: only a test that
// fails waits so long.
const patience = time.Minute

// until reads until found says so.
func until(t *testing.T, s *Source, what string, found func(*capture.Item) bool) {
	t.Helper()
	var it capture.Item
	last := capture.Time(0)
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		if err := s.Next(&it); err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if it.At <= last {
			t.Fatalf("time went from %v to %v", last, it.At)
		}
		last = it.At
		if found(&it) {
			return
		}
	}
	t.Fatalf("no %s within %v", what, patience)
}

func TestCapture(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		link capture.LinkType
	}{
		{name: "any", link: capture.LinkSLL2},
		{name: "lo", o: Options{Interfaces: []string{"lo"}}, link: capture.LinkEthernet},
		{name: "lo, immediate", o: Options{Interfaces: []string{"lo"}, Immediate: true}, link: capture.LinkEthernet},
		{name: "lo, filter", o: Options{Interfaces: []string{"lo"}, Filter: "host 127.0.0.1 or udp"}, link: capture.LinkEthernet},
		{name: "lo, promiscuous", o: Options{Interfaces: []string{"lo"}, Promiscuous: true}, link: capture.LinkEthernet},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, port := echo(t)
			tt.o.Ports = []uint16{port}
			s := open(t, tt.o)
			began := time.Now()
			say(t, addr, "hello, stallwatch")
			sent, said := 0, time.Now()
			until(t, s, "greeting and its echo", func(it *capture.Item) bool {
				if it.Kind == capture.PacketSeen && bytes.Contains(it.Packet.Data, []byte("hello, stallwatch")) {
					sent++
					at := it.At.Std()
					if at.Before(began) || at.After(said) || it.Packet.Link != tt.link || it.Packet.Length < 40 {
						t.Errorf("packet of %v, link %d, %d bytes; want one of between %v and %v, link %d", at, it.Packet.Link, it.Packet.Length, began, said, tt.link)
					}
				}
				return sent == 2
			})
			if st := s.Stats(); st.Delivered == 0 || st.Interfaces[0].Link != tt.link {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

func TestNanoseconds(t *testing.T) {
	addr, port := echo(t)
	s := open(t, Options{Interfaces: []string{"lo"}, Ports: []uint16{port}})
	for range 5 {
		say(t, addr, "x")
	}
	n := 0
	until(t, s, "time finer than a microsecond", func(it *capture.Item) bool {
		if it.Kind == capture.PacketSeen {
			n++
		}
		return it.Kind == capture.PacketSeen && it.At%1000 != 0 && it.At%1000 != 1
	})
}

func TestTickWhenIdle(t *testing.T) {
	_, port := echo(t)
	s := open(t, Options{Ports: []uint16{port}})
	asked := time.Now()
	for n := 0; n < 3; {
		var it capture.Item
		if err := s.Next(&it); err != nil {
			t.Fatal(err)
		}
		given := time.Now()
		if it.Kind == capture.Tick {
			n++
			if at := it.At.Std().Add(s.opts.Grace); at.Before(asked) || at.After(given) {
				t.Errorf("tick of %v, asked for at %v and given at %v; want it %v behind", it.At.Std(), asked, given, s.opts.Grace)
			}
		}
		asked = given
	}
}

// drain reads to the end and returns the last item.
func drain(t *testing.T, s *Source) capture.Item {
	t.Helper()
	var it, last capture.Item
	for {
		switch err := s.Next(&it); err {
		case nil:
			last = it
		case io.EOF:
			return last
		default:
			t.Fatal(err)
		}
	}
}

func TestStopWhenIdleAndUnderLoad(t *testing.T) {
	for _, load := range []bool{false, true} {
		for _, names := range [][]string{{"lo"}, append(others(t), "lo")} {
			addr, port := echo(t)
			s := open(t, Options{Interfaces: names, Ports: []uint16{port}})
			quit, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				talk(addr, load, quit)
			}()
			until(t, s, "first item", func(*capture.Item) bool { return true })
			go s.Stop()
			last := drain(t, s) // which the load does not keep up for ever
			if last.Kind != capture.Tick {
				t.Errorf("load %v: the last item is a %v, want a tick", load, last.Kind)
			}
			close(quit)
			<-done
		}
	}
}

// talk sends without pause until quit, if it sends at all.
func talk(addr string, load bool, quit chan struct{}) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer c.Close()
	b := make([]byte, 100)
	for load {
		select {
		case <-quit:
			return
		default:
		}
		if _, err := c.Write(b); err != nil {
			return
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
	}
	<-quit
}

// others returns an interface that is up and not lo, if there is one.
func others(t *testing.T) []string {
	t.Helper()
	list, err := Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		if i.Up && i.Name != "lo" && i.Name != anyInterface {
			return []string{i.Name}
		}
	}
	return nil
}

type fixed struct{ sample capture.Sample }

func (f fixed) Sample(time.Time) *capture.Sample { s := f.sample; return &s }
func (f fixed) WantConns()                       {}

func TestSamplesJoin(t *testing.T) {
	s := open(t, Options{Interfaces: []string{"lo"}, Ports: []uint16{1}, Prober: fixed{capture.Sample{PID: 42}}, ProbeEvery: 50 * time.Millisecond})
	n := 0
	until(t, s, "three samples", func(it *capture.Item) bool {
		if it.Kind == capture.HostSampled && it.Sample.PID == 42 {
			n++
		}
		return n == 3
	})
}

func TestOpenErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		is   error
		want []string
	}{
		{name: "no such interface", o: Options{Interfaces: []string{"nope0"}}, is: ErrNoInterface, want: []string{"nope0", "lo"}},
		{name: "bad filter", o: Options{Filter: "tcp prt 80"}, is: ErrFilter, want: []string{"tcp prt 80", "syntax error"}},
		{name: "filter that breaks out", o: Options{Filter: "tcp) or (udp"}, is: ErrFilter, want: []string{"syntax error"}},
		{name: "snap length", o: Options{SnapLen: 3}, is: ErrSnapLen, want: []string{"128 to 262144"}},
		{name: "any with another", o: Options{Interfaces: []string{"any", "lo"}}, want: []string{"alone"}},
		{name: "twice", o: Options{Interfaces: []string{"lo", "lo"}}, want: []string{"twice"}},
		{name: "grace", o: Options{Grace: time.Millisecond}, want: []string{"longer"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Open(tt.o)
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if errors.Is(err, ErrPermission) && os.Getenv("CI") == "" {
				t.Skip("needs the right to capture")
			}
			if tt.is != nil && !errors.Is(err, tt.is) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want a %v on one line", err, tt.is)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q lacks %q", err, w)
				}
			}
		})
	}
}

// child reruns one test of this binary in a process of its own, which does
// what cannot be undone.
func child(t *testing.T, name string) (out string, err error) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), "STALLWATCH_CHILD="+name)
	b, err := cmd.CombinedOutput()
	return string(b), err
}

func TestDropKeepsCapturing(t *testing.T) {
	if os.Getenv("STALLWATCH_CHILD") == "" {
		open(t, Options{Interfaces: []string{"lo"}}) // skips without the right
		if out, err := child(t, t.Name()); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	addr, port := echo(t)
	s := open(t, Options{Interfaces: []string{"lo"}, Ports: []uint16{port}, Drop: true})
	say(t, addr, "after the drop")
	until(t, s, "packet after the drop", func(it *capture.Item) bool {
		return it.Kind == capture.PacketSeen && bytes.Contains(it.Packet.Data, []byte("after the drop"))
	})
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(string(status), w) {
			t.Errorf("status lacks %q:\n%s", w, status)
		}
	}
	_, err = Open(Options{Interfaces: []string{"lo"}})
	if !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "sudo setcap cap_net_raw=ep "+shellQuote(os.Args[0])) {
		t.Errorf("opening again gives %v, want a refusal with the setcap line", err)
	}
}
