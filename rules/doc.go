// Package rules names the API command of a request, and says what may be
// expected of it.
//
// # What goes in
//
// A [Request]: method, target and the first bytes of a body, all of them an
// attacker's text. [Set.Classify] looks at JSON keys (IRI's `command`,
// JSON-RPC's `method`, also in batches) and then at method and path. It keeps
// no memory of the request and allocates nothing for a command that it knows.
//
// # What comes out
//
// A [Verdict]: a [Command] of a closed set (hence safe as a metric label) with
// its budgets; a [Shape] of the parameters with kinds and lengths but without
// values, a few harmless numbers excepted; and for what nobody knows an
// escaped and cut name, fit to be printed.
//
// # Whose rules
//
// The embedded packs in packs/*.yaml, and an operator's files laid over them;
// REFERENCE.md explains the format. Files are read strictly: a key, class,
// duration, route or expression that is not understood is an error with its
// place, and nothing is loaded.
//
// # Free rules and settings
//
// A file may set thresholds of detectors ([Setting]), which this package
// hands on without knowing them, and add alerts of its own ([AlertRule]):
// conditions in a part of the language of expr-lang/expr that cannot loop,
// fail or allocate without bound, checked when they are loaded against the
// table of [Fields]. A [Machine] evaluates them.
//
// A [Set] does not change once it is loaded; it has no clock, no logger, no
// goroutine, and is safe for concurrent use.
package rules
