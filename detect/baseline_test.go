package detect

import (
	"testing"
	"time"

	"stallwatch/rules"
)

const balancesBody = `{"command":"getBalances","addresses":[],"threshold":100}`

// learned is a drive whose node has answered getBalances within 300 ms, once a
// second, for long enough.
func learned(t *testing.T) *drive {
	d := newDrive(t, Options{Rules: rules.Default()})
	for range 700 {
		d.answered(balancesBody, 300*time.Millisecond)
		d.wait(700 * time.Millisecond)
	}
	return d
}

func (d *drive) answered(body string, wait time.Duration) {
	id := d.call("192.0.2.1", body)
	d.wait(wait)
	d.answer(id, 200)
}

// balances is the cell of getBalances.
func (d *drive) balances() *cell {
	for i := range d.e.view.nodes[0].cells {
		if c := &d.e.view.nodes[0].cells[i]; c.command != nil && c.command.Name == "getBalances" {
			return c
		}
	}
	d.t.Fatal("getBalances was never called")
	return nil
}

func (d *drive) usual() time.Duration {
	q, ok := d.balances().base.usual(d.at, &d.e.o.LatencyRegression)
	if !ok {
		d.t.Fatal("nothing is learned")
	}
	return q
}

// While something hangs on a node, all that it answers is slower than usual,
// also what is not over any budget: nothing of that is learned.
func TestBaselineFreezes(t *testing.T) {
	d := learned(t)
	before := d.usual()
	for range 4 {
		d.call("198.51.100.7", tipsBody)
	}
	d.wait(40 * time.Second)
	fired := false
	for _, f := range d.out {
		fired = fired || f.Kind == AlertChanged && f.Alert.Name == "CallStalled"
	}
	if !fired {
		t.Fatal("the calls that hang are no stall")
	}
	total := d.balances().base.total
	for range 200 {
		d.answered(balancesBody, 2*time.Second)
	}
	if got := d.balances().base.total; got != total || d.usual() != before {
		t.Errorf("%d answers of a stalled node were learned, 95 of 100 took %s, now %s", got-total, before, d.usual())
	}
}

// A patient client that makes the answers slower little by little moves what
// is usual. It moves the budget of the alert no further than the rules allow:
// what hangs for the critical budget fires, whatever was learned.
func TestBaselinePoisoned(t *testing.T) {
	d := learned(t)
	critical := max(d.balances().command.Critical, d.e.o.CallStalled.CriticalFloor)
	for wait := 300 * time.Millisecond; wait < critical; wait += wait / 5 {
		for range 300 {
			d.answered(balancesBody, wait)
		}
	}
	c := d.balances()
	if warn := c.alertWarn(); warn < c.command.Warn || warn > c.command.Critical {
		t.Errorf("the warn budget is %s, the rules give %s to %s", warn, c.command.Warn, c.command.Critical)
	}
	d.out = nil
	d.call("203.0.113.9", balancesBody)
	d.wait(critical + time.Second)
	for _, f := range d.out {
		if f.Kind == AlertChanged && f.Alert.Name == "CallStalled" && f.Alert.Severity >= Warning {
			return
		}
	}
	t.Errorf("a call that hangs for %s is told by nobody", critical)
}

// How fresh a command is goes by answers that say yes: a node that fails at
// once is quick, and no use.
func TestFreshness(t *testing.T) {
	d := newDrive(t, Options{Rules: rules.Default()})
	fresh := func() (age time.Duration, ok bool) {
		var s Snapshot
		d.e.Snapshot(&s)
		for _, g := range s.Commands {
			if g.Command != nil && g.Command.Name == "getBalances" {
				return g.Fresh.Truncate(time.Second), g.Succeeded
			}
		}
		t.Fatal("no gauge of getBalances")
		return 0, false
	}
	failed := d.call("192.0.2.1", balancesBody)
	d.answer(failed, 500)
	d.wait(time.Second)
	if age, ok := fresh(); ok {
		t.Errorf("it was answered by 500, and its last success is %s old", age)
	}
	d.answered(balancesBody, time.Second)
	d.wait(40 * time.Second)
	failed = d.call("192.0.2.1", balancesBody)
	d.answer(failed, 500)
	d.wait(2 * time.Second)
	if age, ok := fresh(); !ok || age != 42*time.Second {
		t.Errorf("the last success is %s old, %v; want 42s", age, ok)
	}
}
