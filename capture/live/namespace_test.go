package live

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
)

// inNamespaces reruns the test in a network namespace of its own, where a
// second one, reached by a veth pair, is called "far". It reports whether it
// is the rerun that asks.
func inNamespaces(t *testing.T) bool {
	t.Helper()
	if os.Getenv("STALLWATCH_CHILD") != "" {
		return true
	}
	cmd := exec.Command("unshare", "-n", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "STALLWATCH_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(string(out), "unshare failed") && os.Getenv("CI") == "" {
		t.Skipf("needs the right to make a network namespace: %s", out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

func ip(t *testing.T, line string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", line, err, out)
	}
}

// pair makes near, here, and far, in the namespace of the process returned,
// which waits.
func pair(t *testing.T) (pid string) {
	t.Helper()
	keeper := exec.Command("unshare", "-n", "cat") // ends with its input, also when this process dies
	in, err := keeper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		keeper.Wait()
	})
	pid = "/proc/" + strconv.Itoa(keeper.Process.Pid) + "/ns/net"
	own, _ := os.Readlink("/proc/self/ns/net")
	for limit := time.Now().Add(patience); ; {
		if theirs, err := os.Readlink(pid); err == nil && theirs != own {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the second namespace does not come up")
		}
	}
	ip(t, "link set lo up")
	ip(t, "link add near type veth peer name far")
	ip(t, "link set far netns "+strconv.Itoa(keeper.Process.Pid))
	ip(t, "addr add 10.99.0.1/24 dev near")
	ip(t, "link set near up")
	for _, line := range []string{"addr add 10.99.0.2/24 dev far", "link set far up", "link set lo up"} {
		far(t, pid, "ip "+line)
	}
	return pid
}

func far(t *testing.T, ns, line string) {
	t.Helper()
	if out, err := exec.Command("nsenter", append([]string{"--net=" + ns, "--"}, strings.Fields(line)...)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}

// TestBetweenNamespaces reads an answer across the pair, captured on the pair, on any,
// and on two interfaces at once.
func TestBetweenNamespaces(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	ns := pair(t)
	for _, tt := range []struct {
		name   string
		ifaces []string
		host   string
	}{
		{"veth", []string{"near"}, "10.99.0.1"},
		{"any", []string{"any"}, "10.99.0.1"},
		{"two interfaces", []string{"near", "lo"}, "10.99.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln, err := net.Listen("tcp", tt.host+":0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				if c, err := ln.Accept(); err == nil {
					c.Write([]byte("answer of the node"))
					c.Close()
				}
			}()
			port := ln.Addr().(*net.TCPAddr).Port
			s := open(t, Options{Interfaces: tt.ifaces, Ports: []uint16{uint16(port)}})
			far(t, ns, "timeout 60 bash -c cat</dev/tcp/"+tt.host+"/"+strconv.Itoa(port))
			until(t, s, "answer", func(it *capture.Item) bool {
				return it.Kind == capture.PacketSeen && bytes.Contains(it.Packet.Data, []byte("answer of the node"))
			})
		})
	}
}

func TestInterfaceGoesAway(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	pair(t)
	for _, tt := range []struct{ name, iface, line string }{
		{"down", "near", "link set near down"},
		{"gone", "near", "link del near"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ip(t, "link set near up")
			s := open(t, Options{Interfaces: []string{tt.iface}})
			ip(t, tt.line)
			var it capture.Item
			var err error
			for limit := time.Now().Add(patience); err == nil && time.Now().Before(limit); {
				err = s.Next(&it)
			}
			if !errors.Is(err, ErrInterfaceDown) || !strings.Contains(err.Error(), tt.iface) {
				t.Errorf("got %v, want %v", err, ErrInterfaceDown)
			}
		})
	}
}
