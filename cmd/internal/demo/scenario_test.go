package demo

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// TestDeath plays the attack for real on a small node: the pool fills, then
// the descriptors, and the database's next append ends it.
func TestDeath(t *testing.T) {
	var steps []StepKind
	s := Scenario{
		Node:       NodeOptions{Workers: 8, FDLimit: 40, AppendEvery: 50 * time.Millisecond},
		Clients:    ClientOptions{Rate: 30, Keep: 2, Timeout: 20 * time.Second, Seed: 1},
		Attack:     AttackOptions{Rate: 20, Patience: 100 * time.Millisecond},
		WarmUp:     300 * time.Millisecond,
		Length:     time.Minute,
		AfterDeath: 100 * time.Millisecond,
		Tell:       func(s Step) { steps = append(steps, s.Kind) },
	}
	r, err := Run(context.Background(), self(t), s)
	if err != nil {
		t.Fatal(err)
	}
	if r.Death.IsZero() || !strings.Contains(r.DeathReason, "While open a file for appending") {
		t.Errorf("death at %v of %q, want RocksDB's words", r.Death, r.DeathReason)
	}
	if r.FirstFailure == nil || r.FirstFailure.End.Before(r.AttackStart) {
		t.Errorf("first failure %+v, want one after the attack began at %v", r.FirstFailure, r.AttackStart)
	}
	if r.AttackCalls < s.Node.Workers {
		t.Errorf("attack sent %d calls, which cannot fill %d workers", r.AttackCalls, s.Node.Workers)
	}
	if r.Answered == 0 {
		t.Error("no honest call was answered before the attack")
	}
	if got := r.Answered + r.Failed + r.Canceled; got != len(r.Calls) {
		t.Errorf("%d calls are accounted for, the log has %d", got, len(r.Calls))
	}
	want := []StepKind{Began, AttackBegan, FirstFailure, NodeDied, Ended}
	seen := map[StepKind]int{}
	for _, k := range steps {
		seen[k]++
	}
	for _, k := range want {
		if seen[k] != 1 {
			t.Errorf("step %v was told %d times, want once: %v", k, seen[k], steps)
		}
	}
}

// TestHonest plays without an attack: nothing fails.
func TestHonest(t *testing.T) {
	r, err := Run(context.Background(), self(t), Scenario{
		Clients: ClientOptions{Rate: 50, Seed: 3, Timeout: 30 * time.Second},
		Length:  time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 0 || r.Answered == 0 || !r.AttackStart.IsZero() || !r.Death.IsZero() {
		t.Errorf("got %+v, want answers only", r)
	}
	for _, c := range r.Calls {
		if c.Outcome == Answered && (c.End.Before(c.Start) || !c.Client.IsValid()) {
			t.Errorf("answered call without its facts: %+v", c)
		}
	}
}

// TestRefused has clients knock where nobody listens.
func TestRefused(t *testing.T) {
	p, err := Start(self(t), NodeOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	l := link{target: p.Addr}
	if c := l.do(t.Context(), "getNodeInfo", "{}", time.Second, false); c.Outcome != Refused {
		t.Errorf("call to a stopped node: %+v, want refused", c)
	}
}

func TestAttackRefusesStrangers(t *testing.T) {
	for _, addr := range []string{"8.8.8.8:14265", "[2001:4860:4860::8888]:14265"} {
		sent, err := attack(t.Context(), AttackOptions{Target: netip.MustParseAddrPort(addr), Rate: 1})
		if err == nil || sent != 0 {
			t.Errorf("attack on %s: sent %d, err %v; want a refusal", addr, sent, err)
		}
	}
}

func TestStartFails(t *testing.T) {
	if _, err := Start(self(t), NodeOptions{Dir: "/nonexistent"}, nil); err == nil {
		t.Error("a node without a directory for its database started")
	}
	if _, err := Start("/nonexistent", NodeOptions{}, nil); err == nil {
		t.Error("a program that does not exist started")
	}
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// TestQuit: a node that is told to end does so in order.
func TestQuit(t *testing.T) {
	p, err := Start(self(t), NodeOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if err := p.Quit(); err != nil {
		t.Fatal(err)
	}
	if n, dead := p.death(); !dead || n.Text != "process stopped" {
		t.Errorf("after Quit: %+v, %v; want a stopped process", n, dead)
	}
}

// TestKilled: a node that is killed from outside has died too.
func TestKilled(t *testing.T) {
	p, err := Start(self(t), NodeOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	s := Scenario{Clients: ClientOptions{Rate: 50}, Length: 20 * time.Second}
	s.Tell = func(step Step) {
		if step.Kind == Began {
			if err := p.cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	r, err := Play(t.Context(), p, s)
	if err != nil || r.Death.IsZero() || !strings.Contains(r.DeathReason, "killed") {
		t.Errorf("death at %v of %q (%v), want a kill", r.Death, r.DeathReason, err)
	}
}

// TestInterrupted: a play that is cut short ends at once, and the node lives.
func TestInterrupted(t *testing.T) {
	p, err := Start(self(t), NodeOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	s := Scenario{Clients: ClientOptions{Rate: 50}, Attack: AttackOptions{Rate: 10}, Length: time.Hour}
	s.Tell = func(step Step) {
		if step.Kind == AttackBegan {
			cancel()
		}
	}
	r, err := Play(ctx, p, s)
	if err != nil || !r.Death.IsZero() || r.Failed != 0 {
		t.Errorf("got %+v (%v), want a living node and no failed call", r, err)
	}
}
