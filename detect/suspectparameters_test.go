package detect

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"stallwatch/rules"
)

// The hash that nuriel77/iri-playbook denied since 2018-01-25 (b1e31a8).
const attackHash = "GFCCGTGSUEVBZYFK9QNAHOVHXUMEATUFLGBZLDKMOGWCXVUZDVEJVCLLCJJ9NQOIMOLMUMFMGZSI99999"

func TestReference2018(t *testing.T) {
	sum := sha256.Sum256([]byte(attackHash))
	if got := binary.BigEndian.Uint64(sum[:8]); got != reference2018 {
		t.Errorf("the fingerprint is %#x, the constant %#x", got, uint64(reference2018))
	}
	body := []byte(`{"command":"getTransactionsToApprove","depth":15,"reference":"` + attackHash + `"}`)
	v := rules.Default().Classify(&rules.Request{Method: []byte("POST"), Target: []byte("/"), Body: body, BodyBytes: int64(len(body))})
	if got, ok := v.Shape.RefPrint(); !ok || got != reference2018 {
		t.Errorf("a request with the reference has fingerprint %#x, %v", got, ok)
	}
}

// Buckets cover every wait, in order, and a quantile is right to 25 %.
func TestBaselineBuckets(t *testing.T) {
	last := 0
	for d := time.Millisecond; d < 18*time.Hour; d += d/50 + 1 {
		i := bucketOf(d)
		if i < last || i > last+1 {
			t.Fatalf("%v is in bucket %d after %d", d, i, last)
		}
		last = i
		if end := bucketEnd(i); end < d-time.Millisecond || float64(end) > 1.26*float64(d)+float64(time.Millisecond) {
			t.Fatalf("%v is in bucket %d, which ends at %v", d, i, end)
		}
	}
	if bucketOf(-1) != bucketOf(time.Millisecond) || bucketOf(1<<62) != numBuckets-1 {
		t.Error("waits beyond the ends")
	}
}

// A command that gets slower than it used to be is told, its budget follows
// what it usually takes, and nothing is learned while it stalls.
func TestLatencyRegression(t *testing.T) {
	d := newDrive(t, Options{Rules: rules.Default()})
	answered := func(wait time.Duration) {
		id := d.call("192.0.2.1", infoBody)
		d.wait(wait)
		d.answer(id, 200)
	}
	for range 700 {
		answered(20 * time.Millisecond)
		d.wait(time.Second)
	}
	for range 40 {
		answered(2500 * time.Millisecond)
	}
	d.wait(3 * time.Second)
	var told []string
	for _, f := range d.out {
		if f.Kind == AlertChanged && f.Alert.State == Firing {
			told = append(told, f.Alert.Severity.String()+" "+f.Alert.Name+" "+f.Alert.Command)
		}
	}
	if len(told) != 1 || told[0] != "warning LatencyRegression getNodeInfo" {
		t.Errorf("told %q", told)
	}
	for _, n := range d.e.view.nodes {
		for i := range n.cells {
			if c := &n.cells[i]; c.command != nil && c.base != nil && c.base.frozen <= d.at {
				t.Errorf("%s is learned while it is slow", c.command.Name)
			}
		}
	}
}

// The budget of the alert stays within what the rules give.
func TestLearnedBudget(t *testing.T) {
	v := &view{o: &Options{}}
	v.o.setDefaults()
	for _, row := range []struct{ warn, critical, usual, want time.Duration }{
		{60 * second, 300 * second, time.Second, 15 * second},     // tightened, above WarnFloor
		{10 * second, 60 * second, 9 * second, 40 * second},       // loosened
		{10 * second, 30 * second, 100 * second, 20 * second},     // at most to the critical budget
		{10 * second, 30 * second, time.Millisecond, 10 * second}, // half would be below WarnFloor
		{0, 30 * second, time.Second, 0},
	} {
		c := &cell{command: &rules.Command{Warn: row.warn, Critical: row.critical}}
		v.adjust(c, row.usual)
		if got := c.alertWarn(); got != row.want {
			t.Errorf("warn %v, critical %v, usually %v: the alert takes %v, want %v", row.warn, row.critical, row.usual, got, row.want)
		}
	}
}
