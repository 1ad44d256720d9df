package lab

import (
	"context"
	"net/netip"
	"time"

	"stallwatch/cmd/internal/demo"
)

// playSlower has a node that takes 200 to 400 ms for a tip selection, one at
// a time. For eleven minutes one wallet asks about once a second; then nine more come
// that ask again as soon as they are answered, and each waits for nine others:
// every call ends, in ten times its usual time.
//
// It is so long because eleven minutes are what stallwatch wants to know of a
// command before it calls an answer slow.
func playSlower(ctx context.Context, st *Stage) error {
	const usual, rush = 11 * time.Minute, 45 * time.Second
	if err := st.Capture("lo", "tcp port 14265"); err != nil {
		return err
	}
	p, err := st.Node(demo.NodeOptions{
		Listen: nodeAddr, Workers: 1, FDLimit: 128,
		Compute: map[string]demo.Span{tips: {Least: 200 * time.Millisecond, Most: 400 * time.Millisecond}},
	})
	if err != nil {
		return err
	}
	if err := st.truthEvery(2*time.Second, Target{PID: p.PID, Port: nodePort}); err != nil {
		return err
	}
	c := &cast{st: st, node: p, target: p.Addr}
	ctx, cancel := context.WithTimeout(ctx, usual+rush)
	defer cancel()
	sleep(ctx, 2*time.Second) // the first truth comes first
	c.wg.Go(func() { c.asks(ctx, 1, 700*time.Millisecond) })
	if sleep(ctx, usual) {
		st.Mark("nine more come")
		for i := range 9 {
			c.wg.Go(func() { c.asks(ctx, 2+i, 50*time.Millisecond) })
		}
	}
	c.wg.Wait()
	return nil
}

const tips = "getTransactionsToApprove"

// asks asks again and again on one connection, with a pause.
func (c *cast) asks(ctx context.Context, i int, pause time.Duration) {
	g := dial(ctx, netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}), c.target)
	if g == nil {
		return
	}
	defer g.close()
	for ctx.Err() == nil {
		g.SetDeadline(time.Now().Add(patience))
		if g.call(post(`{"command":"`+tips+`","depth":4}`)) != nil {
			return
		}
		sleep(ctx, pause)
	}
}
