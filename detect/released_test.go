package detect

import (
	"testing"

	"stallwatch/capture"
)

// TestSpares: how many reset connections the process has released, for
// certain, by what its descriptors were while none hung.
func TestSpares(t *testing.T) {
	at := func(fds, established, closeWait, unaccepted int) capture.Sample {
		s := capture.Sample{PID: 7, FDs: fds, Unaccepted: unaccepted}
		s.Sockets[capture.Established], s.Sockets[capture.CloseWait] = established, closeWait
		return s
	}
	cut := func(s capture.Sample, do func(*capture.Sample)) capture.Sample { do(&s); return s }
	for _, row := range []struct {
		name    string
		quiet   int // samples before, of 40 descriptors and 10 sockets
		zombies int
		held    int
		then    []capture.Sample
		want    int // of the last
	}{
		{"all kept", 12, 5, 5, []capture.Sample{at(45, 10, 0, 0), at(45, 10, 0, 0), at(45, 10, 0, 0)}, 0},
		{"all released", 12, 5, 5, []capture.Sample{at(40, 10, 0, 0), at(40, 10, 0, 0), at(40, 10, 0, 0)}, 5},
		{"all but one", 12, 5, 5, []capture.Sample{at(41, 10, 0, 0), at(41, 10, 0, 0), at(41, 10, 0, 0)}, 4},
		{"the connections of now are no calls of then", 12, 5, 5, []capture.Sample{at(60, 20, 10, 0), at(60, 20, 10, 0), at(60, 20, 10, 0)}, 5},
		{"what is not accepted has no descriptor", 12, 5, 5, []capture.Sample{at(45, 20, 0, 10), at(45, 20, 0, 10), at(45, 20, 0, 10)}, 0},
		{"one sample that missed them", 12, 5, 5, []capture.Sample{at(40, 10, 0, 0), at(45, 10, 0, 0), at(40, 10, 0, 0)}, 0},
		{"two samples are too few", 12, 5, 5, []capture.Sample{at(40, 10, 0, 0), at(40, 10, 0, 0)}, 0},
		{"too little is known of before", 11, 5, 5, []capture.Sample{at(40, 10, 0, 0), at(40, 10, 0, 0), at(40, 10, 0, 0)}, 0},
		{"descriptors cannot be seen", 12, 5, 5, []capture.Sample{at(-1, 10, 0, 0), at(-1, 10, 0, 0), at(-1, 10, 0, 0)}, 0},
		{"another process", 12, 5, 5, []capture.Sample{at(40, 10, 0, 0), at(40, 10, 0, 0), cut(at(40, 10, 0, 0), func(s *capture.Sample) { s.PID = 8 })}, 0},
		{"counts of different times", 12, 5, 5, []capture.Sample{at(40, 10, 0, 0), at(40, 10, 0, 0), cut(at(40, 10, 0, 0), func(s *capture.Sample) { s.Stale = true })}, 0},
		{"the process opened files", 12, 5, 5, []capture.Sample{at(90, 10, 0, 0), at(90, 10, 0, 0), at(90, 10, 0, 0)}, 0},
		{"it closed files: no less than none is kept", 12, 5, 5, []capture.Sample{at(20, 10, 0, 0), at(20, 10, 0, 0), at(20, 10, 0, 0)}, 5},
		{"nobody was believed to hang, and they are gone", 12, 5, 0, []capture.Sample{at(40, 10, 0, 0), at(40, 10, 0, 0), at(40, 10, 0, 0)}, 5},
		{"none was reset", 12, 0, 0, []capture.Sample{at(40, 10, 0, 0), at(40, 10, 0, 0), at(40, 10, 0, 0)}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			var s spares
			for i := range row.quiet {
				q := at([]int{40, 41, 40, 39, 40, 42}[i%6], 10, 0, 0) // connections came or went between the two readings
				s.take(&q, 0, 0)
			}
			got := 0
			for i := range row.then {
				got = s.take(&row.then[i], row.zombies, row.held)
			}
			if got != row.want {
				t.Errorf("%d were released, want %d", got, row.want)
			}
		})
	}
}

// TestLastWords: of the calls that the process was done with unseen each is
// told a last time, and those that it holds at the end are in flight.
func TestLastWords(t *testing.T) {
	for _, row := range []struct {
		fds           string // at 150 s: ten calls of reset clients hung
		over, pending int
	}{{"30", 10, 0}, {"34", 6, 4}, {"40", 0, 10}} {
		s, err := parseScript("0..95/5 sample fds=30\n100..145/5 sample fds=40\n150..200/5 sample fds=" + row.fds +
			"\n96..97/0.1 client getTransactionsToApprove reset=35s from=10.0.4.%d\n0..200/10 client getNodeInfo answer=5ms close=10ms from=10.0.3.%d\n200 end\n")
		if err != nil {
			t.Fatal(err)
		}
		over, pending := 0, 0
		for _, f := range run(t, Options{}, s.inputs, s.end) {
			switch {
			case f.Kind != CallPending || !f.Pending.Final:
			case f.Pending.Over:
				over++
			default:
				pending++
			}
		}
		if over != row.over || pending != row.pending {
			t.Errorf("%s descriptors: %d calls ended unseen and %d are in flight, want %d and %d", row.fds, over, pending, row.over, row.pending)
		}
	}
}
