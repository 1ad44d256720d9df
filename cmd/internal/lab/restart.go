package lab

import (
	"context"
	"sync/atomic"
	"time"

	"stallwatch/cmd/internal/demo"
)

// restart is a scenario in which the node ends once and comes back.
type restart struct {
	scenario demo.Scenario // WarmUp lasts until the node ends
	attack   bool
	down     time.Duration // from its end to its new start
	end      func(*demo.NodeProc) error
	before   func(context.Context, *cast) // what goes on beside the wallets, from the start on; must return soon
}

// playRestart plays over loopback: the socket table can be read there while
// there is no node.
func playRestart(ctx context.Context, st *Stage, r restart) error {
	if err := st.Capture("lo", "tcp port 14265"); err != nil {
		return err
	}
	o := roomy
	o.Listen = nodeAddr
	p, err := st.Node(o)
	if err != nil {
		return err
	}
	var successor atomic.Int64
	if err := st.Truth(Target{PID: p.PID, Port: nodePort, Successor: &successor}); err != nil {
		return err
	}
	c := &cast{node: p, target: p.Addr}
	beside, cancel := context.WithCancel(ctx)
	began := make(chan struct{})
	go func() {
		defer close(began)
		if sleep(beside, r.scenario.WarmUp/2) {
			r.before(beside, c)
		}
	}()
	r.scenario.AfterDeath = r.scenario.Length - r.scenario.WarmUp
	err = st.playWith(ctx, c, r.scenario, r.attack, func(ctx context.Context, c *cast) error {
		context.AfterFunc(ctx, cancel)
		st.Mark("the node is ended")
		if err := r.end(p); err != nil {
			return err
		}
		if !sleep(ctx, r.down) {
			return nil
		}
		again, err := st.Node(o)
		if err != nil {
			return err
		}
		successor.Store(int64(again.PID))
		st.Mark("the node listens again")
		<-ctx.Done()
		return nil
	})
	cancel()
	<-began
	c.wg.Wait()
	return err
}
