package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"stallwatch/cmd/internal/notify/spool"
	"stallwatch/detect"
)

// queue is what one receiver has not been told yet, and what it has: enough
// to edit its message after a restart. Its time is an argument, its file is
// written before it says that something is so.
//
// An incident's changes wait in order. A new one replaces the one before it
// unless that opened the incident or ended it: the first and the last state
// always arrive, and what came between only if there was time for it.
//
//	firing   firing   firing   resolved      firing (again)
//	opens    replaced replaced kept          opens
//
// A batch is the oldest waiting change of each incident of a group. It is
// fixed and written down before the first attempt, so that every attempt,
// also after a kill, says the same under the same id; a receiver that
// remembers ids sees nothing twice, and any other sees at most the one batch
// twice that was under way.
//
// It is not safe for concurrent use: its worker's lock guards it.
type queue struct {
	name   string
	limits limits
	file   *spool.File // nil: in memory only
	dirty  bool        // the file lacks something: rewrite it

	seq    uint64
	groups []*group // in order of their first change
	count  int      // changes waiting
	bytes  int      // their size and that of those told last
	plan   *plan    // what is being delivered, nil if nothing

	untold    int // changes dropped that no message has mentioned yet
	coalesced uint64
	dropped   uint64
	fileErrs  uint64
	lastErr   error
}

// limits are the bounds of a queue and the waits within it.
type limits struct {
	changes   int           // waiting; more: the oldest is dropped
	bytes     int           // of all changes kept
	incidents int           // known; more: the one that was quiet longest is forgotten
	age       time.Duration // after which a waiting change is dropped
	settle    time.Duration // before the first message of a group, so that alerts of one moment share it
	group     time.Duration // between messages of a group
	keep      time.Duration // how long a resolved incident is remembered after it was told
	adopt     time.Duration // how long an incident of an earlier process may be silent
	backoff   time.Duration // after a first failure
}

func defaultLimits() limits {
	return limits{changes: 1000, bytes: 8 << 20, incidents: 1000, age: DefaultMaxAge,
		settle: time.Second, group: DefaultGroupWait, adopt: 5 * time.Minute, backoff: backoffBase}
}

// group is the incidents that share a message.
type group struct {
	key       string
	message   string          // the receiver's id of the message that is being edited
	worst     detect.Severity // that the message has told
	sent      time.Time       // when the last batch was delivered; zero: never, the group is new
	incidents []*incident     // in order of appearance
}

type incident struct {
	key       string
	told      *change // delivered last
	toldAt    time.Time
	waiting   []*change
	inherited time.Time // valid iff not zero: firing when an earlier process ended, read then
}

// plan is a batch that is fixed.
type plan struct {
	ID    string   `json:"id"`
	Group string   `json:"group"`
	Seqs  []uint64 `json:"seqs"`
	Plain bool     `json:"-"` // the receiver refused it once
}

func newQueue(name string, l limits) *queue { return &queue{name: name, limits: l} }

func (q *queue) group(key string) *group {
	for _, g := range q.groups {
		if g.key == key {
			return g
		}
	}
	g := &group{key: key}
	q.groups = append(q.groups, g)
	return g
}

func (g *group) incident(key string) *incident {
	for _, in := range g.incidents {
		if in.key == key {
			return in
		}
	}
	return nil
}

// newest is the last state known, told or not; nil if there is none.
func (in *incident) newest() *change {
	if n := len(in.waiting); n > 0 {
		return in.waiting[n-1]
	}
	return in.told
}

// open reports whether the incident is firing as far as is known.
func (in *incident) open() bool {
	c := in.newest()
	return c != nil && !c.resolved()
}

// isOpen reports whether the queue has an open incident of that identity.
func (q *queue) isOpen(a *detect.Alert) bool {
	for _, g := range q.groups {
		if in := g.incident(incidentKey(a)); in != nil {
			return in.open()
		}
	}
	return false
}

// add queues alerts, all with one write to the file.
func (q *queue) add(now time.Time, alerts ...detect.Alert) {
	var records [][]byte
	for i := range alerts {
		q.seq++
		c := &change{Seq: q.seq, Queued: now, Alert: alerts[i]}
		in := q.group(groupKey(&c.Alert)).incident(incidentKey(&c.Alert))
		c.Opens = in == nil || !in.open()
		rec := encodeJSON(record{Change: c})
		c.size = len(rec)
		q.insert(c)
		records = append(records, rec)
	}
	q.write(records...)
	q.bound(now)
}

// insert puts c behind its incident's waiting changes, in place of the one
// that it makes old.
func (q *queue) insert(c *change) {
	g := q.group(groupKey(&c.Alert))
	in := g.incident(incidentKey(&c.Alert))
	if in == nil {
		in = &incident{key: incidentKey(&c.Alert)}
		g.incidents = append(g.incidents, in)
	}
	in.inherited = time.Time{}
	if n := len(in.waiting); n > 0 {
		if old := in.waiting[n-1]; !old.Opens && !old.resolved() && !c.Opens && !q.planned(old) {
			q.forget(old)
			in.waiting = in.waiting[:n-1]
			q.coalesced++
		}
	}
	in.waiting = append(in.waiting, c)
	q.count++
	q.bytes += c.size
}

func (q *queue) forget(c *change) {
	q.count--
	q.bytes -= c.size
}

func (q *queue) planned(c *change) bool {
	return q.plan != nil && slices.Contains(q.plan.Seqs, c.Seq)
}

// next returns the batch that is due, or nil and how long until one may be;
// 0: not before something is added.
func (q *queue) next(now time.Time, hurry bool) (*batch, time.Duration) {
	q.expire(now)
	if q.plan != nil {
		return q.batch(q.group(q.plan.Group)), 0
	}
	var first *group
	var least time.Duration
	for _, g := range q.groups {
		if !g.waits() {
			continue
		}
		wait := q.due(g, hurry).Sub(now)
		if first == nil || wait < least {
			first, least = g, wait
		}
	}
	if first == nil {
		return nil, q.nextExpiry(now)
	}
	if least > 0 {
		return nil, least
	}
	q.fix(first)
	return q.batch(first), 0
}

func (g *group) waits() bool {
	return slices.ContainsFunc(g.incidents, func(in *incident) bool { return len(in.waiting) > 0 })
}

// due is when the next message of g may go: soon for a new group and for what
// is worse than what was told, else when the group's time has passed.
func (q *queue) due(g *group, hurry bool) time.Time {
	var oldest time.Time
	worst := detect.Severity(0)
	for _, in := range g.incidents {
		if len(in.waiting) == 0 {
			continue
		}
		c := in.waiting[0]
		if oldest.IsZero() || c.Queued.Before(oldest) {
			oldest = c.Queued
		}
		if !c.resolved() {
			worst = max(worst, c.Alert.Severity)
		}
	}
	switch soon := oldest.Add(q.limits.settle); {
	case hurry:
		return time.Time{}
	case g.sent.IsZero() || worst > g.worst || g.news():
		return soon
	case g.sent.Add(q.limits.group).After(soon):
		return g.sent.Add(q.limits.group)
	default:
		return soon
	}
}

// news reports whether an alert waits of whose name nothing was told yet: the
// first sign of an attack must not hold back the alert that names its culprit.
func (g *group) news() bool {
	return slices.ContainsFunc(g.incidents, func(in *incident) bool {
		if in.told != nil || len(in.waiting) == 0 {
			return false
		}
		c := in.waiting[0]
		return !c.resolved() && c.Alert.Severity >= detect.Warning && !g.heard(c.Alert.Name)
	})
}

// heard reports whether an incident of that alert was told and fires.
func (g *group) heard(name string) bool {
	return slices.ContainsFunc(g.incidents, func(in *incident) bool {
		return in.told != nil && !in.told.resolved() && in.told.Alert.Name == name
	})
}

// fix makes the plan for g's next batch and writes it down.
func (q *queue) fix(g *group) {
	p := &plan{Group: g.key}
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00", q.name, g.key)
	for _, in := range g.incidents {
		if len(in.waiting) == 0 {
			continue
		}
		c := in.waiting[0]
		p.Seqs = append(p.Seqs, c.Seq)
		fmt.Fprintf(h, "%d\x00%s\x00%d\x00%d\x00", c.Seq, in.key, c.Alert.At, c.Alert.State)
	}
	p.ID = hex.EncodeToString(h.Sum(nil)[:16])
	q.plan = p
	q.write(encodeJSON(record{Plan: p}))
}

// batch is what a receiver is told in one message.
type batch struct {
	ID      string
	Group   string
	Message string // the receiver's id of the group's message; "": there is none yet
	Worse   bool   // what is told now is worse than what the message says
	Changed []*change
	All     []*change // the state of every incident of the group once this is told, Changed included
	Over    bool      // none of All fires
	Dropped int       // changes that were lost before this one
	Plain   bool      // without any formatting, as short as can be
	Test    bool
}

func (q *queue) batch(g *group) *batch {
	b := &batch{ID: q.plan.ID, Group: g.key, Message: g.message, Over: true, Dropped: q.untold, Plain: q.plan.Plain}
	for _, in := range g.incidents {
		c := in.told
		if len(in.waiting) > 0 && q.planned(in.waiting[0]) {
			c = in.waiting[0]
			b.Changed = append(b.Changed, c)
			if !c.resolved() && c.Alert.Severity > g.worst {
				b.Worse = true
			}
		}
		if c == nil {
			continue
		}
		b.All = append(b.All, c)
		b.Over = b.Over && c.resolved()
	}
	return b
}

// ack notes that b was delivered, as the receiver's message.
func (q *queue) ack(now time.Time, b *batch, message string) {
	p := &plan{ID: b.ID, Group: b.Group}
	for _, c := range b.Changed {
		p.Seqs = append(p.Seqs, c.Seq)
	}
	q.untold = max(q.untold-b.Dropped, 0)
	q.applyAck(now, p, message)
	q.write(encodeJSON(record{Sent: &sent{plan: *p, At: now, Message: message}}))
}

func (q *queue) applyAck(now time.Time, p *plan, message string) {
	g := q.group(p.Group)
	q.plan = nil
	g.sent, g.message = now, message
	for _, in := range g.incidents {
		if len(in.waiting) == 0 || !slices.Contains(p.Seqs, in.waiting[0].Seq) {
			continue
		}
		if in.told != nil {
			q.bytes -= in.told.size
		}
		in.told, in.toldAt = in.waiting[0], now
		in.waiting = slices.Delete(in.waiting, 0, 1)
		q.count--
		if !in.told.resolved() {
			g.worst = max(g.worst, in.told.Alert.Severity)
		}
	}
	q.finish(now, g)
}

// finish forgets what is over: the whole group once nothing in it fires or
// waits, so that the next incident gets a message of its own.
func (q *queue) finish(now time.Time, g *group) {
	if q.limits.keep > 0 {
		q.finishKept(now, g)
	} else if g.over() {
		g.message, g.worst, g.sent = "", 0, time.Time{}
		for _, in := range g.incidents {
			q.untell(in)
		}
		g.incidents = slices.DeleteFunc(g.incidents, func(in *incident) bool { return in.newest() == nil })
	}
	if len(g.incidents) == 0 {
		q.groups = slices.DeleteFunc(q.groups, func(o *group) bool { return o == g })
	}
}

// finishKept forgets each incident on its own, some time after its end was
// told: the receiver wants to hear of it until then.
func (q *queue) finishKept(now time.Time, g *group) {
	g.incidents = slices.DeleteFunc(g.incidents, func(in *incident) bool {
		old := len(in.waiting) == 0 && in.told.resolved() && now.Sub(in.toldAt) >= q.limits.keep
		if old {
			q.untell(in)
		}
		return old
	})
}

func (q *queue) untell(in *incident) {
	if in.told != nil {
		q.bytes -= in.told.size
		in.told = nil
	}
}

// over reports whether all that was told is resolved, and whatever waits
// begins anew.
func (g *group) over() bool {
	return !slices.ContainsFunc(g.incidents, func(in *incident) bool {
		return in.told != nil && !in.told.resolved() || len(in.waiting) > 0 && !in.waiting[0].Opens
	})
}

// reject gives b up: the receiver will never take it.
func (q *queue) reject(now time.Time, b *batch) {
	var seqs []uint64
	for _, c := range b.Changed {
		seqs = append(seqs, c.Seq)
	}
	q.drop(now, seqs)
}

// forgetMessage makes the next batch of b's group start a message of its own.
func (q *queue) forgetMessage(b *batch) {
	g := q.group(b.Group)
	g.message = ""
	q.write(encodeJSON(record{Group: &groupState{g.key, g.message, g.worst, g.sent}}))
}

// applyDrop takes waiting changes out, wherever they stand.
func (q *queue) applyDrop(now time.Time, seqs []uint64) {
	if q.plan != nil && slices.ContainsFunc(seqs, func(seq uint64) bool { return slices.Contains(q.plan.Seqs, seq) }) {
		q.plan = nil
	}
	for _, g := range slices.Clone(q.groups) {
		for _, in := range g.incidents {
			in.waiting = slices.DeleteFunc(in.waiting, func(c *change) bool {
				gone := slices.Contains(seqs, c.Seq)
				if gone {
					q.forget(c)
					q.dropped++
					q.untold++
				}
				return gone
			})
		}
		g.incidents = slices.DeleteFunc(g.incidents, func(in *incident) bool { return in.newest() == nil })
		q.finish(now, g)
	}
}

// String describes the queue in one line, for tests and panics.
func (q *queue) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d waiting, %d bytes, plan %v", q.name, q.count, q.bytes, q.plan)
	for _, g := range q.groups {
		fmt.Fprintf(&b, "; %s(%s):", g.key, g.message)
		for _, in := range g.incidents {
			fmt.Fprintf(&b, " %q+%d", in.key, len(in.waiting))
		}
	}
	return b.String()
}

// allTold returns the incidents as the receiver knows them.
func (q *queue) allTold() (all []*change) {
	for _, g := range q.groups {
		for _, in := range g.incidents {
			if in.told != nil {
				all = append(all, in.told)
			}
		}
	}
	return all
}
