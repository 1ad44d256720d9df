package detect

import (
	"cmp"
	"slices"

	"stallwatch/capture"
)

// A client that resets its connection hides how its call ends: the node may
// work on for ever or be done a millisecond later, and no packet tells. One
// client in a hundred does so on any day. So such a call is doubted: it stays
// in flight and is reported as pending, but raises nothing, unless
//
//   - it was over its critical budget when the client left, or
//   - so many calls of its command were given up, and such a share of them,
//     that the clients themselves say it hangs.

// The rule of giving up, measured on attacks and on honest aborts: 8 calls
// within a minute, and 30 % of the command's.
const (
	gaveUpCalls   = 8
	gaveUpPercent = 30
	gaveUpSpan    = 30 * second // two of them are the window
)

// endings counts how calls of a command ended, in the present and the
// previous span.
type endings struct {
	span             int64
	answered, gaveUp [2]int
}

func (e *endings) turn(at capture.Time) {
	span := int64(at) / int64(gaveUpSpan)
	switch span - e.span {
	case 0:
		return
	case 1:
		e.answered, e.gaveUp = [2]int{0, e.answered[0]}, [2]int{0, e.gaveUp[0]}
	default:
		e.answered, e.gaveUp = [2]int{}, [2]int{}
	}
	e.span = span
}

// given reports whether clients give up on the command.
func (e *endings) given(at capture.Time) bool {
	e.turn(at)
	gave := e.gaveUp[0] + e.gaveUp[1]
	return gave >= gaveUpCalls && 100*gave >= gaveUpPercent*(gave+e.answered[0]+e.answered[1])
}

// doubt handles the calls of a connection that its client reset.
func (v *view) doubt(ci int32, at capture.Time) {
	on := v.conns.at(ci)
	on.zombie = true
	on.node.zombies++
	for i := on.calls.head; i != none; i = v.calls.at(i).next {
		c := v.calls.at(i)
		cell := on.node.cell(c.verdict.Command)
		cell.endings.turn(at)
		cell.endings.gaveUp[0]++
		if c.over&overCritical != 0 {
			v.hold(on)
			continue
		}
		v.dropCall(&cell.list, byCell, i)
		cell.forget(c.over)
		c.waitNoTurn()
		c.doubted = true
		on.node.doubted++
		v.pushCall(&cell.doubted, byCell, i)
	}
}

// hold counts a reset connection as one whose descriptor the node holds.
func (v *view) hold(on *conn) {
	if !on.held {
		on.held = true
		on.node.held++
	}
}

// believe ends the doubt about the calls of commands that clients give up.
func (v *view) believe(n *node, at capture.Time) {
	if n.doubted == 0 {
		return
	}
	for i := range n.cells {
		c := &n.cells[i]
		if c.doubted.n == 0 || !c.endings.given(at) {
			continue
		}
		calls := v.appendList(nil, &c.doubted)
		for _, k := range calls {
			v.calls.at(k).doubted = false
			v.hold(v.conns.at(v.calls.at(k).conn))
		}
		n.doubted -= len(calls)
		c.doubted = emptyList
		v.refill(c, v.appendList(calls, &c.list))
	}
}

// refill makes a cell's list anew from calls in any order.
func (v *view) refill(c *cell, calls []int32) {
	slices.SortFunc(calls, func(a, b int32) int { return cmp.Compare(v.calls.at(a).since, v.calls.at(b).since) })
	c.list, c.overWarn, c.overCritical = emptyList, 0, 0
	for _, k := range calls {
		v.pushCall(&c.list, byCell, k)
		c.count(v.calls.at(k).over)
	}
}

// appendList appends the calls of a cell's list.
func (v *view) appendList(dst []int32, l *list) []int32 {
	for k := l.head; k != none; k = v.calls.at(k).links[byCell].next {
		dst = append(dst, k)
	}
	return dst
}
