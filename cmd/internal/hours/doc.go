// Package hours draws hours of a node's life at random and plays them, in
// virtual time and packet by packet, through the whole core: frames, tracker,
// rules, detection. Recordings and written scenarios show what somebody
// thought of; a search shows the rest.
//
//	draw ─> node model ─┐
//	draw ─> clients  ───┼─> TCP as a capture on the node sees it ─> pipeline ─> alerts
//	draw ─> attack   ───┘                    └─> what was true ──> judge <──┘
//
// The model knows what a capture does not: when the node's workers were all
// taken, when it was stopped, out of descriptors or away. So each alert is
// judged: it tells of such trouble, or of the attack, or it is a false alarm.
//
// An hour is a function of its seed alone. The package has tests only; run
// more hours with
//
//	go test ./cmd/internal/hours -run TestHonestHours -hours 2000
//	go test ./cmd/internal/hours -run TestAttacks -hours 500
package hours
