package notify

import (
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"stallwatch/cmd/internal/notify/spool"
	"stallwatch/detect"
)

// record is a line of a queue's file. One of its fields is set. The format is
// this package's own business, but for the rule that a later version reads
// the files of an earlier one: an operator who updates loses nothing.
type record struct {
	Change *change     `json:"change,omitempty"` // queued
	Plan   *plan       `json:"plan,omitempty"`   // about to be delivered
	Sent   *sent       `json:"sent,omitempty"`   // delivered
	Drop   []uint64    `json:"drop,omitempty"`   // given up
	Group  *groupState `json:"group,omitempty"`  // of a rewritten file
	Told   *told       `json:"told,omitempty"`   // of a rewritten file
	Tail   *tail       `json:"tail,omitempty"`   // of a rewritten file
}

type sent struct {
	plan
	At      time.Time `json:"at"`
	Message string    `json:"message,omitempty"`
}

type groupState struct {
	Key     string          `json:"key"`
	Message string          `json:"message,omitempty"`
	Worst   detect.Severity `json:"worst"`
	Sent    time.Time       `json:"sent,omitzero"`
}

// told is the state of an incident that the receiver knows.
type told struct {
	Change *change   `json:"change"`
	At     time.Time `json:"at"`
}

type tail struct {
	Seq    uint64 `json:"seq"`
	Untold int    `json:"untold,omitempty"`
}

var errRecord = errors.New("a record of no known kind")

// open reads the queue's file in dir and goes on where the last process
// ended. It returns what was damaged.
func (q *queue) open(dir string, now time.Time) (spool.Damage, error) {
	f, damage, err := spool.Open(filepath.Join(dir, q.name+".queue"), func(b []byte) error { return q.read(b) })
	if err != nil {
		return damage, err
	}
	q.file = f
	// What an earlier process dropped and replaced is its own count.
	q.dropped, q.coalesced = 0, 0
	for _, g := range q.groups {
		g.sent = earlier(g.sent, now)
		for _, in := range g.incidents {
			if in.open() {
				in.inherited = now
			}
			for _, c := range in.waiting {
				c.Queued = earlier(c.Queued, now)
			}
		}
	}
	q.dirty = true
	q.bound(now)
	q.write()
	return damage, q.lastErr
}

// earlier keeps a time that was written by a clock that has been set back
// since from holding a message up.
func earlier(t, now time.Time) time.Time {
	if t.After(now) {
		return now
	}
	return t
}

func (q *queue) close() error {
	if q.file == nil {
		return nil
	}
	return q.file.Close()
}

func (q *queue) read(b []byte) error {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return err
	}
	switch {
	case r.Change != nil:
		r.Change.size = len(b)
		q.seq = max(q.seq, r.Change.Seq)
		q.insert(r.Change)
	case r.Plan != nil:
		q.readPlan(r.Plan)
	case r.Sent != nil:
		q.applyAck(r.Sent.At, &r.Sent.plan, r.Sent.Message)
	case r.Drop != nil:
		q.applyDrop(time.Time{}, r.Drop)
	case r.Group != nil:
		g := q.group(r.Group.Key)
		g.message, g.worst, g.sent = r.Group.Message, r.Group.Worst, r.Group.Sent
	case r.Told != nil && r.Told.Change != nil:
		q.readTold(r.Told, len(b))
	case r.Tail != nil:
		q.seq, q.untold = max(q.seq, r.Tail.Seq), r.Tail.Untold
	default:
		return errRecord
	}
	return nil
}

// readPlan takes a plan only if what it names is still there: the line that
// held a change may have been damaged.
func (q *queue) readPlan(p *plan) {
	g := q.group(p.Group)
	p.Seqs = slices.DeleteFunc(p.Seqs, func(seq uint64) bool {
		return !slices.ContainsFunc(g.incidents, func(in *incident) bool {
			return len(in.waiting) > 0 && in.waiting[0].Seq == seq
		})
	})
	if q.plan = p; len(p.Seqs) == 0 {
		q.plan = nil
	}
}

func (q *queue) readTold(t *told, size int) {
	c := t.Change
	c.size = size
	q.seq = max(q.seq, c.Seq)
	g := q.group(groupKey(&c.Alert))
	in := g.incident(incidentKey(&c.Alert))
	if in == nil {
		in = &incident{key: incidentKey(&c.Alert)}
		g.incidents = append(g.incidents, in)
	}
	if in.told != nil {
		q.bytes -= in.told.size
	}
	in.told, in.toldAt = c, t.At
	q.bytes += size
}

// fileSlack is how much longer than what it holds a file may be before it is
// rewritten, in bytes: rewriting stays a small share of the work.
const fileSlack = 256 << 10

// write appends records to the file. A disk that fails costs the promise to
// survive a kill, not the delivery: it is counted, and with the next record
// the whole state is written anew.
func (q *queue) write(records ...[]byte) {
	if q.file == nil {
		q.dirty = false
		return
	}
	var err error
	if q.dirty || q.file.Size() > int64(2*q.bytes)+fileSlack {
		err = q.file.Rewrite(q.records())
	} else {
		err = q.file.Append(records...)
	}
	q.dirty = err != nil
	q.lastErr = err
	if err != nil {
		q.fileErrs++
	}
}

// records are the shortest list that leads to the present state.
func (q *queue) records() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var waiting []*change
		ok := yield(encodeJSON(record{Tail: &tail{q.seq, q.untold}}))
		for _, g := range q.groups {
			ok = ok && yield(encodeJSON(record{Group: &groupState{g.key, g.message, g.worst, g.sent}}))
			for _, in := range g.incidents {
				if in.told != nil {
					ok = ok && yield(encodeJSON(record{Told: &told{in.told, in.toldAt}}))
				}
				waiting = append(waiting, in.waiting...)
			}
		}
		slices.SortFunc(waiting, func(a, b *change) int { return int(int64(a.Seq - b.Seq)) })
		for _, c := range waiting {
			ok = ok && yield(encodeJSON(record{Change: c}))
		}
		if q.plan != nil && ok {
			yield(encodeJSON(record{Plan: q.plan}))
		}
	}
}

// spoolDir returns the directory of the queues: the configured one, systemd's
// for this service, or the usual place.
func spoolDir(c *Config) string {
	if c.Spool != "" {
		return c.Spool
	}
	if dir := filepath.SplitList(os.Getenv("STATE_DIRECTORY")); len(dir) > 0 && dir[0] != "" {
		return filepath.Join(dir[0], "notify")
	}
	return DefaultSpool
}
