package detect

import (
	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// What is pipelined in HTTP/1 is answered in order (RFC 9112 section 9.3.2),
// and a server mostly reads the next request when the last answer is out. So
// of the calls on a connection the first alone waits for the node; the others
// wait for their turn, however long it is, and so does one that was asked
// while an answer is on its way, which may be megabytes over a slow line. They
// are in flight, but no budget runs for them before their turn comes.
//
// Nobody hides behind it: the call in front is timed as any other is.

// behind reports whether a call on x that comes now has to wait for its turn.
func (v *view) behind(ci int32, x *httpreassembly.Exchange) bool {
	c := v.conns.at(ci)
	return x.StreamID == 0 && (c.answering || c.calls.head != none)
}

// nextTurn lets the next call of a connection wait for the node.
func (v *view) nextTurn(ci int32, at capture.Time) {
	i := v.conns.at(ci).calls.head
	if i == none {
		return
	}
	c := v.calls.at(i)
	if !c.behind {
		return
	}
	c.waitNoTurn()
	l := &c.cell().list
	v.dropCall(l, byCell, i)
	c.since = at
	v.pushCall(l, byCell, i)
	v.startBudget(i)
}

// waitNoTurn takes a call out of those that wait for their turn, if it does.
func (c *call) waitNoTurn() {
	if c.behind {
		c.behind = false
		c.node.behind--
	}
}
