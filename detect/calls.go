package detect

import (
	"net/netip"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// none is the index that points nowhere in a slab.
const none = int32(-1)

// call is a request that was seen whole and has no answer yet. It is 80 bytes:
// an attacker chooses how many there are, up to Options.MaxCalls.
type call struct {
	x       *httpreassembly.Exchange // held until ExchangeDone at the latest; what was asked is read when the call is reported
	verdict *rules.Verdict           // of x, and as long; its Command is of the rules of then
	node    *node
	since   capture.Time // RequestSeen: the last request byte; or its turn, see turns.go. Events come in order, so the lists below are sorted by it
	from    [16]byte     // see client
	conn    int32        // in view.conns
	ladder  int32        // in view.ladders; none: no budget
	links   [numLists]link
	next    int32 // of its connection, in order of since too
	stage   uint8 // of its ladder
	over    overBudget
	doubted bool // see doubt.go
	behind  bool // it waits for its turn, see turns.go
}

// client is who asked: the connection's other end, or whom a trusted proxy
// names.
func (c *call) client() netip.Addr { return netip.AddrFrom16(c.from).Unmap() }

// cell is the state of its command on its node.
func (c *call) cell() *cell { return c.node.cell(c.verdict.Command) }

// command is what it asks, as the present rules have it.
func (c *call) command() *rules.Command { return c.cell().command }

// judged is the rules' word on c, with the command as the present rules have it.
func (c *call) judged() rules.Verdict {
	v := *c.verdict
	v.Command = c.command()
	return v
}

// overBudget says which of the budgets an alert looks at have passed.
type overBudget uint8

const (
	overWarn overBudget = 1 << iota
	overCritical
)

// A call stands in two lists, each in order of since: of its budget (the
// ladder's stage), of its node and command (the cell). And in that of its
// connection, which has one call as a rule, and is walked to find one anyway.
const (
	byBudget = iota
	byCell
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

// slabBlock values of a multiple of 8 bytes are whole pages of the runtime's,
// so that nothing is rounded up.
const slabBlock = 1024

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

// connCalls are the calls in flight of a connection.
type connCalls struct{ head, tail int32 }

// push puts a call at the end of its connection's.
func (v *view) push(l *connCalls, i int32) {
	if l.tail == none {
		l.head = i
	} else {
		v.calls.at(l.tail).next = i
	}
	l.tail = i
}

// take removes a call from its connection's. Answers come in the order of
// their requests, so it is nearly always the first.
func (v *view) take(l *connCalls, i int32) {
	next, before := v.calls.at(i).next, none
	if l.head == i {
		l.head = next
	} else {
		for before = l.head; v.calls.at(before).next != i; {
			before = v.calls.at(before).next
		}
		v.calls.at(before).next = next
	}
	if l.tail == i {
		l.tail = before
	}
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
	*v.calls.at(i) = call{x: x, verdict: verdict, node: n, since: ev.At, from: client.As16(), conn: ci, ladder: none, next: none}
	v.pushCall(&n.cell(verdict.Command).list, byCell, i)
	behind := v.behind(ci, ev.Exchange)
	v.push(&v.conns.at(ci).calls, i)
	n.inFlight++
	if behind {
		v.calls.at(i).behind = true
		n.behind++
		return
	}
	v.startBudget(i)
}

// endCall forgets a call: it was answered, or its exchange is over.
func (v *view) endCall(i int32) {
	c := v.calls.at(i)
	n := c.node
	cell := c.cell()
	if c.doubted {
		v.dropCall(&cell.doubted, byCell, i)
		n.doubted--
	} else {
		v.dropCall(&cell.list, byCell, i)
		cell.forget(c.over)
	}
	v.take(&v.conns.at(c.conn).calls, i)
	if c.ladder != none {
		v.dropCall(&v.ladders[c.ladder].steps[c.stage].queue, byBudget, i)
	}
	c.waitNoTurn()
	n.inFlight--
	v.calls.put(i)
}

// findCall returns the call of a connection at a depth.
func (v *view) findCall(ci int32, depth int) int32 {
	for i := v.conns.at(ci).calls.head; i != none; i = v.calls.at(i).next {
		if v.calls.at(i).x.Depth == depth {
			return i
		}
	}
	return none
}
