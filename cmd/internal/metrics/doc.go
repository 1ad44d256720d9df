// Package metrics serves Prometheus metrics and a health check. It is a
// pipeline.Sink.
//
// Calls and waits are counted as they end, by the pipeline's goroutine, on
// observers that were resolved before. Everything that is a state (calls in
// flight, sockets, descriptors, alerts) is copied into a snapshot about once a
// second by Publish, and turned into metrics when somebody scrapes: a scrape
// never waits for the pipeline, nor the pipeline for a scrape.
//
// # Bounds
//
// No label value comes from the wire. Commands are those of the rules, at most
// Options.Commands of them, and "other" for the rest; oddities, reasons,
// states and alert names are closed sets. There is no client label: who calls
// is told by records and alerts. So a page has less than 500 series whatever
// is sent to the node.
package metrics
