package pipeline

import (
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// verdicts are those on the exchanges of a tracker that are alive. One
// goroutine at a time works on them: the shard's or, with Options.Apart, the
// judge's.
type verdicts struct {
	rules    *rules.Set
	familiar rules.Familiar
	slots    []*verdictBlock  // by Exchange.Slot
	spare    []*rules.Verdict // rooms that slots had, and may have again; as many as there are slots at most
}

// verdictBlock is the verdicts of some slots; nil: the request is not whole.
// Calls that ask the same share theirs: an attacker chooses how many calls
// there are, and mostly they are alike.
type verdictBlock struct {
	on  [slotBlock]*rules.Verdict
	own uint64 // bit i: on[i] is the slot's own room
}

const slotBlock = 64

// settle names the command of every request that is whole since event n of t,
// whose verdicts are what collect left there.
func (vs *verdicts) settle(t *told, n int) {
	for i := n; i < len(t.events); i++ {
		x := t.events[i].Exchange
		if x == nil {
			continue
		}
		b, k := vs.slot(x.Slot)
		switch t.events[i].Kind {
		case httpreassembly.RequestStarted:
			vs.clear(b, k)
		case httpreassembly.RequestSeen:
			if scanned := t.verdicts[i]; scanned != nil {
				*vs.room(b, k) = *scanned
			} else {
				vs.judge(b, k, requestOf(x))
			}
		}
		t.verdicts[i] = b.on[k]
	}
}

// judge puts the verdict on r in its slot.
func (vs *verdicts) judge(b *verdictBlock, k uint, r *rules.Request) {
	if v := vs.familiar.Find(vs.rules, r); v != nil {
		vs.clear(b, k)
		b.on[k] = v
		return
	}
	v := vs.room(b, k)
	vs.rules.Judge(v, r)
	vs.familiar.Learn(v)
}

// clear empties a slot. Who had it before is told of: a Tracker gives a Slot
// to another exchange when the events of the last one are consumed.
func (vs *verdicts) clear(b *verdictBlock, k uint) {
	if b.own>>k&1 != 0 {
		vs.spare = append(vs.spare, b.on[k])
		b.own &^= 1 << k
	}
	b.on[k] = nil
}

// room gives a slot a Verdict of its own, whatever is in it.
func (vs *verdicts) room(b *verdictBlock, k uint) *rules.Verdict {
	vs.clear(b, k)
	if n := len(vs.spare); n > 0 {
		b.on[k], vs.spare = vs.spare[n-1], vs.spare[:n-1]
	} else {
		b.on[k] = new(rules.Verdict)
	}
	b.own |= 1 << k
	return b.on[k]
}

func (vs *verdicts) slot(i int32) (b *verdictBlock, k uint) {
	for int(i) >= len(vs.slots)*slotBlock {
		vs.slots = append(vs.slots, new(verdictBlock))
	}
	return vs.slots[i/slotBlock], uint(i % slotBlock)
}
