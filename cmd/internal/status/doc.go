// Package status serves a page for whoever is called at night: how each node
// is, since when, what hangs now, what fires, what to do. It is a
// pipeline.Sink.
//
// # The way of what is shown
//
//	Finding, Publish, Sampled ──> board ── copy ──> Document ──> page, status.json
//	(pipeline's goroutine)        (a lock for       (HTTP's goroutine)
//	                               the copy alone)
//
// The pipeline hands over a snapshot once a second and each change of an
// alert; single events cost nothing here. A request copies the board under
// its lock, some 100 kB, and makes words and drawings of the copy. What was
// rendered serves everybody for a second: a crowd of readers, or somebody in a
// loop, costs one page a second.
//
// # The document
//
// The page and /status.json show the same Document. Its keys are those of the
// records (package records) where they mean the same: times are RFC 3339 in
// UTC with nine digits of a second, durations end in _seconds, sizes in
// _bytes, and what is not known is left out. The state of a node is a word:
//
//	fine      nothing that is a warning fires
//	idle      the same, and nobody has called for five minutes
//	warning   an alert of this severity fires, or the node's process went out of sight;
//	          of everything together also when a receiver of alerts is gone, or records
//	          cannot be written
//	critical  an alert of this severity fires
//	unknown   nothing can be said: nothing was seen, or the analysis stands still
//
// # Bounds
//
// Nodes, calls, incidents and points of history each have a maximum; what
// goes beyond is counted and said. A history covers four minutes second by
// second, then, as it grows, the last hour by slices of 16 s.
//
// # What is safe
//
// Every text from elsewhere is printable ASCII and bounded before it gets
// here (packages text and notify) and escaped by html/template: no client
// writes markup, scripts or bidirectional overrides into the page. Calls have
// the names and shapes of the records and no values. The page loads nothing
// from anywhere and runs no script, and its headers forbid both. It names
// clients, so it is told only to those who connect from this machine, unless
// Options.Remote; and to those only under a name that is no stranger's, so
// that no web site can read it through the browser of the operator (DNS
// rebinding).
package status
