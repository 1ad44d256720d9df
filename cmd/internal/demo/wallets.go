package demo

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// ClientOptions describe the honest clients. The zero value is six calls a
// second from wallets that connect for each call, and four that keep their
// connection.
type ClientOptions struct {
	Target  netip.AddrPort // zero: the node that Play was given
	Sources []netip.Addr   // addresses the clients take in turn; none: the kernel's choice
	Rate    float64        // calls per second on connections of their own, Poisson; 0: 6
	Keep    int            // wallets that keep a connection; each pauses about 1 s between calls; 0: 4, -1: none
	Timeout time.Duration  // patience with a call; 0: 5 s
	Seed    uint64         // of arrivals and the mix
}

func (o ClientOptions) withDefaults() ClientOptions {
	o.Rate = orElse(o.Rate, 6)
	o.Keep = max(orElse(o.Keep, 4), 0)
	o.Timeout = orElse(o.Timeout, 5*time.Second)
	return o
}

// Bounds of one run of clients: a dead node must not make them pile up
// sockets, and a long run must not fill memory. Calls beyond either are not
// made, and counted.
const (
	maxInFlight = 256
	maxCalls    = 100_000
)

// clients are the honest ones; Run owns all its goroutines.
type clients struct {
	o      ClientOptions
	failed func(Call) // told of the first failed call, while it is logged

	mu      sync.Mutex // guards what follows
	told    bool
	calls   []Call
	skipped int
}

// run makes calls until ctx is done and returns the log in order of the ends.
func (c *clients) run(ctx context.Context) (calls []Call, skipped int) {
	var wg sync.WaitGroup
	for i := range c.o.Keep {
		wg.Go(func() { c.wallet(ctx, i) })
	}
	c.arrivals(ctx, &wg)
	wg.Wait()
	slices.SortStableFunc(c.calls, func(a, b Call) int { return cmp.Or(a.End.Compare(b.End), a.Start.Compare(b.Start)) })
	return c.calls, c.skipped
}

// arrivals starts a call on a new connection at random instants: clients of a
// public node do not wait for each other.
func (c *clients) arrivals(ctx context.Context, wg *sync.WaitGroup) {
	rng := rand.New(rand.NewPCG(c.o.Seed, 1))
	places := make(chan struct{}, maxInFlight)
	for n := 0; sleep(ctx, time.Duration(rng.ExpFloat64()/c.o.Rate*float64(time.Second))); n++ {
		command, body := mix(rng)
		select {
		case places <- struct{}{}:
		default:
			c.skip()
			continue
		}
		l := link{target: c.o.Target, source: pick(c.o.Sources, n)}
		wg.Go(func() {
			defer func() { <-places }()
			c.log(l.do(ctx, command, body, c.o.Timeout, false))
		})
	}
}

// wallet makes one call after the other on a connection it keeps.
func (c *clients) wallet(ctx context.Context, i int) {
	rng := rand.New(rand.NewPCG(c.o.Seed, uint64(i)+2))
	l := link{target: c.o.Target, source: pick(c.o.Sources, i)}
	defer l.close()
	for sleep(ctx, time.Duration((0.5+rng.Float64())*float64(time.Second))) {
		command, body := mix(rng)
		c.log(l.do(ctx, command, body, c.o.Timeout, true))
	}
}

func (c *clients) log(call Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call.Outcome.Failed() && !c.told {
		c.told = true
		c.failed(call)
	}
	if len(c.calls) == maxCalls {
		c.skipped++
		return
	}
	c.calls = append(c.calls, call)
}

func (c *clients) skip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped++
}

// pick takes the addresses in turn; zero when there are none.
func pick(list []netip.Addr, n int) netip.Addr {
	if len(list) == 0 {
		return netip.Addr{}
	}
	return list[n%len(list)]
}

// sleep waits for d; false when ctx was done first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// mix draws a call as wallets and monitors make them.
func mix(rng *rand.Rand) (command, body string) {
	switch n := rng.IntN(100); {
	case n < 30:
		return "getNodeInfo", `{"command":"getNodeInfo"}`
	case n < 55:
		return "getBalances", fmt.Sprintf(`{"command":"getBalances","addresses":[%q,%q],"threshold":100}`, hash(81), hash(81))
	case n < 75:
		return "findTransactions", fmt.Sprintf(`{"command":"findTransactions","addresses":[%q]}`, hash(81))
	case n < 85:
		return "getTrytes", fmt.Sprintf(`{"command":"getTrytes","hashes":[%q]}`, hash(81))
	case n < 90:
		return "wereAddressesSpentFrom", fmt.Sprintf(`{"command":"wereAddressesSpentFrom","addresses":[%q]}`, hash(81))
	}
	return "getTransactionsToApprove", `{"command":"getTransactionsToApprove","depth":4}`
}
