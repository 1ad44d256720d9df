// Package text makes what came from the wire fit to be shown: in a record, a
// log field, a report on a terminal. It stands at the rim, between the core,
// which keeps bytes as they were, and every output.
//
// Three promises hold for any input (they are fuzzed):
//
//   - what comes out is printable ASCII on a single line: no escape sequence,
//     no line break, no bidirectional override reaches a terminal or a log;
//   - it is bounded, and a cut is marked by "...";
//   - with redaction on, no value of a query parameter and no part of a path
//     that may be a key, an address or a hash is in it: such a part is
//     replaced by its length in braces, as in /api/v1/outputs/{68}.
//
// Addresses of clients are not redacted: whom to block is what the operator
// reads the output for.
package text
