package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"stallwatch/cmd/internal/demo"
)

// playConnFlood opens 80 connections in 4 s that send nothing, and 35 s later
// more of them, until the node has no descriptor left.
func playConnFlood(ctx context.Context, st *Stage) error {
	o := demo.NodeOptions{Workers: 16, FDLimit: 128}
	return vethWith(ctx, st, o, quietly(8*time.Second, 70*time.Second), true, func(ctx context.Context, c *cast) error {
		silent := func(i int) {
			if g := c.dial(ctx, i%3); g != nil {
				defer g.close()
				io.Copy(io.Discard, g) // until the node or the play ends it
			}
		}
		c.each(ctx, 80, 50*time.Millisecond, silent)
		if sleep(ctx, 35*time.Second) {
			st.Mark("the flood goes on")
			c.each(ctx, 60, 300*time.Millisecond, silent)
		}
		return nil
	})
}

// playRequestFlood has one address make 150 small calls a second on four
// connections for 15 s, and the wallets beside it.
func playRequestFlood(ctx context.Context, st *Stage) error {
	return vethWith(ctx, st, roomy, quietly(8*time.Second, 32*time.Second), true, func(ctx context.Context, c *cast) error {
		request := post(`{"command":"wereAddressesSpentFrom","addresses":["A"]}`)
		const connections, rate, total = 4, 150, 2250
		c.each(ctx, connections, time.Second/rate, func(int) {
			g := dial(ctx, c.addr(0), c.target)
			if g == nil {
				return
			}
			defer g.close()
			tick := time.NewTicker(connections * time.Second / rate)
			defer tick.Stop()
			for range total / connections {
				c.calls.Add(1)
				if g.call(request) != nil {
					return
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		})
		return nil
	})
}

// playFlood6 floods from so many addresses of one /64 that none of them does
// much. All of it is IPv6.
func playFlood6(ctx context.Context, st *Stage) error {
	wallets := make([]netip.Addr, 8)
	if err := st.splitWith(func() error {
		for i := range wallets {
			wallets[i] = netip.MustParseAddr(fmt.Sprintf("fd77::1:%x", i+1))
			if err := st.runHere("ip -6 address add " + wallets[i].String() + "/64 dev clients nodad"); err != nil {
				return err
			}
		}
		// Any address of the crowd's network may be taken.
		return errors.Join(st.runHere("sysctl -qw net.ipv6.ip_nonlocal_bind=1"), st.runHere("ip -6 route add local fd78::/64 dev lo"),
			st.run("ip -6 address add fd77::2/64 dev node nodad"), st.run("ip -6 route add fd78::/64 via fd77::1:1"))
	}); err != nil {
		return err
	}
	if err := st.Capture("node", "tcp port 14265"); err != nil {
		return err
	}
	o := roomy
	o.Listen = netip.MustParseAddrPort("[fd77::2]:14265")
	p, err := st.Node(o)
	if err != nil {
		return err
	}
	if err := st.Truth(Target{PID: p.PID, Port: nodePort}); err != nil {
		return err
	}
	s := quietly(8*time.Second, 30*time.Second)
	s.Clients.Sources = wallets
	crowd := make([]netip.Addr, 650)
	for i := range crowd {
		b := netip.MustParseAddr("fd78::").As16()
		b[9], b[14], b[15] = byte(i*59), byte(i>>8), byte(i)
		crowd[i] = netip.AddrFrom16(b)
	}
	return st.playWith(ctx, &cast{node: p, from: crowd}, s, true, func(ctx context.Context, c *cast) error {
		c.each(ctx, len(crowd), time.Second/130, func(i int) { c.ask(ctx, i, `{"command":"wereAddressesSpentFrom","addresses":["A"]}`) })
		return nil
	})
}

// playSYNFlood sends 3600 SYNs in 12 s from addresses that never answer. The
// node listens with the backlog of Undertow, 1000; beyond it the kernel sends
// cookies.
func playSYNFlood(ctx context.Context, st *Stage) error {
	return playSYNs(ctx, st, 300, 3600, "sysctl -qw net.core.somaxconn=1000")
}

// playSYNDrops is the flood at 90 SYNs a second on a kernel without cookies,
// which keeps three quarters of tcp_max_syn_backlog for clients that it does
// not know and drops their other SYNs (net/ipv4/tcp_input.c,
// tcp_conn_request): few handshakes stand half open, and no new client gets in.
func playSYNDrops(ctx context.Context, st *Stage) error {
	return playSYNs(ctx, st, 90, 1080, "sysctl -qw net.ipv4.tcp_syncookies=0", "sysctl -qw net.ipv4.tcp_max_syn_backlog=64", "sysctl -qw net.core.somaxconn=64")
}

// playSYNs sends n SYNs, so many a second, each from an address of its own.
func playSYNs(ctx context.Context, st *Stage, perSecond, n int, prepare ...string) error {
	p, addrs, err := overVethPrepared(st, roomy, "tcp port 14265", prepare...)
	if err != nil {
		return err
	}
	crowd := netip.MustParsePrefix("10.79.0.0/16") // has no host: what the node answers is dropped
	if err := st.run("ip route add " + crowd.String() + " via " + addrs[0].String()); err != nil {
		return err
	}
	sources := spread(crowd, n)
	s := quietly(8*time.Second, 40*time.Second)
	s.Clients.Sources = addrs[:honest]
	return st.playWith(ctx, &cast{node: p}, s, true, func(ctx context.Context, c *cast) error {
		return sendSYNs(ctx, perSecond, len(sources), func(i int) (from, to netip.AddrPort) {
			c.calls.Add(1)
			return netip.AddrPortFrom(sources[i], uint16(1024+i*7)), c.target
		})
	})
}

// playAcceptQueue stops the node's process for 25 s while clients go on: what
// they open fills an accept queue of 32, and then SYNs go unanswered.
func playAcceptQueue(ctx context.Context, st *Stage) error {
	p, addrs, err := overVethPrepared(st, roomy, "tcp port 14265", "sysctl -qw net.core.somaxconn=32")
	if err != nil {
		return err
	}
	s := quietly(8*time.Second, 50*time.Second)
	s.Clients.Sources = addrs[:honest]
	return st.playWith(ctx, &cast{node: p}, s, true, func(ctx context.Context, c *cast) error {
		st.Mark("the node's process is stopped")
		defer st.Mark("it goes on")
		return freeze(ctx, p.PID, 25*time.Second)
	})
}

// playPortScan has one address try ports as nmap does: by connecting, then by
// SYNs alone. The filter is wide, for the ports nobody serves.
func playPortScan(ctx context.Context, st *Stage) error {
	p, addrs, err := overVeth(st, roomy, "tcp")
	if err != nil {
		return err
	}
	s := quietly(8*time.Second, 40*time.Second)
	s.Clients.Sources = addrs[:honest]
	return st.playWith(ctx, &cast{node: p, from: addrs[honest:]}, s, true, func(ctx context.Context, c *cast) error {
		c.each(ctx, len(scanned), 100*time.Millisecond, func(i int) {
			c.calls.Add(1)
			if g := dial(ctx, c.addr(0), netip.AddrPortFrom(c.target.Addr(), scanned[i])); g != nil {
				g.reset() // open: nmap -sT closes so
			}
		})
		if !sleep(ctx, 10*time.Second) {
			return nil
		}
		st.Mark("scan by SYNs alone")
		return sendSYNs(ctx, 50, 200, func(i int) (from, to netip.AddrPort) {
			c.calls.Add(1)
			return netip.AddrPortFrom(c.addr(0), uint16(50_000+i)), netip.AddrPortFrom(c.target.Addr(), uint16(14_165+i))
		})
	})
}

// scanned are ports that a scanner tries first, and those of an IRI host.
var scanned = []uint16{
	21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 443, 445, 587, 993, 995, 1433, 1521, 2375, 3000, 3306, 3389, 5432, 5555, 5556, 5900, 6379, 8080, 8081, 8443,
	8899, 8999, 9090, 9093, 9100, 9200, 9311, 11211, 14265, 14266, 14267, 14600, 15600, 16600, 18600, 27017,
}

// playLogins has one address guess passwords at the SSH port: 40 connections
// that each see a banner, say one line and are gone, and the rest of the node's
// traffic.
func playLogins(ctx context.Context, st *Stage) error {
	p, addrs, err := overVeth(st, roomy, "tcp port 14265 or tcp port 22")
	if err != nil {
		return err
	}
	ssh := netip.AddrPortFrom(netNode.Addr(), 22)
	if _, err := st.Serve(ssh, st.Exe, BannerCommand, ssh.String()); err != nil {
		return err
	}
	s := quietly(8*time.Second, 40*time.Second)
	s.Clients.Sources = addrs[:honest]
	return st.playWith(ctx, &cast{node: p, from: addrs[honest:], target: ssh}, s, true, func(ctx context.Context, c *cast) error {
		var line sync.Mutex // one guess at a time, as a script makes them
		c.each(ctx, 40, 500*time.Millisecond, func(int) {
			line.Lock()
			defer line.Unlock()
			if g := c.dial(ctx, 0); g != nil {
				defer g.close()
				io.WriteString(g, "SSH-2.0-Go\r\n")
				g.br.ReadString('\n') // the banner
				sleep(ctx, 200*time.Millisecond)
			}
		})
		return nil
	})
}
