// Package detect folds what happened on the connections of a node into
// alerts: calls that hang while they hang, sockets that pile up half closed,
// descriptors that run out, a capture that sees too little.
//
//	Event, Verdict ─┐
//	Sample ─────────┼─> view (folded once) ─> detectors ─> lifecycle ─> Findings
//	Loss ───────────┘        │
//	                         └─> budget ladders ─> CallPending at each deadline
//
// # Time
//
// The engine has no clock. Every call carries an instant, and before anything
// at t is folded, all that is due at or before t fires, stamped with its
// deadline:
//
//   - a call's budgets and the doublings of its age, to the nanosecond;
//   - an evaluation of every detector at each whole second of capture time.
//
// When nothing was observed for a minute the evaluations come every ten
// seconds, and after ten minutes at twice the silence each time. So a crafted
// file whose clock jumps a century costs a few dozen evaluations, not three
// billion. The schedule is a function of what was observed alone: Advance may
// be called as often as one likes, or never, and the Findings stay the same.
//
// A time of which the source says that nobody watched is passed over: nothing
// is evaluated in it, no growth is reckoned over it, and what has to hold for
// a while is not held to have held in it.
//
// # Proxies
//
// A capture may hold both sides of a reverse proxy, and then has every call
// twice. Calls are paired over it (see legs), so that a stall is one incident,
// on the node, with the clients that only the proxy knows, and the leg that
// leaks is named.
//
// # Bounds
//
// Calls, connections of interest (those with a call in flight, half closed,
// or reset with a call unanswered), nodes and incidents each have a maximum in
// Options; what goes beyond is counted in Stats and, for nodes, folded into
// one node "other servers". An ordinary exchange allocates nothing.
//
// # What it never does
//
// No Summary, Why or Subject holds text from the wire: names of the closed
// set of commands, addresses, numbers and words of this package only. A call's
// own words appear in CallRef.Raw, escaped by package rules, and in Pending,
// unescaped, for the rim to redact.
package detect
