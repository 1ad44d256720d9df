package pipeline

import (
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// verdicts are those on the exchanges of a tracker that are alive. One
// goroutine at a time works on them: the shard's or, with Options.Apart, the
// judge's.
type verdicts struct {
	rules *rules.Set
	slots []*[slotBlock]rules.Verdict // by Exchange.Slot; Command is nil until the request is whole
}

// slotBlock verdicts lie together, and never move: events point to them.
const slotBlock = 64

// settle names the command of every request that is whole since event n of t,
// whose verdicts are what collect left there.
func (vs *verdicts) settle(t *told, n int) {
	for i := n; i < len(t.events); i++ {
		x := t.events[i].Exchange
		if x == nil {
			continue
		}
		v := vs.slot(x.Slot)
		switch t.events[i].Kind {
		case httpreassembly.RequestStarted:
			v.Command = nil
		case httpreassembly.RequestSeen:
			if scanned := t.verdicts[i]; scanned != nil {
				*v = *scanned
			} else {
				vs.rules.Judge(v, requestOf(x))
			}
		}
		if v.Command == nil {
			v = nil
		}
		t.verdicts[i] = v
	}
}

func (vs *verdicts) slot(i int32) *rules.Verdict {
	for int(i) >= len(vs.slots)*slotBlock {
		vs.slots = append(vs.slots, new([slotBlock]rules.Verdict))
	}
	return &vs.slots[i/slotBlock][i%slotBlock]
}
