package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// NodeOptions say how a node is built. The zero value is IRI on two cores
// with 128 descriptors, on a free port of the loopback address.
type NodeOptions struct {
	Listen  netip.AddrPort // zero: 127.0.0.1 and a free port
	Workers int            // size of the worker pool; 0: 16, as Undertow has on two cores
	Monitor bool           // IRI's object monitor: a stalled call blocks its whole lock group

	FDLimit       uint64        // descriptors of the node's process; 0: 128
	AppendEvery   time.Duration // how often the database opens its log; 0: 500 ms
	DatabaseFiles int           // files the database keeps open; 0: 8
	Dir           string        // directory of the database; Start makes one when empty

	Compute map[string]Span // how long commands compute, where not as commands() has it
	Limited []string        // commands answered with 401; nil: REMOTE_LIMIT_API as public nodes set it

	// Wrap is put before the node's command line: "ip", "netns", "exec", NAME
	// runs it in a network namespace. It must exec, so that the PID stays.
	Wrap []string
}

// Span is a range of times; each is as likely as the other.
type Span struct{ Least, Most time.Duration }

// remoteLimitAPI is REMOTE_LIMIT_API as public nodes set it.
var remoteLimitAPI = []string{"addNeighbors", "removeNeighbors", "getNeighbors", "setApiRateLimit", "interruptAttachingToTangle"}

func (o NodeOptions) withDefaults() NodeOptions {
	if o.Limited == nil {
		o.Limited = remoteLimitAPI
	}
	if !o.Listen.IsValid() {
		o.Listen = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	}
	o.Workers = orElse(o.Workers, 16)
	o.FDLimit = orElse(o.FDLimit, 128)
	o.AppendEvery = orElse(o.AppendEvery, 500*time.Millisecond)
	o.DatabaseFiles = orElse(o.DatabaseFiles, 8)
	return o
}

// orElse returns v, or d when v is zero.
func orElse[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// Times of the node: Undertow's NO_REQUEST_TIMEOUT closes idle keep-alive
// connections; IRI's acceptor spun without a pause, which would only fill a
// disk with its log.
const (
	idleTimeout = 60 * time.Second
	acceptPause = 50 * time.Millisecond
)

// Node is the flawed server. Make one with NewNode, run it with Run.
type Node struct {
	o        NodeOptions
	listener net.Listener
	db       *database
	commands map[string]command
	pool     chan struct{} // one element a busy worker
	monitor  chan struct{} // IRI's object monitor
	note     func(Note)
	log      *log.Logger

	mu    sync.Mutex // guards conns
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

// NewNode opens the database and listens. note is told what happens to the
// node, from several goroutines; l gets what IRI would have logged.
func NewNode(o NodeOptions, note func(Note), l *log.Logger) (*Node, error) {
	o = o.withDefaults()
	db, err := openDatabase(o.Dir, o.DatabaseFiles)
	if err != nil {
		return nil, err
	}
	// No keep-alive probes: IRI sends none, and they would end a CLOSE_WAIT
	// once the client's kernel has forgotten the connection. No MPTCP: its
	// sockets stand in other tables.
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", o.Listen.String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", o.Listen, err), db.Close())
	}
	return &Node{
		o: o, listener: ln, db: db, commands: commands(o.Compute), note: note, log: l,
		pool: make(chan struct{}, o.Workers), monitor: make(chan struct{}, 1), conns: map[net.Conn]struct{}{},
	}, nil
}

// Addr is where the node listens.
func (n *Node) Addr() netip.AddrPort { return n.listener.Addr().(*net.TCPAddr).AddrPort() }

// Run serves until ctx is done (nil) or the database cannot write any more
// (its error: the node is dead). All connections are closed when it returns.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	n.wg.Go(func() { n.accept(ctx) })
	err := n.appendUntil(ctx)
	if err != nil {
		n.note(Note{Kind: Dead, Text: err.Error()})
	}
	cancel()
	err = errors.Join(err, n.listener.Close())
	n.mu.Lock()
	for c := range n.conns {
		c.Close() // the connection's goroutine sees it and reports nothing: nobody waits
	}
	n.mu.Unlock()
	n.wg.Wait()
	return errors.Join(err, n.db.Close())
}

// appendUntil lets the database write until it fails or ctx is done.
func (n *Node) appendUntil(ctx context.Context) error {
	tick := time.NewTicker(n.o.AppendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := n.db.append(); err != nil {
				return err
			}
		}
	}
}

// accept takes every connection there is, as IRI did.
func (n *Node) accept(ctx context.Context) {
	told := false
	for {
		c, err := n.listener.Accept()
		switch {
		case err == nil:
			n.keep(c)
			n.wg.Go(func() { n.serve(ctx, c) })
			continue
		case ctx.Err() != nil:
			return
		case errors.Is(err, syscall.EMFILE) && !told:
			told = true
			n.note(Note{Kind: OutOfDescriptors, Text: "accept"})
		}
		n.log.Printf("ERROR XNIO001007: A channel event listener threw an exception: Accept failed: %v", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(acceptPause):
		}
	}
}

func (n *Node) keep(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[c] = struct{}{}
}

func (n *Node) drop(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
	c.Close() // a second Close in Run's sweep is harmless
}

// serve answers the requests of one connection in turn.
func (n *Node) serve(ctx context.Context, c net.Conn) {
	defer n.drop(c)
	br := bufio.NewReader(c)
	for ctx.Err() == nil && n.serveOne(ctx, c, br) {
	}
}

// serveOne answers one request; false ends the connection. From the head's
// end to the answer nothing is read from the socket save the body.
func (n *Node) serveOne(ctx context.Context, c net.Conn, br *bufio.Reader) bool {
	if c.SetReadDeadline(time.Now().Add(idleTimeout)) != nil {
		return false
	}
	if _, err := br.Peek(1); err != nil {
		return false
	}
	if c.SetReadDeadline(time.Time{}) != nil {
		return false
	}
	r, err := readRequest(br)
	if err != nil {
		return false
	}
	if !enter(ctx, n.pool) {
		return false
	}
	defer func() { <-n.pool }()
	rep, ok := n.work(ctx, c, br, r)
	if !ok {
		return false
	}
	out := appendResponse(nil, r, rep, time.Now().UTC().Format(http.TimeFormat))
	if _, err := c.Write(out); err != nil {
		n.log.Printf("ERROR Lost connection to client - cannot send response: %v", err)
		return false
	}
	return r.keepAlive()
}

// work reads the body and computes the answer, inside a worker; ok is false
// when there is no answer.
func (n *Node) work(ctx context.Context, c net.Conn, br *bufio.Reader, r *request) (rep reply, ok bool) {
	if r.header["expect"] == "100-continue" {
		if _, err := c.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return reply{}, false
		}
	}
	body, err := readBody(br, r)
	if err != nil {
		return reply{}, false
	}
	began := time.Now()
	q, rep, ok := n.refuse(r, body)
	if !ok {
		return rep, true
	}
	cmd, known := n.commands[q.Command]
	if !known {
		return fault(http.StatusBadRequest, "error", fmt.Sprintf("Command [%s] is unknown", q.Command)), true
	}
	if n.o.Monitor && cmd.monitor {
		if !enter(ctx, n.monitor) {
			return reply{}, false
		}
		defer func() { <-n.monitor }()
	}
	if !n.compute(ctx, &q, cmd) {
		return reply{}, false
	}
	return encode(http.StatusOK, cmd.answer(&q), time.Since(began)), true
}

// compute takes the time the command takes; false when the node stopped
// first. It waits where IRI burnt a core: to the wire that is the same.
func (n *Node) compute(ctx context.Context, q *call, cmd command) bool {
	var done <-chan time.Time // nil: never
	if !q.stalls() {
		t := time.NewTimer(cmd.between())
		defer t.Stop()
		done = t.C
	}
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// enter takes a place in a semaphore, first come first served; false when the
// node stopped first.
func enter(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
