package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"stallwatch/cmd/internal/demo"
)

// Scenario is a capture and how it is made.
type Scenario struct {
	Name string // of the files; a letter, then letters, digits and underscores
	Doc  string // what happens in it, for events.json
	Play func(context.Context, *Stage) error
}

// Scenarios are all there are, in the order in which make.sh plays them.
func Scenarios() []Scenario {
	return []Scenario{
		{"iri2018", "the attack of January 2018 on the demo node, over loopback, to the node's death", playAttack},
		{"iri2018_monitor", "the same on a node with IRI's object monitor: the first stalled call blocks five commands", playMonitor},
		{"iri2018_netns", "the attack between two network namespaces over veth, from several addresses", playNamespaces},
		{"honest_mix", "a minute of wallets and a monitor, no attack", playHonest},
		{"nginx_proxy", "the attack through nginx; both legs are captured", playNginx},
		{"haproxy_proxy", "the attack through HAProxy with the time-outs of the IRI playbook; both legs are captured", playHAProxy},
		{"curl_mix", "curl and half-closing clients: every framing that HTTP/1.1 has", playCurl},
		{"wrk_load", "wrk, plain and pipelining", playWrk},
		{"slowhttptest_headers", "slow headers (Slowloris) beside honest clients", playSlowHeaders},
		{"slowhttptest_body", "slow bodies beside honest clients: each holds a worker", playSlowBody},
		{"slowhttptest_read", "slow readers of a large static file of nginx", playSlowRead},
	}
}

// Ports: the node's is IRI's, the proxy's that of the IRI playbook.
const (
	nodePort  = 14265
	proxyPort = 14267
)

var (
	nodeAddr  = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), nodePort)
	proxyAddr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), proxyPort)
)

// onLoopback starts a node with capture and truth on loopback.
func onLoopback(st *Stage, o demo.NodeOptions) (*demo.NodeProc, error) {
	if err := st.Capture("lo", "tcp port "+strconv.Itoa(nodePort)); err != nil {
		return nil, err
	}
	o.Listen = nodeAddr
	p, err := st.Node(o)
	if err != nil {
		return nil, err
	}
	return p, st.Truth(Target{p.PID, nodePort})
}

func playAttack(ctx context.Context, st *Stage) error {
	s := demo.DefaultScenario()
	p, err := onLoopback(st, s.Node)
	if err != nil {
		return err
	}
	return st.Play(ctx, p, s)
}

func playMonitor(ctx context.Context, st *Stage) error {
	s := demo.DefaultScenario()
	s.Node.Monitor = true
	p, err := onLoopback(st, s.Node)
	if err != nil {
		return err
	}
	return st.Play(ctx, p, s)
}

func playHonest(ctx context.Context, st *Stage) error {
	s := demo.DefaultScenario()
	s.Attack.Rate, s.Length = 0, time.Minute
	p, err := onLoopback(st, s.Node)
	if err != nil {
		return err
	}
	return st.Play(ctx, p, s)
}

// netNode is the node's address when it has a namespace of its own.
var netNode = netip.MustParseAddrPort("10.77.0.2:14265")

// playNamespaces has the clients in the stage's own namespace and the node in
// a second one.
func playNamespaces(ctx context.Context, st *Stage) error {
	addrs, err := st.split(20)
	if err != nil {
		return err
	}
	if err := st.Capture("node", "tcp port "+strconv.Itoa(nodePort)); err != nil {
		return err
	}
	s := demo.DefaultScenario()
	s.Clients.Sources, s.Attack.Sources = addrs[:14], addrs[14:]
	s.Node.Listen = netNode
	p, err := st.Node(s.Node)
	if err != nil {
		return err
	}
	if err := st.Truth(Target{p.PID, nodePort}); err != nil {
		return err
	}
	return st.Play(ctx, p, s)
}

// split makes a network namespace for the node, with the interface "node" and
// netNode's address, and a veth pair to the stage's own, where clients get n
// addresses from 10.77.0.100 up. From then on the stage's commands and nodes
// run inside it.
func (st *Stage) split(n byte) ([]netip.Addr, error) {
	name := fmt.Sprintf("stalllab-%d", os.Getpid())
	if err := st.run("ip netns add " + name); err != nil {
		return nil, err
	}
	st.onClose(func() error { st.Inside = nil; return st.run("ip netns delete " + name) })
	lines := []string{
		"ip link add clients type veth peer name node netns " + name,
		"ip link set clients up",
		"ip netns exec " + name + " ip address add " + netNode.Addr().String() + "/24 dev node",
		"ip netns exec " + name + " ip link set node up",
	}
	var addrs []netip.Addr
	for i := range n {
		a := netip.AddrFrom4([4]byte{10, 77, 0, 100 + i})
		addrs = append(addrs, a)
		lines = append(lines, "ip address add "+a.String()+"/24 dev clients")
	}
	for _, line := range lines {
		if err := st.run(line); err != nil {
			return nil, err
		}
	}
	st.Inside = []string{"ip", "netns", "exec", name}
	return addrs, nil
}

// run runs a short command in the stage's present namespace.
func (st *Stage) run(line string) error {
	if out, err := st.command(strings.Fields(line)...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}
