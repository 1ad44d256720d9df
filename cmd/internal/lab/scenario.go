package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
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
		{"nginx_gives_up", "the attack through nginx that waits 8 s and then answers 504 while the node computes on; both legs, no header names clients", playGivesUp},
		{"proxy_leaks", "wallets behind a proxy that never closes what they have closed; both legs, no header names clients", playLeakyProxy},
		{"curl_mix", "curl and half-closing clients: every framing that HTTP/1.1 has", playCurl},
		{"wrk_load", "wrk, plain and pipelining", playWrk},
		{"slowhttptest_headers", "slow headers (Slowloris) beside honest clients", playSlowHeaders},
		{"slowhttptest_body", "slow bodies beside honest clients: each holds a worker", playSlowBody},
		{"slowhttptest_read", "slow readers of a large static file of nginx", playSlowRead},

		{"slow_ramp", "the attack at a call every 3.5 s from one address, on a node with 16 workers", playSlowRamp},
		{"distributed", "the attack with one call an address, none of them twice", playDistributed},
		{"reset_clients", "the attack by clients that leave by RST: descriptors run out, and no socket is to be seen", playResets},
		{"leak_keepalive", "clients that are answered once and never close: descriptors run out without CLOSE_WAIT", playLeak},
		{"conn_flood", "connections that send nothing: 80 in 4 s, and 35 s later more, until the node has no descriptor left", playConnFlood},
		{"syn_flood", "3600 SYNs in 12 s from addresses that never answer", playSYNFlood},
		{"syn_drops", "90 SYNs a second for 12 s from as many addresses, on a kernel that keeps 48 handshakes and sends no cookies", playSYNDrops},
		{"accept_queue", "the node stops accepting for 25 s with a backlog of 32", playAcceptQueue},
		{"pow_burst", "eight clients at once let the node do their proof of work", playPoW},
		{"admin_probe", "the operator's commands from outside; addNeighbors and setApiRateLimit are answered 200, the others 401", playAdmin},
		{"oversized", "lists of more than 1000 elements and bodies of up to 1.1 MB", playOversized},
		{"request_flood", "150 small calls a second from one address for 15 s", playRequestFlood},
		{"malformed", "what is no HTTP and what is no JSON", playMalformed},
		{"random_commands", "commands that do not exist, some of them aimed at the reader of a log", playRandom},
		{"port_scan", "46 ports by connecting and 200 by SYNs alone, from one address; every port is captured", playPortScan},
		{"suspect_parameters", "depths, walks, weights and lists that no wallet asks for, from one address", playSuspect},
		{"flood_ipv6", "130 calls a second over IPv6, each from an address of its own, all of one /64", playFlood6},
		{"two_nodes", "two nodes behind HAProxy; one of them is attacked and falls behind", playTwoNodes},
		{"login_probe", "40 short connections to the SSH port from one address", playLogins},
		{"kill_restart", "the node is killed with calls in flight and starts again 4 s later", playKill},
		{"slower", "tip selections, one at a time; after eleven minutes ten wallets ask instead of one, and all wait", playSlower},
		{"blind_tls", "curl asks a node that speaks TLS on the watched port", playTLS},
		{"blind_to_node", "wallets, of whom only what they send is captured", playToNode},
		{"blind_from_node", "wallets, of whom only what the node answers is captured", playFromNode},
		{"blind_interface", "wallets whose traffic takes another interface than the one that is captured", playOtherInterface},
		{"lossy", "wallets, and big answers that tcpdump's buffer is too small for", playLossy},
		{"late_start", "the capture begins when 40 stalled calls have leaked their sockets", playLate},
		{"proxy_v1", "the attack behind HAProxy, which names its clients by the PROXY protocol, version 1", playPreamble1},
		{"proxy_v2", "the same with version 2", playPreamble2},

		{"honest_slow", "tip selections of 8 to 25 s that wallets wait for", playSlowCalls},
		{"honest_restart", "the operator restarts the node; 60 clients that keep connections come back at once", playHonestRestart},
		{"honest_rush", "the operator restarts the node; 280 clients from as many addresses come back within 1.2 s", playRush},
		{"honest_checks", "HAProxy's check every 2 s, node_check with the admin commands, an exporter", playChecks},
		{"honest_idle", "60 connections that stay idle after one call", playIdle},
		{"honest_aborts", "one client in a hundred leaves before its answer", playAborts},
		{"honest_expired", "clients ask again on kept connections just when nginx gives them up, and then once more on new ones", playExpired},
		{"honest_pool", "wallets behind nginx and HAProxy, which keep pools of connections to the node", playPool},
		{"honest_big_answers", "answers of 1.9 MB to clients on slow lines", playBigAnswers},
		{"honest_growth", "connections rise to 70 % of the descriptors and stay", playGrowth},
		{"honest_pause", "the node's process is stopped for 5 s", playPause},
		{"honest_half_close", "clients that shut their side down and read an answer that takes seconds", playHalfClose},
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
	return p, st.Truth(Target{PID: p.PID, Port: nodePort})
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
	s := demo.DefaultScenario()
	p, addrs, err := overVeth(st, s.Node, "tcp port "+strconv.Itoa(nodePort))
	if err != nil {
		return err
	}
	s.Clients.Sources, s.Attack.Sources = addrs[:honest], addrs[honest:]
	return st.Play(ctx, p, s)
}

// honest is how many of the addresses that overVeth returns are for wallets;
// the rest is for others.
const honest = 14

// overVeth starts a node in a namespace of its own, with capture and truth, and
// returns the addresses that clients may take.
func overVeth(st *Stage, o demo.NodeOptions, filter string) (*demo.NodeProc, []netip.Addr, error) {
	return overVethPrepared(st, o, filter)
}

// overVethPrepared runs commands in the node's namespace before the node
// starts.
func overVethPrepared(st *Stage, o demo.NodeOptions, filter string, commands ...string) (*demo.NodeProc, []netip.Addr, error) {
	return overVethCapturing(st, o, filter, nil, commands...)
}

// overVethCapturing has further arguments for tcpdump.
func overVethCapturing(st *Stage, o demo.NodeOptions, filter string, extra []string, commands ...string) (*demo.NodeProc, []netip.Addr, error) {
	addrs, err := st.split(20)
	if err != nil {
		return nil, nil, err
	}
	for _, line := range commands {
		if err := st.run(line); err != nil {
			return nil, nil, err
		}
	}
	if err := st.Capture("node", filter, extra...); err != nil {
		return nil, nil, err
	}
	o.Listen = netNode
	p, err := st.Node(o)
	if err != nil {
		return nil, nil, err
	}
	return p, addrs, st.Truth(Target{PID: p.PID, Port: nodePort})
}

// split makes a network namespace for the node, with the interface "node" and
// netNode's address, and a veth pair to the stage's own, where clients get n
// addresses from 10.77.0.100 up. From then on the stage's commands and nodes
// run inside it.
func (st *Stage) split(n byte) ([]netip.Addr, error) {
	var addrs []netip.Addr
	err := st.splitWith(func() error {
		if err := st.run("ip address add " + netNode.Addr().String() + "/24 dev node"); err != nil {
			return err
		}
		for i := range n {
			a := netip.AddrFrom4([4]byte{10, 77, 0, 100 + i})
			addrs = append(addrs, a)
			if err := st.runHere("ip address add " + a.String() + "/24 dev clients"); err != nil {
				return err
			}
		}
		return nil
	})
	return addrs, err
}

// splitWith makes the namespace and the pair, without addresses; they are
// given by address.
func (st *Stage) splitWith(address func() error) error {
	name := fmt.Sprintf("stalllab-%d", os.Getpid())
	if err := st.run("ip netns add " + name); err != nil {
		return err
	}
	st.onClose(func() error { st.Inside = nil; return st.run("ip netns delete " + name) })
	if err := errors.Join(st.runHere("ip link add clients type veth peer name node netns "+name), st.runHere("ip link set clients up")); err != nil {
		return err
	}
	st.Inside = []string{"ip", "netns", "exec", name}
	if err := st.run("ip link set node up"); err != nil {
		return err
	}
	return address()
}

// run runs a short command in the stage's present namespace.
func (st *Stage) run(line string) error {
	return st.runHere(strings.Join(append(slices.Clone(st.Inside), line), " "))
}

// runHere runs a short command in the stage's own namespace.
func (st *Stage) runHere(line string) error {
	f := strings.Fields(line)
	if out, err := exec.Command(f[0], f[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}
