package hours

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"stallwatch/detect"
)

// attack is what somebody does to a node, over honest traffic.
type attack struct {
	*hour
	kind     string
	from, to time.Duration
	command  string              // that stalls; "": none
	hosts    map[netip.Addr]bool // of the attacker, IPv6 by /64
}

// attacks are the kinds, and which alerts tell of each.
var attacks = []struct {
	name string
	draw func(*attack)
	by   string // alerts that name it
}{
	{"stall", (*attack).stall, "CallStalled NodeUnresponsive DescriptorExhaustion CloseWaitBuildup"},
	{"stall", (*attack).stall, "CallStalled NodeUnresponsive DescriptorExhaustion CloseWaitBuildup"},
	{"stall by one proxy", (*attack).stallByProxy, "CallStalled NodeUnresponsive DescriptorExhaustion CloseWaitBuildup"},
	{"stall after poisoning", (*attack).poison, "CallStalled NodeUnresponsive DescriptorExhaustion CloseWaitBuildup"},
	{"slow requests", (*attack).trickle, "SlowRequest ConnectionFlood DescriptorExhaustion NodeUnresponsive CallStalled"},
	{"silent connections", (*attack).silent, "ConnectionFlood DescriptorExhaustion"},
	{"slow readers", (*attack).unread, "SlowReader DescriptorExhaustion CallStalled NodeUnresponsive"},
	{"close-wait leak", (*attack).leak, "CloseWaitBuildup DescriptorExhaustion"},
	{"file leak", (*attack).files, "DescriptorExhaustion"},
	{"no accept", (*attack).halt, "NodeUnresponsive AcceptQueueFull CallStalled NodeDown"},
	{"below the budget", (*attack).below, "CallStalled NodeUnresponsive LatencyRegression DescriptorExhaustion"},
}

func drawAttack(seed uint64, only string) (*attack, string) {
	h := drawNode(seed, 0, "")
	k := h.rnd.IntN(len(attacks))
	for only != "" && !strings.HasPrefix(attacks[k].name, only) {
		k = (k + 1) % len(attacks)
	}
	a := &attack{hour: h, kind: attacks[k].name, hosts: make(map[netip.Addr]bool)}
	h.most = h.n.capacity()
	a.from = h.between(3*time.Minute, 15*time.Minute)
	a.to = a.from + h.between(5*time.Minute, 15*time.Minute)
	a.length = a.to + 14*time.Minute
	h.crowd(min(h.wide(0.02, 8), h.most))
	h.poller()
	if h.n.hosted {
		h.in(second/2, h.n.sample)
	}
	attacks[k].draw(a)
	h.in(a.from, func() { h.truth.failAt, h.truth.exhaustAt = 0, 0 })
	h.run(a.length)
	return a, attacks[k].by
}

// during calls do at a rate while the attack goes on.
func (a *attack) during(rate float64, do func()) {
	var next func()
	next = func() {
		if a.now < a.to {
			do()
			a.in(a.exp(rate), next)
		}
	}
	a.in(a.from, next)
}

// sources draws the attacker's addresses: a few, a thousand, or a new /64
// with every call.
func (a *attack) sources() func() netip.Addr {
	n := int(a.wide(1, 1000))
	draw := a.addresses(n)
	if hop := a.chance(0.2); hop {
		draw = func() netip.Addr {
			x := a.rnd.Uint64()
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb9, byte(x), byte(x >> 8), byte(x >> 16), byte(x >> 24), 15: byte(x >> 32)})
		}
		n = -1
	}
	a.note("%d addresses", n)
	return func() netip.Addr {
		x := draw()
		a.hosts[network(x)] = true
		return x
	}
}

func network(x netip.Addr) netip.Addr {
	if x.Is4() {
		return x
	}
	p, _ := x.Prefix(64)
	return p.Addr()
}

// heavy returns the command that the attack asks: one that can be made to
// take for ever.
func (a *attack) heavy() *command {
	names := []string{"getTransactionsToApprove", "findTransactions", "eth_call", "eth_getLogs", "debug_traceTransaction", "iotax_queryTransactionBlocks",
		"getblock", "scantxoutset", "GET /api/v1/milestones/{index}/utxo-changes", "indexer", "GET /mana/all", "trace_filter"}
	all := a.n.f.which(func(c *command) bool { return slices.Contains(names, c.name) })
	c := *all[a.rnd.IntN(len(all))]
	c.stallLock = c.lock != "" && a.chance(0.5)
	a.command = c.name
	return &c
}

func (a *attack) stall() { a.stallFrom(a.sources()) }

func (a *attack) stallByProxy() {
	x := netip.MustParseAddr("10.77.0.5")
	a.hosts[x] = true
	a.stallFrom(one(x))
}

func (a *attack) stallFrom(from func() netip.Addr) {
	cmd := a.heavy()
	rate := min(a.wide(1.0/600, 50), 4000/(a.to-a.from).Seconds())
	patience := []time.Duration{200 * ms, 10 * second, 0, 0}[a.rnd.IntN(4)]
	resets, half, h2 := a.chance(0.3), a.chance(0.2), a.n.workers == 0 && a.chance(0.1)
	a.note("stall by %s, %.4f/s, patience %s resets=%v half=%v h2=%v lock=%v", cmd.name, rate, patience, resets, half, h2, cmd.stallLock)
	a.during(rate, func() {
		a.visit(person{n: a.n, from: from, rtt: a.far(), calls: 1, which: func() *command { return cmd }, patience: patience, resets: resets, half: half, h2: h2,
			stays: a.to - a.now + a.between(0, second)})
	})
}

// poison makes the baseline slow before the stall.
func (a *attack) poison() {
	cmd := a.heavy()
	from := a.sources()
	a.from += 10 * time.Minute
	a.to += 10 * time.Minute
	a.length += 10 * time.Minute
	rate := a.wide(0.05, 2)
	a.every(rate, func() {
		if a.now < a.from {
			a.visit(person{n: a.n, from: from, rtt: a.far(), calls: 1, which: func() *command { return cmd }, stays: a.between(15*second, 28*second)})
		}
	})
	rate = min(a.wide(1.0/60, 20), 4000/(a.to-a.from).Seconds())
	a.note("poisoned with %s, then stalled %.3f/s", cmd.name, rate)
	a.during(rate, func() {
		a.visit(person{n: a.n, from: from, rtt: a.far(), calls: 1, which: func() *command { return cmd }, stays: a.to - a.now + a.between(0, second)})
	})
}

// trickle sends heads or bodies that never end.
func (a *attack) trickle() {
	from := a.sources()
	n := int(a.wide(20, 2000))
	every := a.between(second, 25*second)
	head := a.chance(0.5)
	text := "POST / HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
	if head {
		text = "POST / HTTP/1.1\r\nHost: node\r\nX-A: b"
	}
	a.note("%d slow requests, a byte every %s, head=%v", n, every, head)
	for range n {
		a.in(a.from+a.between(0, 2*time.Minute), func() {
			a.dial(a.n, from(), a.far(), func(c *conn, ok bool) {
				if !ok {
					return
				}
				cmd := a.n.f.canary()
				c.requests = append(c.requests, &request{c: c, cmd: cmd, from: c.next[up], to: c.next[up] + 100000})
				c.send([]byte(text))
				var next func()
				next = func() {
					if !c.kernel || a.now > a.to {
						c.reset()
						return
					}
					c.send([]byte("a"))
					a.in(every, next)
				}
				a.in(every, next)
			})
		})
	}
}

// silent connections send nothing.
func (a *attack) silent() {
	from := a.sources()
	n := int(a.wide(100, 4000))
	a.note("%d silent connections", n)
	for range n {
		a.in(a.from+a.between(0, 3*time.Minute), func() {
			a.dial(a.n, from(), a.far(), func(c *conn, ok bool) {
				a.in(a.to-a.now, func() { c.shut(true) })
			})
		})
	}
}

// unread are answers that nobody takes.
func (a *attack) unread() {
	from := a.sources()
	n := int(a.wide(20, 2000))
	big := a.n.f.which(func(c *command) bool { return c.size > 2000 && c.lock == "" && !c.slow })
	if len(big) == 0 {
		big = a.n.f.which(func(c *command) bool { return c.size > 2000 && !c.slow })
	}
	cmd := *big[0]
	cmd.size, cmd.median, cmd.sigma, cmd.weight = 400000, 20*ms, 0.1, 0
	a.note("%d slow readers of %s", n, cmd.name)
	for range n {
		a.in(a.from+a.between(0, 3*time.Minute), func() {
			a.visit(person{n: a.n, from: from, rtt: a.far(), calls: 1, which: func() *command { return &cmd }, takes: 100,
				onCall: func(r *request) { a.in(a.to-a.now, r.c.reset) }})
		})
	}
}

// leak is a fault of the node: it forgets to close what clients have left.
func (a *attack) leak() {
	share := a.wide(0.02, 1)
	a.note("leaks %.3f", share)
	a.in(a.from, func() { a.n.leaks = share })
	a.in(a.to, func() {
		a.n.leaks = 0
		for _, c := range a.n.sorted() {
			if c.leaked {
				c.leaked = false
				a.n.readable(c)
			}
		}
	})
}

// files is a fault of the node: files that stay open. Only its machine can tell.
func (a *attack) files() {
	if !a.n.hosted {
		a.n.hosted = true
		a.in(second/2, a.n.sample)
	}
	rate := a.wide(0.1, 20)
	a.note("%.2f files/s, hosted=%v", rate, a.n.hosted)
	before := 0
	a.in(a.from, func() { before = a.n.base })
	a.during(rate, func() {
		if a.n.base+a.n.fds < a.n.limit {
			a.n.base++
		}
	})
	a.in(a.to, func() { a.n.base = before; a.n.accept() })
}

// halt is a process that stops.
func (a *attack) halt() {
	d := a.between(30*second, 3*time.Minute)
	a.to = a.from + d
	a.length = a.to + 14*time.Minute
	a.note("stopped for %s", d)
	a.in(a.from, func() { a.n.stop(d) })
}

// below keeps every call just below its warn budget, and all workers busy.
func (a *attack) below() {
	cmd := a.heavy()
	from := a.sources()
	most := map[string]time.Duration{"findTransactions": 2 * second, "getblock": 2 * second, "eth_call": 5 * second, "GET /mana/all": 5 * second}[cmd.name]
	if most == 0 {
		most = 10 * second
	}
	most = time.Duration(float64(most) * 0.9)
	workers := max(a.n.workers, 32)
	a.note("%s of %s, %d at once", cmd.name, most, workers)
	a.during(1.3*float64(workers)/most.Seconds(), func() {
		a.visit(person{n: a.n, from: from, rtt: a.far(), calls: 1, which: func() *command { return cmd }, stays: most})
	})
}

// outcome is how an attack was told.
type outcome struct {
	told, failed time.Duration // first alert of warning or worse, first failure; 0: none
	by           string
	early        float64 // share of the time to the failure that was left
	named        bool    // CallStalled named the command
	caught       bool    // and one of the attacker's addresses
	stalled      bool    // it fired
	open         []string
}

func (a *attack) judge(by string) outcome {
	var o outcome
	for _, at := range []time.Duration{a.truth.failAt, a.truth.exhaustAt} {
		if at > a.from && at < a.to && a.truth.since(a.from) && (o.failed == 0 || at < o.failed) {
			o.failed = at
		}
	}
	open := make(map[string]bool)
	for i := range a.alerts {
		x := &a.alerts[i]
		open[x.Name+" "+x.Subject] = x.State == detect.Firing
		at := x.At.Sub(start)
		if x.State != detect.Firing || at < a.from-time.Minute {
			continue
		}
		if o.told == 0 && at >= a.from && x.Severity > detect.Info && at <= a.to+5*second && strings.Contains(by, x.Name) {
			o.told, o.by = at, x.Name
		}
		if x.Name == "CallStalled" && x.Severity > detect.Info && at < a.to {
			o.stalled = true
			o.named = o.named || a.command != "" && (strings.Contains(x.Command, a.command) || a.command == "indexer" && strings.Contains(x.Command, "indexer"))
			for _, c := range x.Evidence.Clients {
				o.caught = o.caught || a.hosts[network(c.Client.Addr())]
			}
			for _, c := range x.Evidence.Calls {
				o.caught = o.caught || a.hosts[network(c.Client.Addr())]
			}
		}
	}
	for k, v := range open {
		if v {
			o.open = append(o.open, k)
		}
	}
	slices.Sort(o.open)
	if o.failed > 0 && o.told > 0 {
		o.early = float64(o.failed-o.told) / float64(o.failed-a.from)
	}
	return o
}
