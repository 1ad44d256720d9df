package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"stallwatch/cmd/internal/demo"
)

// playSlowCalls has tip selections of 8 to 25 s, as public nodes had before
// the attack (iotaledger/iri#476), and wallets that wait for them.
func playSlowCalls(ctx context.Context, st *Stage) error {
	o := demo.NodeOptions{Workers: 32, FDLimit: 512, Compute: map[string]demo.Span{"getTransactionsToApprove": {Least: 8 * time.Second, Most: 25 * time.Second}}}
	s := quietly(0, 75*time.Second)
	s.Clients.Timeout = time.Minute
	return vethWith(ctx, st, o, s, false, func(context.Context, *cast) error { return nil })
}

// playHonestRestart has 60 clients that keep a connection, and a node that its
// operator restarts: they all come back at once.
func playHonestRestart(ctx context.Context, st *Stage) error {
	return playRestart(ctx, st, restart{
		scenario: quietly(25*time.Second, 60*time.Second), down: time.Second, end: (*demo.NodeProc).Quit,
		before: func(ctx context.Context, c *cast) {
			c.each(ctx, 60, 100*time.Millisecond, func(i int) {
				for ctx.Err() == nil {
					c.poll(ctx, netip.AddrFrom4([4]byte{127, 0, 2, byte(1 + i)}), 6*time.Second)
					sleep(ctx, 200*time.Millisecond)
				}
			})
		},
	})
}

// playRush has 280 clients, each from an address of its own, that ask once and
// keep their connection, and a node that its operator restarts: all are back
// within a second and a half.
func playRush(ctx context.Context, st *Stage) error {
	const clients = 280
	s := quietly(18*time.Second, 40*time.Second)
	s.Clients.Rate, s.Clients.Keep = 1, -1
	return playRestart(ctx, st, restart{
		scenario: s, down: 1500 * time.Millisecond, end: (*demo.NodeProc).Quit,
		before: func(ctx context.Context, c *cast) {
			c.each(ctx, clients, 25*time.Millisecond, func(i int) {
				from := netip.AddrFrom4([4]byte{127, 0, 2 + byte(i/200), byte(1 + i%200)})
				c.poll(ctx, from, time.Hour)
				sleep(ctx, 1600*time.Millisecond+rand.N(1200*time.Millisecond))
				c.poll(ctx, from, time.Hour)
			})
		},
	})
}

// poll asks for news on one connection every so often, until the node closes
// it, which is noticed at once.
func (c *cast) poll(ctx context.Context, from netip.Addr, every time.Duration) {
	c.calls.Add(1)
	g := dial(ctx, from, c.target)
	if g == nil {
		return
	}
	defer g.close()
	for g.call(post(info)) == nil && ctx.Err() == nil {
		g.SetReadDeadline(time.Now().Add(every/2 + rand.N(every)))
		var timeout net.Error
		if _, err := g.br.Peek(1); !errors.As(err, &timeout) || !timeout.Timeout() {
			return
		}
		g.SetReadDeadline(time.Now().Add(patience))
	}
}

// checkConf has HAProxy check the node as the IRI playbook has it, more often.
const checkConf = `global
	maxconn 24
defaults
	mode http
	timeout client 5m
	timeout connect 10s
	timeout server 300s
frontend api
	bind 10.77.0.100:14267
	default_backend node
backend node
	option httpchk POST /
	http-check expect status 400
	default-server inter 2s fall 4 rise 2
	server iri 10.77.0.2:14265 check source 10.77.0.114
`

// playChecks has what watches a node: HAProxy's check, node_check of the
// playbook's consul (each admin command without arguments, which must be
// refused) and an exporter.
func playChecks(ctx context.Context, st *Stage) error {
	o := roomy
	o.Limited = []string{"getNeighbors", "addNeighbors", "removeNeighbors", "attachToTangle", "interruptAttachingToTangle"}
	p, addrs, err := overVeth(st, o, "tcp port 14265")
	if err != nil {
		return err
	}
	path, err := st.write("haproxy.cfg", checkConf)
	if err != nil {
		return err
	}
	inside := st.Inside
	st.Inside = nil // the balancer is another host
	_, err = st.Serve(netip.MustParseAddrPort("10.77.0.100:14267"), "haproxy", "-db", "-f", path)
	st.Inside = inside
	if err != nil {
		return err
	}
	s := quietly(time.Second, 60*time.Second)
	s.Clients.Sources = addrs[:honest]
	return st.playWith(ctx, &cast{node: p, from: addrs[honest+1:]}, s, false, func(ctx context.Context, c *cast) error {
		c.wg.Go(func() { // the exporter
			for ctx.Err() == nil {
				c.ask(ctx, 1, info)
				sleep(ctx, 5*time.Second)
			}
		})
		for ctx.Err() == nil {
			c.ask(ctx, 0, info)
			for _, command := range o.Limited {
				c.ask(ctx, 0, `{"command":"`+command+`"}`)
			}
			sleep(ctx, 10*time.Second)
		}
		return nil
	})
}

// playIdle has 60 clients that ask once and keep their connection, silent,
// for the whole time.
func playIdle(ctx context.Context, st *Stage) error {
	return vethWith(ctx, st, roomy, quietly(2*time.Second, 56*time.Second), false, func(ctx context.Context, c *cast) error {
		c.each(ctx, 60, 50*time.Millisecond, func(i int) {
			if g := c.dial(ctx, i); g != nil {
				defer g.close()
				g.call(post(info))
				<-ctx.Done()
			}
		})
		return nil
	})
}

// playAborts has wallets make 10 calls a second and now and then, once in a
// hundred, a client that leaves before its answer: by FIN or by RST.
func playAborts(ctx context.Context, st *Stage) error {
	s := demo.DefaultScenario()
	s.WarmUp, s.Length = 2*time.Second, 62*time.Second
	return vethWith(ctx, st, roomy, s, false, func(ctx context.Context, c *cast) error {
		c.each(ctx, 10, 6*time.Second, func(i int) {
			g := c.dial(ctx, i)
			if g == nil {
				return
			}
			io.WriteString(g, post(`{"command":"getTransactionsToApprove","depth":4}`))
			sleep(ctx, 10*time.Millisecond)
			if i%2 == 0 {
				g.reset()
				return
			}
			g.close()
		})
		return nil
	})
}

// poolConf has HAProxy keep its connections to the node and share them.
const poolConf = `global
	maxconn 200
defaults
	mode http
	option forwardfor
	option http-keep-alive
	http-reuse always
	timeout client 30s
	timeout http-request 10s
	timeout connect 10s
	timeout server 300s
frontend api
	bind 127.0.0.1:14268
	default_backend node
backend node
	server iri 127.0.0.1:14265
`

// playPool has wallets behind nginx and others behind HAProxy, each with a pool
// of kept connections to the node.
func playPool(ctx context.Context, st *Stage) error {
	if err := st.Capture("lo", bothLegs+" or tcp port 14268"); err != nil {
		return err
	}
	o := roomy
	o.Listen = nodeAddr
	p, err := st.Node(o)
	if err != nil {
		return err
	}
	proxy, err := nginx(st, strings.Replace(nginxConf, "keepalive 4;", "keepalive 16;", 1))
	if err != nil {
		return err
	}
	path, err := st.write("haproxy.cfg", poolConf)
	if err != nil {
		return err
	}
	haproxyAddr := netip.AddrPortFrom(nodeAddr.Addr(), 14268)
	cmd, err := st.Serve(haproxyAddr, "haproxy", "-db", "-f", path)
	if err != nil {
		return err
	}
	if err := st.Truth(Target{PID: p.PID, Port: nodePort}, proxy, Target{PID: cmd.Process.Pid, Port: haproxyAddr.Port()}); err != nil {
		return err
	}
	s := quietly(0, 50*time.Second)
	s.Clients.Target = proxyAddr
	return st.playWith(ctx, &cast{node: p, target: haproxyAddr}, s, false, func(ctx context.Context, c *cast) error {
		c.each(ctx, 20, 50*time.Millisecond, func(i int) {
			c.poll(ctx, netip.AddrFrom4([4]byte{127, 0, 2, byte(1 + i)}), 8*time.Second)
		})
		return nil
	})
}

// playBigAnswers has clients fetch 1.9 MB on lines of 40 to 120 kB/s.
func playBigAnswers(ctx context.Context, st *Stage) error {
	return vethWith(ctx, st, roomy, quietly(2*time.Second, 62*time.Second), false, func(ctx context.Context, c *cast) error {
		body := listOf("getTrytes", "hashes", 700, hash())
		c.each(ctx, 6, 4*time.Second, func(i int) {
			g := c.dial(ctx, i)
			if g == nil {
				return
			}
			defer g.close()
			g.SetReadBuffer(64 << 10)
			io.WriteString(g, post(body))
			resp, err := http.ReadResponse(g.br, nil)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			for more := true; more && err == nil; more = sleep(ctx, 100*time.Millisecond) {
				_, err = io.CopyN(io.Discard, resp.Body, 4096*int64(1+i%3))
			}
		})
		return nil
	})
}

// playGrowth has the number of wallets rise by 3 a second until 70 % of the
// descriptors are taken, and stay there.
func playGrowth(ctx context.Context, st *Stage) error {
	o := demo.NodeOptions{Workers: 16, FDLimit: 200}
	return vethWith(ctx, st, o, quietly(5*time.Second, 75*time.Second), false, func(ctx context.Context, c *cast) error {
		const clients = 120
		c.each(ctx, clients, 330*time.Millisecond, func(i int) { c.poll(ctx, c.addr(i), 12*time.Second) })
		st.Mark(fmt.Sprintf("all %d clients have come", clients))
		return nil
	})
}

// playPause stops the node's process for 5 s.
func playPause(ctx context.Context, st *Stage) error {
	s := quietly(20*time.Second, 50*time.Second)
	s.Clients.Timeout = 15 * time.Second
	return vethWith(ctx, st, roomy, s, false, func(ctx context.Context, c *cast) error {
		st.Mark("the node's process is stopped")
		defer st.Mark("it goes on")
		return freeze(ctx, c.node.PID, 5*time.Second)
	})
}

// playHalfClose has clients that shut their side down after the request and
// read the answer, which takes some seconds.
func playHalfClose(ctx context.Context, st *Stage) error {
	o := roomy
	o.Compute = map[string]demo.Span{"getTransactionsToApprove": {Least: 2 * time.Second, Most: 6 * time.Second}}
	s := quietly(2*time.Second, 50*time.Second)
	s.Clients.Timeout = 30 * time.Second
	return vethWith(ctx, st, o, s, false, func(ctx context.Context, c *cast) error {
		c.each(ctx, 60, 700*time.Millisecond, func(i int) {
			if g := c.dial(ctx, i); g != nil {
				defer g.close()
				io.WriteString(g, post(`{"command":"getTransactionsToApprove","depth":4}`))
				g.CloseWrite()
				io.Copy(io.Discard, g)
			}
		})
		return nil
	})
}
