package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stallwatch/cmd/internal/demo"
)

// cast are the clients of a scenario besides the demo's wallets: attackers, or
// honest ones with odd ways. How their calls end is nobody's concern; what
// they do to the wallets is.
type cast struct {
	st     *Stage
	node   *demo.NodeProc
	target netip.AddrPort
	from   []netip.Addr // addresses they may take; empty: the kernel's choice

	calls   atomic.Int64
	dialed  atomic.Int64
	reached atomic.Int64
	wg      sync.WaitGroup
}

// patience bounds any wait of a cast for the node.
const patience = 2 * time.Minute

// playWith plays honest clients and, from the end of the warm-up, an act
// beside them until it returns or the play is over. What the act does counts
// as an attack iff attack is true.
func (st *Stage) playWith(ctx context.Context, c *cast, s demo.Scenario, attack bool, act func(context.Context, *cast) error) error {
	c.st = st
	if !c.target.IsValid() {
		c.target = c.node.Addr
	}
	s.Attack.Rate = 0
	acting, cancel := context.WithCancel(ctx)
	defer cancel()
	var began time.Time
	done := make(chan error, 1)
	go func() {
		if !sleep(acting, s.WarmUp) {
			done <- nil
			return
		}
		began = time.Now().UTC()
		err := act(acting, c)
		c.wg.Wait()
		done <- err
	}()
	err := st.Play(ctx, c.node, s)
	cancel()
	if actErr := <-done; err == nil {
		err = actErr
	}
	if n := c.dialed.Load(); err == nil && n > 0 && c.reached.Load() == 0 {
		err = fmt.Errorf("none of %d calls reached %s", n, c.target)
	}
	if err == nil && attack {
		st.events.Play.AttackStart, st.events.Play.AttackCalls = began, int(c.calls.Load())
	}
	return err
}

// sleep waits for d; false when ctx was done first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// each runs f n times, every d, in goroutines that playWith waits for. It
// returns when the last has begun or ctx is done.
func (c *cast) each(ctx context.Context, n int, d time.Duration, f func(i int)) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for i := range n {
		c.wg.Go(func() { f(i) })
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// addr is the i-th client's address, in turn.
func (c *cast) addr(i int) netip.Addr {
	if len(c.from) == 0 {
		return netip.Addr{}
	}
	return c.from[i%len(c.from)]
}

// dial connects; nil when that failed, which is counted all the same.
func (c *cast) dial(ctx context.Context, i int) *guest {
	c.calls.Add(1)
	c.dialed.Add(1)
	g := dial(ctx, c.addr(i), c.target)
	if g != nil {
		c.reached.Add(1)
	}
	return g
}

// guest is a connection of a cast and its end.
type guest struct {
	*net.TCPConn
	br   *bufio.Reader
	stop func() bool
}

// dial connects from an address (zero: any) without keep-alive probes and
// without MPTCP; nil when that failed. The connection's reads and writes end
// with ctx.
func dial(ctx context.Context, from netip.Addr, to netip.AddrPort) *guest {
	d := net.Dialer{Timeout: patience, KeepAlive: -1}
	d.SetMultipathTCP(false)
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil
	}
	conn.SetDeadline(time.Now().Add(patience)) // a fresh connection has no reason to refuse
	g := &guest{TCPConn: conn.(*net.TCPConn), br: bufio.NewReader(conn)}
	g.stop = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return g
}

// close ends the connection with a FIN.
func (g *guest) close() {
	g.stop()
	g.Close() // the client has no use for the error
}

// reset ends it with a RST.
func (g *guest) reset() {
	g.SetLinger(0) // then Close sends a RST
	g.close()
}

// call sends one request on the connection and reads its answer whole.
func (g *guest) call(text string) error {
	if _, err := io.WriteString(g, text); err != nil {
		return err
	}
	resp, err := http.ReadResponse(g.br, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// post is a request as wallets send it, on a connection that stays.
func post(body string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: node:14265\r\nUser-Agent: wallet/2.5.6\r\nContent-Type: application/json\r\n"+
		"%s\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n%s", version, len(body), body)
}

// ask makes one call on a connection of its own.
func (c *cast) ask(ctx context.Context, i int, body string) {
	if g := c.dial(ctx, i); g != nil {
		defer g.close()
		g.call(post(body)) // any answer will do
	}
}

// giveUp makes a call of the attack and leaves by a FIN after d without an
// answer.
func (c *cast) giveUp(ctx context.Context, i int, d time.Duration) {
	if g := c.dial(ctx, i); g != nil {
		defer g.close()
		io.WriteString(g, post(stall))
		sleep(ctx, d)
	}
}

// hash is a random hash of 81 trytes.
func hash() string {
	const alphabet = "9ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	var b [81]byte
	for i := range b {
		b[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return string(b[:])
}

// listOf is a call with a list of n elements, all the same: captures are
// committed, and compress.
func listOf(command, key string, n int, element string) string {
	return fmt.Sprintf(`{"command":%q,%q:[%s]}`, command, key, strings.Repeat(`"`+element+`",`, n-1)+`"`+element+`"`)
}

// quietly are honest clients in the number that leaves captures small: five
// calls a second.
func quietly(warmUp, length time.Duration) demo.Scenario {
	s := demo.DefaultScenario()
	s.Clients.Rate, s.Clients.Keep, s.Attack.Rate = 3, 2, 0
	s.WarmUp, s.Length = warmUp, length
	return s
}
