package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"stallwatch/cmd/internal/demo"
)

// bothLegs captures what goes to the proxy and from it to the node.
const bothLegs = "tcp port 14265 or tcp port 14267"

// nginxConf has one worker, gzip as GUIs in front of a node have it, and
// passes the client's address on. nginx closes its side towards the node when
// a client gives up (proxy_ignore_client_abort off): the node sees a FIN.
const nginxConf = `
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	types { application/json json; }
	gzip on; gzip_types application/json; gzip_min_length 100; gzip_proxied any;
	upstream node { server 127.0.0.1:14265; keepalive 4; }
	server {
		listen 127.0.0.1:14267;
		client_max_body_size 8m;
		location / {
			proxy_pass http://node;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_read_timeout 300s;
		}
	}
`

// haproxyConf has the time-outs of nuriel77/iri-playbook of January 2018
// (roles/loadbalancer/templates/haproxy.cfg.j2), without its deny rules,
// which would end the story before it begins.
const haproxyConf = `global
	maxconn 720
defaults
	mode http
	option forwardfor
	timeout client 5m
	timeout client-fin 5m
	timeout http-request 10s
	timeout queue 10s
	timeout connect 10s
	timeout server 300s
	timeout server-fin 5m
frontend api
	bind 127.0.0.1:14267
	default_backend node
backend node
	server iri 127.0.0.1:14265
`

// nginx starts one with the configuration; %[1]s in it is the stage's Temp.
func nginx(st *Stage, conf string) (Target, error) {
	cmd, err := st.nginx(proxyAddr, conf)
	if err != nil {
		return Target{}, err
	}
	return Target{PID: worker(cmd), Port: proxyPort}, nil
}

// worker is the first child of a process: nginx's master has no sockets of
// clients. Without children it is the process itself.
func worker(cmd *exec.Cmd) int {
	pid := cmd.Process.Pid
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return pid
	}
	if f := strings.Fields(string(b)); len(f) > 0 {
		if child, err := strconv.Atoi(f[0]); err == nil {
			return child
		}
	}
	return pid
}

func playNginx(ctx context.Context, st *Stage) error {
	return playProxy(ctx, st, func() (Target, error) { return nginx(st, nginxConf) })
}

// playGivesUp plays the attack through nginx that waits 8 s for an answer and
// then answers 504 itself; it names no client. The attackers are patient.
func playGivesUp(ctx context.Context, st *Stage) error {
	conf := strings.NewReplacer("proxy_read_timeout 300s;", "proxy_read_timeout 8s;", "\t\t\tproxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n", "").Replace(nginxConf)
	return playProxyAs(ctx, st, func(s *demo.Scenario) { s.Attack.Patience = 30 * time.Second }, func() (Target, error) { return nginx(st, conf) })
}

// playLeakyProxy has wallets alone, behind a proxy that never closes what its
// clients have closed.
func playLeakyProxy(ctx context.Context, st *Stage) error {
	alone := func(s *demo.Scenario) {
		s.Clients.Rate, s.Attack.Rate, s.Length = 2, 0, 55*time.Second
	}
	return playProxyAs(ctx, st, alone, func() (Target, error) {
		cmd, err := st.Serve(proxyAddr, st.Exe, LeakyProxyCommand, proxyAddr.String(), nodeAddr.String())
		if err != nil {
			return Target{}, err
		}
		return Target{PID: cmd.Process.Pid, Port: proxyPort}, nil
	})
}

func playHAProxy(ctx context.Context, st *Stage) error {
	return playProxy(ctx, st, func() (Target, error) {
		path, err := st.write("haproxy.cfg", haproxyConf)
		if err != nil {
			return Target{}, err
		}
		cmd, err := st.Serve(proxyAddr, "haproxy", "-db", "-f", path)
		if err != nil {
			return Target{}, err
		}
		return Target{PID: cmd.Process.Pid, Port: proxyPort}, nil
	})
}

// playProxy plays the attack through a proxy.
func playProxy(ctx context.Context, st *Stage, start func() (Target, error)) error {
	return playProxyAs(ctx, st, func(*demo.Scenario) {}, start)
}

// playProxyAs is playProxy with another scenario.
func playProxyAs(ctx context.Context, st *Stage, change func(*demo.Scenario), start func() (Target, error)) error {
	if err := st.Capture("lo", bothLegs); err != nil {
		return err
	}
	s := demo.DefaultScenario()
	change(&s)
	s.Node.Listen = nodeAddr
	p, err := st.Node(s.Node)
	if err != nil {
		return err
	}
	proxy, err := start()
	if err != nil {
		return err
	}
	if err := st.Truth(Target{PID: p.PID, Port: nodePort}, proxy); err != nil {
		return err
	}
	s.Clients.Target, s.Attack.Target = proxyAddr, proxyAddr
	return st.Play(ctx, p, s)
}

// pairConf has HAProxy deal calls to two nodes in turn.
const pairConf = `global
	maxconn 720
defaults
	mode http
	option forwardfor
	timeout client 5m
	timeout http-request 10s
	timeout connect 10s
	timeout server 300s
frontend api
	bind 127.0.0.1:14267
	default_backend nodes
backend nodes
	balance roundrobin
	server first 127.0.0.1:14265
	server second 127.0.0.1:14266
`

// secondPort is that of the second node of two.
const secondPort = 14266

// playTwoNodes has wallets behind a balancer of two nodes and an attack on the
// second alone, past the balancer.
func playTwoNodes(ctx context.Context, st *Stage) error {
	if err := st.Capture("lo", bothLegs+" or tcp port 14266"); err != nil {
		return err
	}
	var nodes [2]*demo.NodeProc
	for i, port := range []uint16{nodePort, secondPort} {
		o := roomy
		o.Listen = netip.AddrPortFrom(nodeAddr.Addr(), port)
		var err error
		if nodes[i], err = st.Node(o); err != nil {
			return err
		}
	}
	path, err := st.write("haproxy.cfg", pairConf)
	if err != nil {
		return err
	}
	cmd, err := st.Serve(proxyAddr, "haproxy", "-db", "-f", path)
	if err != nil {
		return err
	}
	if err := st.Truth(Target{PID: nodes[0].PID, Port: nodePort}, Target{PID: nodes[1].PID, Port: secondPort}, Target{PID: cmd.Process.Pid, Port: proxyPort}); err != nil {
		return err
	}
	s := quietly(8*time.Second, 55*time.Second)
	s.Clients.Target = proxyAddr
	from := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 66, 1}), netip.AddrFrom4([4]byte{127, 0, 66, 2})}
	return st.playWith(ctx, &cast{node: nodes[1], target: nodes[1].Addr, from: from}, s, true, func(ctx context.Context, c *cast) error {
		c.each(ctx, 60, 2500*time.Millisecond, func(i int) {
			c.giveUp(ctx, i, 3*time.Second)
		})
		return nil
	})
}

// preambleConf has HAProxy tell the node's end of each connection who is at
// the other: %s is send-proxy (version 1) or send-proxy-v2.
const preambleConf = `global
	maxconn 720
defaults
	mode http
	timeout client 5m
	timeout http-request 10s
	timeout connect 10s
	timeout server 300s
frontend api
	bind 127.0.0.1:14267
	default_backend node
backend node
	server iri 127.0.0.1:14265 %s
`

// acceptConf is an nginx that takes the PROXY protocol on the node's port, in
// front of a node on another.
const acceptConf = `
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	upstream node { server 127.0.0.1:14266; keepalive 4; }
	server {
		listen 127.0.0.1:14265 proxy_protocol;
		set_real_ip_from 127.0.0.1;
		real_ip_header proxy_protocol;
		location / {
			proxy_pass http://node;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_ignore_client_abort on;
			proxy_read_timeout 300s;
		}
	}
`

func playPreamble1(ctx context.Context, st *Stage) error { return playPreamble(ctx, st, "send-proxy") }
func playPreamble2(ctx context.Context, st *Stage) error {
	return playPreamble(ctx, st, "send-proxy-v2")
}

// playPreamble has an attack and wallets behind HAProxy; what is captured is
// its leg to the API, where nothing but the PROXY protocol names them.
func playPreamble(ctx context.Context, st *Stage, option string) error {
	if err := st.Capture("lo", "tcp port 14265"); err != nil {
		return err
	}
	o := roomy
	o.Workers, o.Listen = 72, netip.AddrPortFrom(nodeAddr.Addr(), secondPort)
	p, err := st.Node(o)
	if err != nil {
		return err
	}
	api, err := st.nginx(nodeAddr, acceptConf)
	if err != nil {
		return err
	}
	path, err := st.write("haproxy.cfg", fmt.Sprintf(preambleConf, option))
	if err != nil {
		return err
	}
	if _, err := st.Serve(proxyAddr, "haproxy", "-db", "-f", path); err != nil {
		return err
	}
	if err := st.Truth(Target{PID: worker(api), Port: nodePort}); err != nil {
		return err
	}
	s := quietly(5*time.Second, 48*time.Second)
	s.Clients.Rate, s.Clients.Keep, s.Clients.Target = 2, 1, proxyAddr
	from := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 66, 1}), netip.AddrFrom4([4]byte{127, 0, 66, 2})}
	return st.playWith(ctx, &cast{node: p, target: proxyAddr, from: from}, s, true, func(ctx context.Context, c *cast) error {
		c.each(ctx, 12, 800*time.Millisecond, func(i int) { c.giveUp(ctx, min(i%4, 1), 3*time.Second) })
		return nil
	})
}

// nginxMain is what all configurations of nginx here have in common.
const nginxMain = `daemon off;
worker_processes 1;
user root;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 512; }
http {
	access_log off;
`

// nginx starts one that serves at, with what stands in the http block of its
// configuration. %[1]s is the stage's own directory there.
func (st *Stage) nginx(at netip.AddrPort, http string) (*exec.Cmd, error) {
	path, err := st.write("nginx.conf", fmt.Sprintf(nginxMain+http+"}\n", st.Temp))
	if err != nil {
		return nil, err
	}
	return st.Serve(at, "nginx", "-p", st.Temp, "-c", path, "-e", "stderr")
}
