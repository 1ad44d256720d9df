package detect

import (
	"net/netip"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// none is the index that points nowhere in a slab.
const none = int32(-1)

// call is a request that was seen whole and has no answer yet. It is at most
// 128 bytes: an attacker chooses how many there are, up to Options.MaxCalls.
type call struct {
	x       *httpreassembly.Exchange // held until ExchangeDone at the latest; Method, Target and Host are read when the call is reported
	verdict *rules.Verdict           // of x, and as long; its Command is of the rules of then
	command *rules.Command           // of the present rules
	node    *node
	since   capture.Time // RequestSeen: the last request byte. Events come in order, so the lists below are sorted by it
	client  netip.Addr   // who asked: the connection's other end, or whom a trusted proxy names
	conn    int32        // in view.conns
	depth   int
	ladder  int32 // in view.ladders; none: no budget
	stage   int32
	over    overBudget
	doubted bool // see doubt.go
	links   [numLists]link
}

// judged is the rules' word on c, with the command as the present rules have it.
func (c *call) judged() rules.Verdict {
	v := *c.verdict
	v.Command = c.command
	return v
}

// overBudget says which of the budgets an alert looks at have passed.
type overBudget uint8

const (
	overWarn overBudget = 1 << iota
	overCritical
)

// A call stands in three lists, each in order of since: of its budget (the
// ladder's stage), of its node and command (the cell), of its connection.
const (
	byBudget = iota
	byCell
	byConn
	numLists
)

type link struct{ prev, next int32 }

// list is an intrusive list through a slab: removal is O(1), and what is
// removed leaves nothing behind.
type list struct {
	head, tail int32
	n          int32
}

var emptyList = list{head: none, tail: none}

// slab holds values in blocks, which never move: one that grows by copying
// would need room for the old and the new at once, of a million connections.
// Indices and pointers stay valid until they are given back.
type slab[T any] struct {
	blocks []*[slabBlock]T
	made   int32 // indices given out so far, those in free included
	free   []int32
	max    int
}

const slabBlock = 64

// get returns an index to a zero T, or none when max are in use.
func (s *slab[T]) get() int32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	if int(s.made) >= s.max {
		return none
	}
	if int(s.made) == len(s.blocks)*slabBlock {
		s.blocks = append(s.blocks, new([slabBlock]T))
	}
	s.made++
	return s.made - 1
}

// at returns the value at i.
func (s *slab[T]) at(i int32) *T { return &s.blocks[uint32(i)/slabBlock][uint32(i)%slabBlock] }

func (s *slab[T]) put(i int32) {
	var zero T
	*s.at(i) = zero
	s.free = append(s.free, i)
}

func (s *slab[T]) inUse() int { return int(s.made) - len(s.free) }

func (v *view) pushCall(l *list, kind int, i int32) {
	v.calls.at(i).links[kind] = link{prev: l.tail, next: none}
	if l.tail == none {
		l.head = i
	} else {
		v.calls.at(l.tail).links[kind].next = i
	}
	l.tail = i
	l.n++
}

func (v *view) dropCall(l *list, kind int, i int32) {
	k := v.calls.at(i).links[kind]
	if k.prev == none {
		l.head = k.next
	} else {
		v.calls.at(k.prev).links[kind].next = k.next
	}
	if k.next == none {
		l.tail = k.prev
	} else {
		v.calls.at(k.next).links[kind].prev = k.prev
	}
	l.n--
}

// addCall follows a request that was seen whole.
func (v *view) addCall(n *node, ci int32, ev *httpreassembly.Event, verdict *rules.Verdict, client netip.Addr) {
	i := v.calls.get()
	if i == none {
		v.stats.CallsNotFollowed++
		v.dropIfPlain(ci)
		return
	}
	x := ev.Exchange
	*v.calls.at(i) = call{x: x, verdict: verdict, command: verdict.Command, node: n, since: ev.At, client: client, conn: ci, depth: x.Depth, ladder: none}
	v.pushCall(&n.cell(verdict.Command).list, byCell, i)
	v.pushCall(&v.conns.at(ci).calls, byConn, i)
	n.inFlight++
	v.startBudget(i)
}

// endCall forgets a call: it was answered, or its exchange is over.
func (v *view) endCall(i int32) {
	c := v.calls.at(i)
	n := c.node
	cell := n.cell(c.command)
	if c.doubted {
		v.dropCall(&cell.doubted, byCell, i)
		n.doubted--
	} else {
		v.dropCall(&cell.list, byCell, i)
		cell.forget(c.over)
	}
	v.dropCall(&v.conns.at(c.conn).calls, byConn, i)
	if c.ladder != none {
		v.dropCall(&v.ladders[c.ladder].steps[c.stage].queue, byBudget, i)
	}
	n.inFlight--
	v.calls.put(i)
}

// findCall returns the call of a connection at a depth. Answers come in the
// order of their requests, so it is nearly always the first.
func (v *view) findCall(ci int32, depth int) int32 {
	for i := v.conns.at(ci).calls.head; i != none; i = v.calls.at(i).links[byConn].next {
		if v.calls.at(i).depth == depth {
			return i
		}
	}
	return none
}
