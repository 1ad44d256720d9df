package demo

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"stallwatch/testdata/captures"
)

// TestUnpack: the recorded play is whole, in order, and short enough to ship.
func TestUnpack(t *testing.T) {
	path, steps, port, err := Unpack(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, captures.Attack) || len(got) == 0 || len(got) > 1_000_000 {
		t.Errorf("%s holds %d bytes (%v), want the %d embedded ones, at most 1 MB", path, len(got), err, len(captures.Attack))
	}
	side, err := os.ReadFile(strings.TrimSuffix(path, ".pcap.zst") + ".host.jsonl")
	if err != nil || !bytes.Equal(side, captures.AttackTruth) || !bytes.HasPrefix(side, []byte(`{"type":"sample"`)) {
		t.Errorf("side file of %d bytes (%v), want the %d embedded ones", len(side), err, len(captures.AttackTruth))
	}
	if port != 14265 {
		t.Errorf("port %d, want IRI's", port)
	}
	seen := map[StepKind]int{}
	for _, s := range steps {
		seen[s.Kind]++
		if s.At.IsZero() || s.Text == "" {
			t.Errorf("step without time or text: %+v", s)
		}
	}
	for k := Began; k <= Ended; k++ {
		if seen[k] != 1 {
			t.Errorf("step %v is there %d times, want once: %+v", k, seen[k], steps)
		}
	}
	if !slices.IsSortedFunc(steps, func(a, b Step) int { return a.At.Compare(b.At) }) {
		t.Errorf("steps are not in order of time: %+v", steps)
	}
}

func TestUnpackNowhere(t *testing.T) {
	if _, _, _, err := Unpack("/nonexistent"); err == nil {
		t.Error("unpacked into a directory that does not exist")
	}
}

func TestOutcomeText(t *testing.T) {
	for o := Canceled; o <= Erred; o++ {
		text, err := o.MarshalText()
		var back Outcome
		if err := back.UnmarshalText(text); err != nil || back != o {
			t.Errorf("%q is read as %v (%v), want %v", text, back, err, o)
		}
		if err != nil {
			t.Error(err)
		}
	}
	var o Outcome
	if o.UnmarshalText([]byte("bored")) == nil {
		t.Error("an outcome that does not exist was read")
	}
}
