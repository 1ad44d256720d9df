package hours

import (
	"math"
	"net/netip"
	"strings"
	"time"

	"stallwatch/capture"
	"stallwatch/detect"
)

// drawNode draws a node and what surrounds its capture.
func drawNode(seed uint64, length time.Duration, only string) *hour {
	h := &hour{world: newWorld(seed, detect.Options{}), length: length}
	w := h.world
	all := flavours()
	f := &all[w.rnd.IntN(len(all))]
	if only != "" {
		for i := range all {
			if all[i].name == only {
				f = &all[i]
			}
		}
	}
	n := &node{w: w, f: f, addr: capture.EndpointOf(netip.MustParseAddrPort("10.77.0.1:14265")),
		addr6: capture.EndpointOf(netip.MustParseAddrPort("[fd77::1]:14265")), sockets: map[*conn]bool{}, locks: map[string]*lock{},
		ports: map[netip.Addr]int{}, backlog: []int{50, 128, 1000, 4096}[w.rnd.IntN(4)], limit: []int{1024, 4096, 4096, 65536}[w.rnd.IntN(4)]}
	n.workers = f.workers[w.rnd.IntN(len(f.workers))]
	n.base = 40 + w.rnd.IntN(200)
	if n.limit > 1024 && w.chance(0.5) {
		n.base += w.rnd.IntN(n.limit / 5) // the database's files
	}
	n.hosted = w.chance(0.5)
	n.slow = func() float64 { return 1 }
	h.n = n
	if w.chance(0.4) {
		n.lossy = w.wide(0.001, 0.05)
	}
	if w.chance(0.25) {
		w.twice = w.wide(0.0001, 0.5)
	}
	w.in(second, n.watch)
	if f.name == "goshimmer" || f.name == "hornet" || strings.HasPrefix(f.name, "iri") {
		w.truth.expect("PowAbuse", "proof of work for strangers")
	}
	h.note("%s hosted=%v lossy=%.3f twice=%.3f", n, n.hosted, n.lossy, w.twice)
	return h
}

// honestHour draws an hour of a node that nobody attacks.
func honestHour(seed uint64, only string) *hour {
	h := drawNode(seed, time.Hour, only)
	w, n := h.world, h.n
	if w.chance(0.5) {
		h.length = w.between(10*time.Minute, time.Hour)
	}
	if w.chance(0.15) {
		w.drop, w.tellsLoss = w.wide(0.0001, 0.02), w.chance(0.7)
		w.truth.expect("CaptureLoss", "packets were lost")
		h.note("capture loses %.4f", w.drop)
	}
	if w.chance(0.2) {
		w.blindUntil = w.between(0, 5*time.Minute)
		h.note("capture begins at %s", w.blindUntil)
	}
	if n.hosted {
		w.in(w.blindUntil+second/2, n.sample)
	}
	h.most = n.capacity()
	rate := min(w.wide(1.0/3600, 15), h.most)
	h.note("rate %.4f", rate)
	h.crowd(rate)
	kinds := []func(*hour){(*hour).poller, (*hour).balancer, (*hour).browsers, (*hour).halfClosers, (*hour).impatient, (*hour).nat, (*hour).cron,
		(*hour).streams, (*hour).scanners, (*hour).vanishers, (*hour).slowJobs, (*hour).slowReaders, (*hour).slowSenders, (*hour).http2, (*hour).checks,
		(*hour).pipeliners}
	for range 1 + w.rnd.IntN(6) {
		kinds[w.rnd.IntN(len(kinds))](h)
	}
	events := []func(*hour){(*hour).pauses, (*hour).restarts, (*hour).slowDisk, (*hour).warmUp}
	if w.chance(0.5) {
		events[w.rnd.IntN(len(events))](h)
	}
	if n.f.name == "iri, slow tips" {
		h.slowJobs()
	}
	w.run(h.length)
	return h
}

// every calls do at a rate until the hour ends.
func (h *hour) every(rate float64, do func()) {
	var next func()
	next = func() {
		do()
		h.in(h.exp(rate), next)
	}
	h.in(h.exp(rate), next)
}

func (h *hour) anyCall() *command { return h.n.f.pick(h.world) }

func (h *hour) pace(median time.Duration) func() time.Duration {
	return func() time.Duration { return h.lognormal(median, 1, 5*time.Minute) }
}

func (h *hour) far() time.Duration { return h.lognormal(60*ms, 0.8, 600*ms) }

// crowd are people with wallets and programs: sessions of some calls.
func (h *hour) crowd(rate float64) {
	per := 1 + h.rnd.IntN(8)
	from := h.addresses(int(h.wide(1, 2000)))
	think := h.pace(time.Duration(h.wide(0.02, 20) * float64(second)))
	patience := []time.Duration{0, 10 * second, 30 * second, 60 * second, 120 * second}[h.rnd.IntN(5)]
	end := ending(h.rnd.IntN(2))
	h.every(rate/float64(per), func() {
		h.visit(person{n: h.n, from: from, rtt: h.far(), calls: 1 + h.rnd.IntN(2*per), which: h.anyCall, think: think,
			patience: patience, retries: h.rnd.IntN(3), ending: end, honest: true})
	})
}

// poller asks the canary, as monitors do.
func (h *hour) poller() {
	every := h.between(2*second, 60*second)
	from := one(netip.MustParseAddr([]string{"127.0.0.1", "10.77.0.9", "192.0.2.44"}[h.rnd.IntN(3)]))
	keep := h.chance(0.5)
	h.note("poller every %s keep=%v", every, keep)
	canary := h.n.f.canary()
	p := person{n: h.n, from: from, rtt: 300 * time.Microsecond, calls: 1, which: func() *command { return canary }, patience: 5 * second, honest: true}
	if keep {
		p.calls = 1 << 30
		p.think = func() time.Duration { return every }
		p.patience = 30 * second
		p.retries = 1 << 20
		h.in(h.between(0, every), func() { h.visit(p) })
		return
	}
	var next func()
	next = func() { h.visit(p); h.in(every, next) }
	h.in(h.between(0, every), next)
}

// balancer is a reverse proxy on another machine: many users on the
// connections of its pool.
func (h *hour) balancer() {
	from := one(netip.MustParseAddr("10.77.0.5"))
	pool := 1 + h.rnd.IntN(64)
	rate := min(h.wide(0.001, 40), h.most) / float64(pool)
	early := false // opened before there is anything to ask: looks as a flood does
	h.note("balancer of %d, %.3f/s each, early=%v", pool, rate, early)
	for range pool {
		think := func() time.Duration { return h.exp(rate) }
		p := person{n: h.n, from: from, rtt: 400 * time.Microsecond, calls: 1 << 30, which: h.anyCall, think: think, patience: 60 * second, retries: 1 << 20, honest: true}
		if early {
			h.in(h.between(0, 2*second), func() { h.pooled(p) })
		} else {
			h.in(think(), func() { h.visit(p) })
		}
	}
}

// pooled opens a connection at once and asks when there is something to ask.
func (h *hour) pooled(p person) {
	p.n.w.dial(p.n, p.from(), p.rtt, func(c *conn, ok bool) {
		if !ok {
			h.in(second, func() { h.pooled(p) })
			return
		}
		c.onEnd = func() { h.in(h.between(0, second), func() { h.pooled(p) }) }
		h.in(p.think(), func() {
			if !c.sentFin && c.kernel {
				h.nextCall(c, &p, 1<<30)
			}
		})
	})
}

// browsers connect ahead, abort, and keep connections.
func (h *hour) browsers() {
	rate := min(h.wide(0.001, 0.5), h.most/4)
	from := h.addresses(300)
	resets := h.chance(0.3)
	abort := h.rnd.Float64() * 0.5
	h.note("browsers %.3f/s abort %.2f resets=%v", rate, abort, resets)
	h.every(rate, func() {
		a := one(from())
		if h.chance(0.3) { // connected ahead and never used
			h.dial(h.n, a(), h.far(), func(c *conn, ok bool) {
				life := 10 * second // Chromium's unused_idle_socket_timeout
				if h.chance(0.3) {
					life = h.between(10*second, 2*time.Minute)
				}
				h.in(life, func() { c.shut(true) })
			})
		}
		p := person{n: h.n, from: a, rtt: h.far(), calls: 1 + h.rnd.IntN(5), which: h.anyCall, think: h.pace(2 * second), ending: lingers, honest: true}
		if h.chance(abort) {
			p.patience, p.resets = h.between(20*ms, 3*second), resets
		}
		h.visit(p)
	})
}

// halfClosers shut their side after the request and read on.
func (h *hour) halfClosers() {
	rate := min(h.wide(0.001, 3), h.most)
	from := h.addresses(20)
	h.note("half closers %.3f/s", rate)
	h.every(rate, func() {
		h.visit(person{n: h.n, from: from, rtt: h.far(), calls: 1, which: h.anyCall, half: true, honest: true})
	})
}

// impatient clients give up early and try again.
func (h *hour) impatient() {
	rate := min(h.wide(0.001, 1), h.most/4)
	from := h.addresses(1 + h.rnd.IntN(50))
	patience, resets := h.between(300*ms, 10*second), h.chance(0.4)
	h.note("impatient %.3f/s after %s resets=%v", rate, patience, resets)
	h.every(rate, func() {
		h.visit(person{n: h.n, from: from, rtt: h.far(), calls: 2, which: h.anyCall, think: h.pace(second), patience: patience, resets: resets, retries: 3, honest: true})
	})
}

// nat are many users behind one address.
func (h *hour) nat() {
	rate := min(h.wide(0.01, 20), h.most)
	from := one(netip.MustParseAddr("198.51.100.7"))
	h.note("nat %.2f/s", rate)
	h.every(rate/3, func() {
		h.visit(person{n: h.n, from: from, rtt: h.far(), calls: 1 + h.rnd.IntN(5), which: h.anyCall, think: h.pace(time.Second), ending: ending(h.rnd.IntN(2)), honest: true})
	})
}

// cron is a crowd of programs that all ask at the full minute.
func (h *hour) cron() {
	m := int(h.wide(2, 150))
	period := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}[h.rnd.IntN(3)]
	from := h.addresses(m)
	cmd := h.anyCall()
	keep := ending(h.rnd.IntN(2))
	h.note("cron of %d every %s: %s", m, period, cmd.name)
	var next func()
	next = func() {
		for range m {
			h.in(h.between(0, 3*second), func() {
				h.visit(person{n: h.n, from: from, rtt: h.far(), calls: 1 + h.rnd.IntN(3), which: func() *command { return cmd }, think: h.pace(300 * ms), ending: keep, patience: 60 * second, honest: true})
			})
		}
		h.in(period, next)
	}
	h.in(h.between(0, period), next)
}

// streams are web sockets, events that never end, and long polls.
func (h *hour) streams() {
	n := 1 + h.rnd.IntN(60)
	kind := h.rnd.IntN(3)
	from := h.addresses(n)
	h.note("%d streams of kind %d", n, kind)
	for range n {
		h.in(h.between(0, h.length/2), func() { h.stream(kind, from()) })
	}
}

func (h *hour) stream(kind int, from netip.Addr) {
	h.dial(h.n, from, h.far(), func(c *conn, ok bool) {
		if !ok {
			h.in(h.between(second, 10*second), func() { h.stream(kind, from) })
			return
		}
		life := h.between(20*second, 40*time.Minute)
		c.onEnd = func() { h.in(h.between(second, 5*second), func() { h.stream(kind, from) }) }
		path := []string{"/mqtt", "/events", "/poll?since=17"}[kind]
		extra := ""
		if kind == 0 {
			extra = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
		}
		c.stream = true
		gen := h.n.generation
		ask := []byte("GET " + path + " HTTP/1.1\r\nHost: node\r\n" + extra + "\r\n")
		alive := func() bool { return c.kernel && c.hasFD && gen == h.n.generation && !c.sentFin }
		var again func()
		c.send(ask)
		head := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
		piece := "\x81\x05hello"
		pause := h.between(second, 50*second)
		if kind == 1 {
			head, piece = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n", "10\r\ndata: 012345678\n\r\n"
		} else if kind == 2 {
			head, piece = "", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
		}
		h.in(c.rtt+5*ms, func() {
			if alive() && head != "" {
				c.write([]byte(head))
			}
		})
		again = func() {
			if !alive() {
				return
			}
			if !h.n.stopped() {
				c.write([]byte(piece))
			}
			if kind == 2 {
				h.in(c.rtt, func() {
					if alive() {
						c.send(ask)
					}
				})
			}
			h.in(h.lognormal(pause, 0.5, 5*time.Minute), again)
		}
		h.in(h.between(second, pause), again)
		h.in(life, func() {
			if c.kernel {
				c.onEnd = nil
				c.stream = false
				c.shut(true)
			}
		})
	})
}

// scanners are what every open port on the internet meets.
func (h *hour) scanners() {
	rate := h.wide(1.0/1200, 1.0/60)
	from := h.addresses(100)
	h.note("scanners %.4f/s", rate)
	words := []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET /.env HTTP/1.1\r\nHost: node\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "\x00\x00\x00\x00", "SSH-2.0-Go\r\n", ""}
	h.every(rate, func() {
		h.dial(h.n, from(), h.far(), func(c *conn, ok bool) {
			text := words[h.rnd.IntN(len(words))]
			if ok && text != "" && c.established {
				c.stream = true
				c.send([]byte(text))
				if strings.HasPrefix(text, "GET") {
					h.in(c.rtt+2*ms, func() {
						if c.kernel && c.hasFD {
							c.write([]byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
						}
					})
				}
			}
			h.in(h.between(100*ms, 20*second), func() { c.stream = false; c.shut(true) })
		})
	})
}

// vanishers are mobile clients whose network goes.
func (h *hour) vanishers() {
	rate := h.wide(0.0005, 0.05)
	from := h.addresses(500)
	h.note("vanishers %.4f/s", rate)
	h.every(rate, func() {
		h.visit(person{n: h.n, from: from, rtt: h.far(), calls: 1 + h.rnd.IntN(4), which: h.anyCall, think: h.pace(3 * second), ending: vanishes, honest: true})
	})
}

// slowJobs are asked by those who know that they take long.
func (h *hour) slowJobs() {
	jobs := h.n.f.which(func(c *command) bool { return c.slow })
	if len(jobs) == 0 {
		return
	}
	cmd := jobs[h.rnd.IntN(len(jobs))]
	at := min(2, h.wide(0.02, 1))
	if h.n.f.name == "iri, slow tips" {
		at = h.wide(0.02, 0.5)
	}
	// so many at once on average
	rate := at / math.Max(float64(cmd.median)*1.3/float64(second), 1)
	from := h.addresses(1 + h.rnd.IntN(40))
	patience := []time.Duration{0, 0, 30 * second, 60 * second, 120 * second}[h.rnd.IntN(5)]
	half := h.chance(0.1)
	h.note("slow %s %.4f/s, %.2f at once, patience %s half=%v", cmd.name, rate, at, patience, half)
	h.every(rate, func() {
		h.visit(person{n: h.n, from: from, rtt: h.far(), calls: 1, which: func() *command { return cmd }, patience: patience, half: half, think: h.pace(second)})
	})
}

// slowReaders take big answers slowly.
func (h *hour) slowReaders() {
	rate := h.wide(0.0005, 0.05)
	takes := int(h.wide(3000, 200000))
	from := h.addresses(50)
	h.note("slow readers %.4f/s, %d B/s", rate, takes)
	big := h.n.f.which(func(c *command) bool { return c.size > 2000 })
	h.every(rate, func() {
		h.visit(person{n: h.n, from: from, rtt: h.far(), calls: 1, which: func() *command { return big[h.rnd.IntN(len(big))] }, takes: takes, honest: true})
	})
}

// slowSenders are on bad lines: their requests take a while.
func (h *hour) slowSenders() {
	rate := h.wide(0.0005, 0.03)
	from := h.addresses(50)
	h.note("slow senders %.4f/s", rate)
	h.every(rate, func() {
		pause := h.between(10*ms, 2*second)
		cmd := h.anyCall()
		h.dial(h.n, from(), h.far(), func(c *conn, ok bool) {
			if !ok {
				return
			}
			b := message(h.world, cmd)
			r := &request{c: c, cmd: cmd, from: c.next[up], to: c.next[up] + uint32(len(b)), honest: true}
			c.requests = append(c.requests, r)
			r.reply = func() { c.shut(true) }
			n := max(len(b)/8, 1)
			var next func()
			next = func() {
				k := min(n, len(b))
				c.send(b[:k])
				if b = b[k:]; len(b) > 0 {
					h.in(pause, next)
				}
			}
			next()
		})
	})
}

// http2 are gateways that speak HTTP/2 in clear: many calls on one connection.
func (h *hour) http2() {
	if h.n.workers > 0 {
		return
	}
	conns := 1 + h.rnd.IntN(6)
	rate := min(h.wide(0.001, 10), h.most)
	from := one(netip.MustParseAddr("10.77.0.6"))
	h.note("http2 of %d, %.3f/s", conns, rate)
	for range conns {
		c := h.dial(h.n, from(), 400*time.Microsecond, func(c *conn, ok bool) {
			if !ok {
				return
			}
			h.every(rate/float64(conns), func() {
				if c.kernel && !c.sentFin && c.hasFD && len(c.requests) < 90 {
					h.ask(c, h.anyCall()).honest = true
				}
			})
		})
		c.h2 = true
	}
}

// checks are those of a balancer that only connects.
func (h *hour) checks() {
	every := h.between(second, 15*second)
	from := one(netip.MustParseAddr("10.77.0.5"))
	rst := h.chance(0.5)
	h.note("checks every %s rst=%v", every, rst)
	var next func()
	next = func() {
		h.dial(h.n, from(), 300*time.Microsecond, func(c *conn, ok bool) {
			if rst {
				c.reset()
			} else {
				c.shut(true)
			}
		})
		h.in(every, next)
	}
	h.in(every, next)
}

// pipeliners send several requests at once.
func (h *hour) pipeliners() {
	rate := min(h.wide(0.001, 0.5), h.most/4)
	from := h.addresses(10)
	h.note("pipeliners %.3f/s", rate)
	h.every(rate, func() {
		h.dial(h.n, from(), h.far(), func(c *conn, ok bool) {
			if !ok {
				return
			}
			k := 2 + h.rnd.IntN(8)
			for i := range k {
				r := h.ask(c, h.anyCall())
				r.honest = true
				if i == k-1 {
					r.reply = func() { c.shut(true) }
				}
			}
		})
	})
}
