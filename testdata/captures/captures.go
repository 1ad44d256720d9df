// Package captures embeds the one capture that the demo command replays where
// it may not capture for itself. The others in this directory are for tests
// and readers; README.md tells of each.
package captures

import _ "embed"

// Attack is iri2018.pcap.zst: the attack of January 2018 on the demo node.
//
//go:embed iri2018.pcap.zst
var Attack []byte

// AttackEvents is iri2018.events.json: what happened in it, and when.
//
//go:embed iri2018.events.json
var AttackEvents []byte

// AttackTruth is iri2018.truth.jsonl, the host's evidence five times a second.
//
//go:embed iri2018.truth.jsonl
var AttackTruth []byte
