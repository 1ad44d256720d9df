// Package report tells people what happened: Report is what `replay` prints
// when a recording is read, Log the alert lines of a live run. Both are
// pipeline.Sinks and keep nothing that grows with the length of a run.
//
// # Latencies
//
// The profile counts a call's wait, from the last byte of the request to the
// first of the answer. A call without an answer counts with the age it
// reached, as a lower bound; a quantile that such calls may push up is marked
// by '>'. Leaving them out would show a hanging node as a fast one: what
// hangs never completes.
//
// # Bounds
//
// One histogram of a fixed size a command, at most maxAlerts incidents'
// changes, a series of fixed length for the curves. Text from the wire is
// never shown but for names that package rules escaped; every line goes
// through package text.
package report
