package httpreassembly

import (
	"cmp"
	"slices"

	"stallwatch/capture"
)

// Level says how much of the traffic is read. It falls when the buffers fill
// up, so that what the tool is for, calls that hang and sockets that pile up,
// is seen to the last: what costs an attacker nothing to send is given up
// first.
type Level uint8

// The levels, in the order in which they are reached under pressure.
const (
	// LevelFull reads everything.
	LevelFull Level = iota
	// LevelCommands keeps squeezedBody bytes of a content: enough to name
	// most commands. With Options.BodyParts the rest is handed on unkept, and
	// every command is still named.
	LevelCommands
	// LevelHeaders keeps no content and only squeezedHead bytes of a head
	// that is split over segments. A call is timed and has its target.
	LevelHeaders
	// LevelStates follows no further exchange; those that are followed get
	// their answers. Connections and their states go on.
	LevelStates
	NumLevels
)

// Bounds under pressure, in bytes.
const (
	squeezedBody = 2 << 10
	squeezedHead = 8 << 10
)

// levels are the shares of Options.MaxBuffered, in percent, at which a level
// is entered and left. The distance keeps it from flapping with each segment.
var levels = [NumLevels]struct{ enter, leave int64 }{
	LevelCommands: {50, 40},
	LevelHeaders:  {75, 60},
	LevelStates:   {95, 80},
}

// share returns so many percent of what may be buffered.
func (t *Tracker) share(percent int64) int64 { return t.opts.MaxBuffered / 100 * percent }

// watchLevel computes between which amounts the present level stays.
func (t *Tracker) watchLevel() {
	t.levelDown, t.levelUp = 0, 1<<62
	if t.level+1 < NumLevels {
		t.levelUp = t.share(levels[t.level+1].enter)
	}
	if t.level > LevelFull {
		t.levelDown = t.share(levels[t.level].leave)
	}
}

// weigh looks at the ledger, and at nothing else, after each call and each
// deadline: what a run says follows from its input.
func (t *Tracker) weigh(at capture.Time) {
	if t.unbalanced() {
		t.relevel(at)
	}
}

func (t *Tracker) unbalanced() bool {
	return t.stats.Buffered >= t.levelUp || t.stats.Buffered < t.levelDown
}

// relevel moves the level to what the buffers ask for, and says so.
func (t *Tracker) relevel(at capture.Time) {
	was, now := t.level, t.level
	for now+1 < NumLevels && t.stats.Buffered >= t.share(levels[now+1].enter) {
		now++
	}
	for now > LevelFull && t.stats.Buffered < t.share(levels[now].leave) {
		now--
	}
	if now == was {
		return
	}
	for l := was + 1; l <= now; l++ {
		t.stats.Degraded[l]++
	}
	if now < was {
		t.stats.Recovered++
	}
	t.level, t.stats.Level = now, now
	t.watchLevel()
	t.emit(Event{At: at, Kind: LevelChanged, Slot: -1, Bytes: int64(now)})
	if now > was {
		t.squeeze(at)
	}
}

// squeeze takes from every connection what the level would not have kept.
// So nobody holds the level down by holding buffers: he has to fill them
// anew, and a level is entered only after a tenth of the budget was.
func (t *Tracker) squeeze(at capture.Time) {
	var bulky []*conn
	for _, b := range t.table.slab.blocks {
		for i := range b {
			if c := &b[i]; c.has(used) && c.msgs != nil && c.msgs.bulky(t.level) {
				bulky = append(bulky, c)
			}
		}
	}
	slices.SortFunc(bulky, func(a, b *conn) int { return cmp.Compare(a.conn, b.conn) })
	for _, c := range bulky {
		c.msgs.squeeze(&feed{&t.shared, &c.ident, at, capture.ToServer})
		t.review(c)
	}
}

// headLimit is how much of the client's head is kept at level l.
func headLimit(l Level) int {
	switch l {
	case LevelFull, LevelCommands:
		return 1 << 30
	case LevelHeaders:
		return squeezedHead
	}
	return 0
}

func (m *messages) bulky(l Level) bool {
	return len(m.side[capture.ToServer].head) > headLimit(l) || m.cur != nil && cap(m.cur.Body) > squeezedBody ||
		l >= LevelHeaders && (m.cur != nil && cap(m.cur.Body) > 0 || len(m.side[capture.ToClient].head) > squeezedHead)
}

func (m *messages) squeeze(f *feed) {
	if x := m.cur; x != nil && cap(x.Body) > 0 && !x.has(bodySpent) {
		f.sh.spill(f, x)
	}
	if f.sh.level >= LevelHeaders && len(m.side[capture.ToClient].head) > squeezedHead {
		f.sh.stats.BufferDropped += uint64(len(m.side[capture.ToClient].head))
		m.loseAnswers(f)
	}
	if n := len(m.side[capture.ToServer].head); n > headLimit(f.sh.level) {
		f.sh.stats.BufferDropped += uint64(n)
		m.loseRequests(f)
	}
}

// spill hands on what is kept of x's content, or gives it up.
func (sh *shared) spill(f *feed, x *call) {
	x.flags |= bodyCut
	if sh.opts.BodyParts {
		x.flags = x.flags&^bodyCut | bodyParts
		sh.part(f, x, x.Body)
	}
	*sh.pool.ledger -= int64(cap(x.Body))
	sh.pool.parted = append(sh.pool.parted, x.Body)
	sh.pool.bytes += cap(x.Body)
	x.Body = nil
}

// bodyLimit is how many bytes of a content are kept.
func (sh *shared) bodyLimit() int {
	switch {
	case sh.level >= LevelHeaders:
		return 0
	case sh.level == LevelCommands:
		return min(sh.opts.BodyPrefix, squeezedBody)
	}
	return sh.opts.BodyPrefix
}

// keepBody keeps p, the next bytes of x's content, as far as they are wanted.
func (sh *shared) keepBody(f *feed, x *call, p []byte) {
	if x.has(bodyParts) {
		sh.part(f, x, p)
		return
	}
	limit := sh.bodyLimit()
	room := max(limit-len(x.Body), 0)
	fits := len(p) <= room
	if fits || !sh.opts.BodyParts {
		p = p[:min(len(p), room)]
		to, ok := sh.grown(x.Body, len(p))
		if ok && len(p) > 0 {
			x.Body = append(to, p...)
		}
		if ok && fits {
			return
		}
	}
	if !sh.opts.BodyParts || limit == 0 {
		x.flags |= bodyCut
		return
	}
	// The buffer is handed on before its time, and the rest goes unkept.
	x.flags |= bodyParts
	if len(x.Body) > 0 {
		sh.spill(f, x)
	}
	sh.part(f, x, p)
}

// part hands p on as a BodyPart.
func (sh *shared) part(f *feed, x *call, p []byte) {
	if len(p) == 0 {
		return
	}
	sh.parts = append(sh.parts, p)
	e := sh.event(f.id, f.at, BodyPart)
	e.Bytes, e.Exchange = int64(len(sh.parts)-1), &x.Exchange
}

// Part returns the bytes of a BodyPart. They hold until the next call of the
// Tracker, in which they may be overwritten.
func (t *Tracker) Part(e *Event) []byte { return t.parts[e.Bytes] }
