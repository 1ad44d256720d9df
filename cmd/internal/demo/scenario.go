package demo

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// Scenario is a play in three acts: honest clients alone, the attack, and
// what is left of the node.
type Scenario struct {
	Node    NodeOptions
	Clients ClientOptions
	Attack  AttackOptions

	WarmUp     time.Duration // honest clients alone
	Length     time.Duration // of the whole, should the node survive
	AfterDeath time.Duration // how long clients knock at a dead node's port

	NodeLog io.Writer // what the node logs; nil: dropped
	// Tell is told each step as it happens, one at a time but from several
	// goroutines; nil: nobody.
	Tell func(Step)
}

// DefaultScenario is the play of the demo command: the node dies about 50 s
// after the curtain, see the package's text on compression. Clients and
// attackers have loopback addresses of their own where the system allows it.
func DefaultScenario() Scenario {
	return Scenario{
		Node:       NodeOptions{Workers: 72, FDLimit: 128},
		Clients:    ClientOptions{Rate: 6, Keep: 4, Sources: loopback(1, 8), Seed: 2018}.withDefaults(),
		Attack:     AttackOptions{Rate: 1.9, Patience: 3 * time.Second, Sources: loopback(66, 3)},
		WarmUp:     10 * time.Second,
		Length:     70 * time.Second,
		AfterDeath: 3 * time.Second,
	}
}

// loopback returns n addresses 127.0.net.1 and up. Linux answers for the whole
// of 127.0.0.0/8; others only for what was configured, so they get none.
func loopback(network byte, n int) []netip.Addr {
	if runtime.GOOS != "linux" {
		return nil
	}
	list := make([]netip.Addr, n)
	for i := range list {
		list[i] = netip.AddrFrom4([4]byte{127, 0, network, byte(i + 1)})
	}
	return list
}

// StepKind says what a Step is.
type StepKind uint8

// The steps of a play, in their usual order.
const (
	Began StepKind = iota
	AttackBegan
	FirstFailure // of an honest call
	NodeDied
	Ended
)

var stepNames = [...]string{"began", "attack_began", "first_failure", "node_died", "ended"}

// String names the step.
func (k StepKind) String() string {
	if int(k) < len(stepNames) {
		return stepNames[k]
	}
	return "unknown"
}

// Step is something that happened in a play.
type Step struct {
	At   time.Time
	Kind StepKind
	Text string
}

// Result is what happened; a zero time means that it did not.
type Result struct {
	Start        time.Time `json:"start"`
	AttackStart  time.Time `json:"attack_start,omitzero"`
	FirstFailure *Call     `json:"first_failure,omitempty"` // the honest call that failed first, by its end
	EMFILE       time.Time `json:"emfile,omitzero"`
	Death        time.Time `json:"death,omitzero"`
	DeathReason  string    `json:"death_reason,omitempty"`
	End          time.Time `json:"end"`

	Node        netip.AddrPort `json:"node"`
	PID         int            `json:"pid"`
	FDLimit     uint64         `json:"fd_limit"`
	AttackCalls int            `json:"attack_calls"`
	Answered    int            `json:"honest_answered"` // honest calls by how they ended
	Failed      int            `json:"honest_failed"`
	Canceled    int            `json:"honest_canceled"` // cut short by the play's end
	Skipped     int            `json:"honest_skipped"`  // not made: too many in flight
	Calls       []Call         `json:"-"`               // the honest clients' log, by end
}

// play is a scenario under way.
type play struct {
	Scenario
	telling sync.Mutex // one Tell at a time
}

// Run starts the node, plays the scenario on it and stops it. exe is a
// program that calls NodeMain.
func Run(ctx context.Context, exe string, s Scenario) (Result, error) {
	p, err := Start(exe, s.Node, s.NodeLog)
	if err != nil {
		return Result{}, err
	}
	r, err := Play(ctx, p, s)
	return r, errors.Join(err, p.Stop())
}

// Play lets clients and attackers loose on a node that runs already. It ends
// when the node has died, when the time is up or when ctx is done, and waits
// for all it started; the node, if it lives, is left alone.
func Play(ctx context.Context, p *NodeProc, sc Scenario) (Result, error) {
	s := play{Scenario: sc}
	s.Clients = s.Clients.withDefaults()
	s.Attack.Patience = orElse(s.Attack.Patience, 3*time.Second)
	s.Clients.Target = orElse(s.Clients.Target, p.Addr)
	s.Attack.Target = orElse(s.Attack.Target, p.Addr)
	r := Result{Start: time.Now().UTC(), Node: p.Addr, PID: p.PID, FDLimit: p.FDLimit}
	s.tell(Began, r.began())

	ctx, cancel := context.WithTimeout(ctx, s.Length)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { r.Calls, r.Skipped = (&clients{o: s.Clients, failed: s.tellFailure}).run(ctx) })
	attackErr := s.attack(ctx, p, &r)
	s.wait(ctx, p)
	cancel()
	wg.Wait()
	r.End = time.Now().UTC()
	r.sum(p)
	s.tell(Ended, r.ended())
	return r, attackErr
}

// attack waits for the warm-up's end and attacks until the node is dead or
// ctx is done.
func (s *play) attack(ctx context.Context, p *NodeProc, r *Result) error {
	if s.Attack.Rate <= 0 || !sleep(ctx, s.WarmUp) {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.AttackStart = time.Now().UTC()
	s.tell(AttackBegan, attackBegan)
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-p.Ended():
			cancel()
		case <-ctx.Done():
		}
	})
	sent, err := attack(ctx, s.Attack)
	r.AttackCalls = sent
	cancel()
	wg.Wait()
	return err
}

// wait lasts until the end, or until some time after the node's death.
func (s *play) wait(ctx context.Context, p *NodeProc) {
	select {
	case <-ctx.Done():
	case <-p.Ended():
		if n, dead := p.death(); dead && ctx.Err() == nil {
			s.tell(NodeDied, n.Text)
		}
		sleep(ctx, s.AfterDeath)
	}
}

// sum fills the result from the logs.
func (r *Result) sum(p *NodeProc) {
	if n, ok := p.Note(OutOfDescriptors); ok {
		r.EMFILE = n.Time
	}
	if n, ok := p.death(); ok {
		r.Death, r.DeathReason = n.Time, n.Text
	}
	for i := range r.Calls {
		switch c := &r.Calls[i]; {
		case c.Outcome.Failed():
			r.Failed++
			if r.FirstFailure == nil {
				r.FirstFailure = c
			}
		case c.Outcome == Answered:
			r.Answered++
		default:
			r.Canceled++
		}
	}
}

func (s *play) tell(k StepKind, text string) {
	s.tellAt(Step{time.Now().UTC(), k, text})
}

func (s *play) tellFailure(c Call) {
	s.tellAt(Step{c.End, FirstFailure, c.failed()})
}

func (s *play) tellAt(step Step) {
	if s.Tell == nil {
		return
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	s.Tell(step)
}
