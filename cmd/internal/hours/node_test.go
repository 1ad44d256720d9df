package hours

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"stallwatch/capture"
)

// node is the model of a node's process and of its kernel's listening socket.
type node struct {
	w       *world
	addr    capture.Endpoint
	addr6   capture.Endpoint
	told    bool // the first sample was taken
	f       *flavour
	backlog int
	queue   []*conn // not accepted
	sockets map[*conn]bool
	fds     int // of sockets
	base    int // of all else
	limit   int
	hosted  bool // its machine is sampled

	workers int // 0: one for each connection
	busy    int
	ready   []*request // wait for a worker
	locks   map[string]*lock

	stoppedUntil time.Duration // garbage collection, SIGSTOP
	away         bool          // no process
	generation   int
	slow         func() float64 // factor of every service time
	overflows    uint64

	ports map[netip.Addr]int
	lossy float64 // of clients far away
	leaks float64 // share of left connections that the process forgets
}

type lock struct {
	taken bool
	waits []*request
}

// The answers to a SYN.
const (
	accepted = iota
	refused
	dropped
)

func (n *node) knock() int {
	if n.away {
		return refused
	}
	if len(n.queue) > n.backlog {
		n.overflows++
		n.w.truth.trouble("queue full", n.w.now, n.w.now+second)
		return dropped
	}
	return accepted
}

func (n *node) stopped() bool { return n.w.now < n.stoppedUntil }

// arrived is a completed handshake.
func (n *node) arrived(c *conn) {
	n.queue = append(n.queue, c)
	n.accept()
}

func (n *node) accept() {
	if n.stopped() {
		return
	}
	for len(n.queue) > 0 {
		if n.base+n.fds >= n.limit {
			n.w.truth.exhausted(n.w.now)
			return
		}
		c := n.queue[0]
		n.queue = n.queue[1:]
		c.accepted, c.hasFD = true, true
		n.fds++
		if !c.kernel { // reset while it waited
			c.close()
			continue
		}
		n.rest(c)
		n.readable(c)
	}
}

func (n *node) freed() {
	n.fds--
	if len(n.queue) > 0 {
		n.w.in(0, n.accept)
	}
}

// readable looks at what a connection has for the process.
func (n *node) readable(c *conn) {
	if !c.accepted || n.stopped() || !c.hasFD {
		return
	}
	if c.h2 {
		n.streams(c)
		return
	}
	if c.busy != nil {
		if c.busy.queued == 0 && !c.busy.whole && n.isWhole(c.busy) {
			n.serve(c.busy)
		} else if c.finUp && n.f.cancels && c.busy.whole && len(c.out) == 0 {
			r := c.busy
			r.done = true
			n.endWork(r)
			c.busy = nil
			c.requests = nil
			c.close()
		}
		return
	}
	if len(c.requests) > 0 {
		r := c.requests[0]
		if int32(c.got[up]-r.from) > 0 {
			if n.isWhole(r) || n.f.bodyInWorker {
				c.busy = r
				n.dispatch(r)
			}
		}
	}
	if c.busy == nil && c.finUp && len(c.out) == 0 && !c.leaked {
		if c.leaked = n.w.chance(n.leaks); !c.leaked {
			c.close()
		}
	}
}

// streams dispatches every stream that is whole.
func (n *node) streams(c *conn) {
	for _, r := range c.requests {
		if !r.whole && n.isWhole(r) {
			r.whole = true
			c.open++
			n.dispatch(r)
		}
	}
	if c.finUp && c.open == 0 {
		c.close()
	}
}

func (n *node) isWhole(r *request) bool { return int32(r.c.got[up]-r.to) >= 0 && r.to != 0 }

func (n *node) dispatch(r *request) {
	if n.workers == 0 || r.cmd.inline {
		n.work(r)
		return
	}
	if n.busy < n.workers {
		n.busy++
		r.worker = true
		n.work(r)
		return
	}
	if n.f.depth > 0 && len(n.ready) >= n.f.depth {
		n.w.truth.trouble("queue of calls full", n.w.now, n.w.now+second)
		r.whole = true
		n.finish(r, 503)
		return
	}
	r.queued = n.w.now + 1
	n.ready = append(n.ready, r)
}

// work gives a request a worker, who reads it.
func (n *node) work(r *request) {
	if r.queued != 0 {
		if n.w.now-r.queued > 2*second {
			n.w.truth.trouble("workers full", r.queued+2*second, n.w.now)
		}
		r.queued = 0
	}
	if n.isWhole(r) {
		n.serve(r)
	}
}

// serve works on a whole request.
func (n *node) serve(r *request) {
	r.whole = true
	if name := r.cmd.lock; name != "" && (r.until == 0 || r.cmd.stallLock) {
		l := n.locks[name]
		if l == nil {
			l = &lock{}
			n.locks[name] = l
		}
		if l.taken {
			r.queued = n.w.now + 1
			l.waits = append(l.waits, r)
			return
		}
		l.taken = true
		n.compute(r, l)
		return
	}
	n.compute(r, nil)
}

func (n *node) compute(r *request, l *lock) {
	if r.queued != 0 && n.w.now-r.queued > 5*second {
		n.w.truth.trouble("convoy", r.queued+5*second, n.w.now)
	}
	r.queued = 0
	d := max(r.until-n.w.now, ms)
	if r.until == 0 {
		d = time.Duration(float64(r.cmd.takes(n.w)) * n.slow())
	}
	gen := n.generation
	var end func()
	end = func() {
		if gen != n.generation {
			return
		}
		if n.stopped() {
			n.w.in(n.stoppedUntil-n.w.now+time.Millisecond, end)
			return
		}
		if l != nil {
			l.taken = false
			if len(l.waits) > 0 {
				next := l.waits[0]
				l.waits = l.waits[1:]
				l.taken = true
				n.compute(next, l)
			}
		}
		n.finish(r, 200)
	}
	n.w.in(d, end)
}

func (n *node) endWork(r *request) {
	if !r.worker {
		return
	}
	r.worker = false
	n.busy--
	for len(n.ready) > 0 && n.busy < n.workers {
		next := n.ready[0]
		n.ready = n.ready[1:]
		if next.done { // its client is gone
			continue
		}
		n.busy++
		next.worker = true
		n.work(next)
	}
}

// finish answers.
func (n *node) finish(r *request, status int) {
	if r.done {
		return
	}
	r.done = true
	c := r.c
	if !c.kernel || !c.hasFD {
		if c.hasFD {
			c.close()
		}
		c.busy, c.requests = nil, nil
		n.endWork(r)
		return
	}
	if c.h2 {
		n.finishStream(r)
		return
	}
	r.answered = true
	b := answer(r, status)
	c.write(b)
	if len(b) <= 64<<10 {
		n.endWork(r) // it is in the socket's buffer
	}
	if !c.sending && len(c.out) == 0 {
		n.drained(c)
	}
}

// drained is called when the client has all of an answer.
func (n *node) drained(c *conn) {
	if c.stream || c.h2 || c.busy == nil || !c.busy.answered {
		return
	}
	r := c.busy
	c.busy = nil
	c.requests = c.requests[1:]
	n.endWork(r)
	if r.cmd.closes || n.f.closes {
		c.close()
	}
	if r.reply != nil {
		n.w.in(c.rtt/2, r.reply)
	}
	n.rest(c)
	n.readable(c)
}

// rest begins a kept connection's idle time.
func (n *node) rest(c *conn) {
	c.idleGen++
	if n.f.idle == 0 {
		return
	}
	gen, process := c.idleGen, n.generation
	n.w.in(n.f.idle, func() {
		if gen == c.idleGen && process == n.generation && c.busy == nil && c.hasFD && !c.stream && c.open == 0 && c.kernel {
			c.close()
		}
	})
}

// broken is a connection whose client reset it: the process learns of it when
// it next looks.
func (n *node) broken(c *conn) {
	if !c.accepted {
		return // it stays in the queue
	}
	if c.busy != nil && (c.busy.answered || !c.busy.whole) || c.busy == nil || n.f.cancels {
		if r := c.busy; r != nil {
			r.done = true
			n.endWork(r)
		}
		for _, r := range c.requests {
			r.done = true
		}
		c.busy, c.requests = nil, nil
		if c.hasFD {
			c.hasFD = false
			n.freed()
		}
	}
}

// stop halts the process for d, as a garbage collection does.
func (n *node) stop(d time.Duration) {
	n.stoppedUntil = n.w.now + d
	if d > 6*second {
		n.w.truth.trouble("stopped", n.w.now+6*second, n.stoppedUntil)
	}
	n.w.in(d+1, n.wake)
}

func (n *node) wake() {
	if n.stopped() || n.away {
		return
	}
	n.accept()
	for _, c := range n.sorted() {
		n.readable(c)
	}
}

// sorted returns the sockets in the order of their clients: a map has none.
func (n *node) sorted() []*conn {
	all := make([]*conn, 0, len(n.sockets))
	for c := range n.sockets {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *conn) int {
		if x := a.cli.Addr().Compare(b.cli.Addr()); x != 0 {
			return x
		}
		return int(a.cli.Port()) - int(b.cli.Port())
	})
	return all
}

// restart ends the process and starts it again after d.
func (n *node) restart(d time.Duration) {
	w := n.w
	w.truth.trouble("restart", w.now, w.now+d+5*second)
	n.away = true
	n.generation++
	n.ready, n.busy, n.locks = nil, 0, map[string]*lock{}
	n.queue = nil
	for _, c := range n.sorted() {
		c.hasFD = false
		c.out = nil
		if w.chance(0.3) || len(c.requests) > 0 && !c.requests[0].whole {
			c.emit(down, capture.RST|capture.ACK, c.next[down], nil)
			c.gone()
			c.closedCli, c.sentFin = true, true
			w.in(c.rtt/2, c.ended)
		} else {
			c.closing = true
			c.sending = false
			c.fin()
		}
		c.busy, c.requests = nil, nil
	}
	n.fds = 0
	w.in(d, func() { n.away = false })
}

// sample is what the node's machine says, every five seconds.
func (n *node) sample() {
	s := &capture.Sample{PID: 4711 + n.generation, Process: "node", FDs: n.base + n.fds, FDLimit: n.limit,
		Addrs: []netip.Addr{n.addr.Addr(), n.addr6.Addr()}, Overflows: n.overflows}
	for _, c := range n.sorted() {
		state := capture.Established
		switch {
		case !c.established:
			state = capture.SynRecv
		case c.finUp && !c.finDown:
			state = capture.CloseWait
		case c.finDown:
			state = capture.FinWait2
		}
		s.Sockets[state]++
		if !n.told {
			s.Conns = append(s.Conns, capture.Socket{Flow: capture.Flow{Client: c.cli, Server: c.srv}, State: state, Accepted: c.accepted})
		}
		if c.established && !c.accepted {
			s.Unaccepted++
			if state == capture.CloseWait {
				s.UnacceptedCloseWait++
			}
		}
	}
	n.told = true
	s.Listen = []capture.Backlog{{Addr: n.addr.AddrPort(), Queue: len(n.queue), Max: n.backlog}}
	if n.away {
		s = &capture.Sample{Err: "no process listens on the port"}
	} else if level := float64(s.FDs) / float64(s.FDLimit); level >= 0.8 {
		n.w.truth.trouble("descriptors", n.w.now, n.w.now+10*second)
	}
	it := capture.Item{At: n.w.at(), Kind: capture.HostSampled, Sample: s}
	n.w.pipe.Item(&it)
	n.w.in(5*second, n.sample)
}

// watch notes calls that wait for a worker or a lock now.
func (n *node) watch() {
	w := n.w
	if len(n.ready) > 0 && w.now-n.ready[0].queued > 2*second {
		w.truth.trouble("workers full", w.now-second, w.now)
	}
	for _, l := range n.locks {
		if len(l.waits) > 0 && w.now-l.waits[0].queued > 5*second {
			w.truth.trouble("convoy", w.now-second, w.now)
		}
	}
	w.in(second, n.watch)
}

func (n *node) String() string {
	return fmt.Sprintf("%s, %d workers, limit %d, %d fds", n.f.name, n.workers, n.limit, n.base)
}

// capacity is how many calls a second of one kind of clients the node bears
// with ease: an honest operator's has room for a few kinds.
func (n *node) capacity() float64 {
	sum, work, locked := 0.0, 0.0, 0.0
	for i := range n.f.commands {
		c := &n.f.commands[i]
		mean := min(c.median.Seconds()*math.Exp(c.sigma*c.sigma/2), c.most.Seconds())
		sum += c.weight
		work += c.weight * mean
		if c.lock != "" {
			locked += c.weight * mean
		}
	}
	most := 50.0
	if n.workers > 0 {
		most = min(most, 0.12*float64(n.workers)*sum/work)
	}
	if locked > 0 {
		most = min(most, 0.12*sum/locked)
	}
	return most
}
