// Package synth makes synthetic traffic of a node's API for tests and
// benchmarks: deterministic, in order of time, of any length in constant
// memory. A Generator is a capture.Source; the same Profile and seed give the
// same bytes.
//
// It stands in for real captures where a test needs millions of packets or a
// thousand variations. What real kernels, clients and proxies do is tested on
// real captures; nothing is claimed to be right because it is right on synth.
package synth
