package notify

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stallwatch/detect"
)

var noon = time.Date(2018, 1, 25, 12, 0, 0, 0, time.UTC)

// short is a change written as A+1: incident A fires with severity 1, or A-:
// it is resolved.
func short(i int, s string) detect.Alert {
	a := detect.Alert{At: at(float64(i)), Name: s[:1], Subject: "s", Server: server, State: detect.Firing, Summary: s}
	if s[1] == '-' {
		a.State = detect.Resolved
	} else {
		a.Severity = detect.Severity(s[2] - '0')
	}
	return a
}

// told delivers all that is due and returns the batches in words: changes,
// then the message they went to.
func tell(q *queue, now time.Time, message *int) string {
	var out []string
	for {
		b, _ := q.next(now, true)
		if b == nil {
			return strings.Join(out, " | ")
		}
		var words []string
		for _, c := range b.Changed {
			words = append(words, c.Alert.Summary)
		}
		id := b.Message
		if id == "" {
			*message++
			id = fmt.Sprint("m", *message)
		}
		out = append(out, strings.Join(words, " ")+" to "+id)
		q.ack(now, b, id)
	}
}

// A / stands for a delivery of all that waits.
func TestQueueCoalesces(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"first and last", "A+1 A-", "A+1 to m1 | A- to m1"},
		{"middle states are replaced", "A+1 A+2 A+3 A-", "A+1 to m1 | A- to m1"},
		{"told one by one", "A+1 / A+2 / A-", "A+1 to m1 | A+2 to m1 | A- to m1"},
		{"two lives", "A+1 A- A+1 A-", "A+1 to m1 | A- to m1 | A+1 to m2 | A- to m2"},
		{"a batch holds one change of each", "A+1 B+1 A- B-", "A+1 B+1 to m1 | A- B- to m1"},
		{"a group lasts while one fires", "A+1 B+1 / A- / A+1 / A- B-", "A+1 B+1 to m1 | A- to m1 | A+1 to m1 | A- B- to m1"},
		{"the next attack has its own message", "A+1 A- / B+1 B-", "A+1 to m1 | A- to m1 | B+1 to m2 | B- to m2"},
		{"told, then two states", "A+1 / A+2 A+3", "A+1 to m1 | A+3 to m1"},
		{"resolved twice", "A+1 A- A-", "A+1 to m1 | A- to m1 | A- to m2"},
	} {
		q, message := newQueue("q", defaultLimits()), 0
		var got []string
		for i, s := range append(strings.Fields(row.in), "/") {
			if s != "/" {
				q.add(noon, short(i, s))
			} else if words := tell(q, noon, &message); words != "" {
				got = append(got, words)
			}
		}
		if got := strings.Join(got, " | "); got != row.want {
			t.Errorf("%s: %s\n got %s\nwant %s", row.name, row.in, got, row.want)
		}
		if q.count != 0 {
			t.Errorf("%s: %d still waiting", row.name, q.count)
		}
	}
}

// A batch under way is fixed: what is added meanwhile neither changes it nor
// is lost.
func TestPlanIsPinned(t *testing.T) {
	q, message := newQueue("q", defaultLimits()), 1
	q.add(noon, short(1, "A+1"))
	tell(q, noon, &message)
	q.add(noon, short(2, "A+2"))
	b, _ := q.next(noon, true)
	q.add(noon, short(3, "A+3"), short(4, "A-"))
	again, _ := q.next(noon, true)
	if again.ID != b.ID || again.Changed[0] != b.Changed[0] {
		t.Errorf("the second attempt has id %s and %s, want %s and %s", again.ID, again.Changed[0].Alert.Summary, b.ID, b.Changed[0].Alert.Summary)
	}
	q.ack(noon, b, "m1")
	if got, want := tell(q, noon, &message), "A- to m1"; got != want {
		t.Errorf("then %q, want %q", got, want)
	}
}

func TestQueueBounds(t *testing.T) {
	l := defaultLimits()
	l.changes = 3
	q, message := newQueue("q", l), 1
	q.add(noon, short(1, "Z+1"))
	tell(q, noon, &message)
	q.add(noon, short(2, "Z-")) // without it the message would stay red
	for i := range 5 {
		q.add(noon, short(3+i, string(rune('A'+i))+"+1"))
	}
	if got, want := tell(q, noon, &message), "Z- D+1 E+1 to m2"; got != want || q.dropped != 3 {
		t.Errorf("got %q and %d dropped, want %q and 3", got, q.dropped, want)
	}
	q.add(noon, short(20, "D-"), short(21, "E-"), short(22, "F+1"))
	b, _ := q.next(noon.Add(l.age+time.Second), true)
	if len(b.Changed) != 2 || b.Dropped != 1 {
		t.Errorf("after the age: %d changes, told of %d dropped, want the two ends and one dropped", len(b.Changed), b.Dropped)
	}
}

func openQueue(t *testing.T, dir string, now time.Time) *queue {
	t.Helper()
	q := newQueue("q", defaultLimits())
	if _, err := q.open(dir, now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.close() })
	return q
}

// A message is edited on after a restart; what nobody sees again is closed.
func TestRestartAdopts(t *testing.T) {
	dir, message := t.TempDir(), 0
	q := openQueue(t, dir, noon)
	q.add(noon, short(1, "A+1"), short(2, "B+1"))
	tell(q, noon, &message)
	q.close()
	q = openQueue(t, dir, noon.Add(time.Hour))
	q.add(noon.Add(time.Hour), short(3, "A+2"))
	if got, want := tell(q, noon.Add(time.Hour), &message), "A+2 to m1"; got != want {
		t.Errorf("after the restart %q, want %q", got, want)
	}
	b, wait := q.next(noon.Add(time.Hour), true)
	if b != nil || wait <= 0 || wait > q.limits.adopt {
		t.Errorf("then %+v after %s, want to be woken for the orphan", b, wait)
	}
	b, _ = q.next(noon.Add(time.Hour+q.limits.adopt), true)
	if b == nil || len(b.Changed) != 1 || !b.Changed[0].resolved() || !strings.Contains(b.Changed[0].Alert.Summary, "stallwatch was restarted") {
		t.Fatalf("got %+v, want B closed", b)
	}
	if b.Over || b.Message != "m1" {
		t.Errorf("got message %q, over %v, want m1 edited, A still fires", b.Message, b.Over)
	}
}

// The clock was set back between two processes: nothing waits for the old one
// to be reached again.
func TestClockSetBack(t *testing.T) {
	dir, message := t.TempDir(), 0
	q := openQueue(t, dir, noon)
	q.add(noon, short(1, "A+1"))
	tell(q, noon, &message)
	q.add(noon, short(2, "A-"))
	q.close()
	q = openQueue(t, dir, noon.Add(-24*time.Hour))
	if _, wait := q.next(noon.Add(-24*time.Hour), false); wait > q.limits.group {
		t.Errorf("the next message waits %s", wait)
	}
}

// Whatever byte a kill cuts the file at, the next process has the state of
// the last record that is whole.
func TestQueueKilledAtEveryByte(t *testing.T) {
	t.Parallel()
	dir, message := t.TempDir(), 0
	q := openQueue(t, dir, noon)
	states := map[int64]string{q.file.Size(): q.String()}
	note := func() { states[q.file.Size()] = q.String() }
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 25 {
		s := string(rune('A' + r.IntN(3)))
		if r.IntN(3) == 0 {
			s += "-"
		} else {
			s += "+" + string(rune('1'+r.IntN(3)))
		}
		q.add(noon, short(i, s))
		note()
		if r.IntN(2) == 0 {
			b, _ := q.next(noon, true)
			note()
			switch r.IntN(4) {
			case 0:
				q.reject(noon, b)
			case 1: // killed during the attempt
			default:
				message++
				q.ack(noon, b, fmt.Sprint("m", message))
			}
			note()
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "q.queue"))
	if err != nil {
		t.Fatal(err)
	}
	want, from := "", int64(len(states)) // at least one state is at a size
	for n := range len(data) + 1 {
		if s, ok := states[int64(n)]; ok {
			want, from = s, int64(n)
		}
		if want == "" {
			continue
		}
		if n > 1 && data[n-1] != '\n' && r.IntN(150) > 0 {
			continue // a few of the cuts within a line: they are all alike
		}
		cut := t.TempDir()
		if err := os.WriteFile(filepath.Join(cut, "q.queue"), data[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		again := newQueue("q", defaultLimits())
		if _, err := again.open(cut, noon); err != nil {
			t.Fatal(err)
		}
		again.close()
		if got := again.String(); got != want {
			t.Fatalf("cut at byte %d, state of byte %d:\n got %s\nwant %s", n, from, got, want)
		}
	}
}

// The file stays small however long the program runs.
func TestFileIsRewritten(t *testing.T) {
	t.Parallel()
	dir, message := t.TempDir(), 0
	q := openQueue(t, dir, noon)
	a := *stalled(1, detect.Firing, detect.Warning)
	var most int64
	for i := range 400 {
		a.At, a.State = at(float64(i)), detect.State(1+i%2)
		q.add(noon, Sanitized(&a))
		tell(q, noon, &message)
		most = max(most, q.file.Size())
	}
	if most > fileSlack+64<<10 {
		t.Errorf("the file grew to %d bytes for one incident", most)
	}
}

func TestFullDisk(t *testing.T) {
	dir, message := t.TempDir(), 0
	q := openQueue(t, dir, noon)
	q.file.Close() // every write fails from here on
	q.add(noon, short(1, "A+1"))
	if q.fileErrs == 0 || q.lastErr == nil {
		t.Error("a failed write is not counted")
	}
	if got, want := tell(q, noon, &message), "A+1 to m1"; got != want {
		t.Errorf("got %q, want it delivered all the same", got)
	}
}

func FuzzQueueFile(f *testing.F) {
	dir := f.TempDir()
	q := newQueue("q", defaultLimits())
	if _, err := q.open(dir, noon); err != nil {
		f.Fatal(err)
	}
	message := 0
	q.add(noon, short(1, "A+1"), short(2, "B+1"), short(3, "A-"))
	tell(q, noon, &message)
	q.add(noon, short(4, "C+2"))
	q.next(noon, true)
	q.close()
	data, _ := os.ReadFile(filepath.Join(dir, "q.queue"))
	for _, line := range strings.Split(string(data), "\n") {
		if len(line) > 9 {
			f.Add([]byte(line[9:]), []byte(line[9:]))
		}
	}
	f.Add([]byte(`{"plan":{"id":"","group":"x","seqs":[1]}}`), []byte(`{"sent":{"group":"y","seqs":[0]}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		q, message := newQueue("q", defaultLimits()), 0
		q.read(a)
		q.read(b)
		q.add(noon, short(1, "A+1"))
		tell(q, noon.Add(time.Hour), &message)
		if q.count != 0 && q.plan == nil && q.oldest() == nil {
			t.Errorf("lost count: %s", q)
		}
	})
}
