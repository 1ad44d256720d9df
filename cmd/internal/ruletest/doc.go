// Package ruletest runs captures and written traces through the whole
// pipeline and says which alerts fired when: unit tests of rule files, and
// what a rule would have said of an incident.
//
// # Written traces
//
// A trace is a list of steps: calls with their answers and ends, samples of
// the node's process, losses. It becomes packets ([Wire]), so that a test of
// a rule is a test of everything below it too.
//
// # What comes out
//
// A [Timeline] of alerts; [File.Run] holds it to what a test file expects.
// The package has no clock: a trace begins at a fixed instant.
package ruletest
