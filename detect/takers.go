package detect

import (
	"fmt"

	"stallwatch/rules"
)

// When the workers are all taken, what hangs need not be what takes them. Who
// keeps each of his calls just below its budget has none that counts, and who
// resets his connections leaves calls that may be over; those who wait behind
// them are the ones that hang. So an alert of a node as a whole says what else
// is in flight there.

// taker returns the command that has most of the calls in flight of a node
// while none of them is over its budget; nil: none has.
func (n *node) taker() *cell {
	for i := range n.cells {
		if c := &n.cells[i]; c.command != nil && c.overWarn == 0 && 2*int(c.list.n) > n.waiting() && c.command.Class != rules.ClassStream {
			return c
		}
	}
	return nil
}

// appendTakers appends the calls of taker, and those whose clients reset the
// connection.
func (v *view) appendTakers(dst []int32, n *node) []int32 {
	if c := n.taker(); c != nil {
		dst = v.appendList(dst, &c.list)
	}
	if n.doubted == 0 {
		return dst
	}
	for i := range n.cells {
		dst = v.appendList(dst, &n.cells[i].doubted)
	}
	return dst
}

// takerWords says the same in words, of a stall of calls of a command.
func (v *view) takerWords(n *node, stalled *rules.Command) string {
	words := ""
	if c := n.taker(); c != nil && c.command != stalled {
		words = fmt.Sprintf("; %d of the %d in flight are of %s, none over its budget, and may be what takes them", c.list.n, n.waiting(), c.command.Name)
	}
	if n.doubted == 0 {
		return words
	}
	first := none
	for i := range n.cells {
		if h := n.cells[i].doubted.head; h != none && (first == none || v.calls.at(h).since < v.calls.at(first).since) {
			first = h
		}
	}
	if first != none {
		words += fmt.Sprintf("; %s whose clients reset the connection may be worked on still, the oldest of %s", plural(n.doubted, "call"), v.calls.at(first).command().Name)
	}
	return words
}
