// Package demo is a small node with the flaw of January 2018, the ordinary
// clients it serves and the attack that ended it, all over real sockets on
// this machine: what stallwatch is for, in under a minute.
//
// # The node
//
// [Node] answers the HTTP API of IRI (iotaledger/iri v1.4): a JSON body that
// names a command, the header X-IOTA-API-Version, "duration" in every answer,
// 400, 401 and 500 as IRI gives them. It has IRI's flaws, each on purpose:
//
//   - it accepts without a limit;
//   - each request is dispatched to a bounded pool of workers, and its body is
//     read inside the worker;
//   - getTransactionsToApprove with a reference never returns;
//   - nothing is read from a socket while its worker computes, so a client's
//     FIN goes unnoticed and the socket stays in CLOSE_WAIT;
//   - its database opens a file for each append, as RocksDB does, and when
//     the descriptors have run out the node dies of that.
//
// With [NodeOptions].Monitor it has IRI's sixth flaw too: one object monitor
// around five commands, so that the first stalled call blocks them all. That
// is off by default because with it honest calls fail within seconds and there
// is nothing left to warn of; without it the pool is all that calls share.
//
// net/http would notice a client's FIN by its background read and cancel the
// call, so the node speaks HTTP/1.1 by hand on net.Conn.
//
// # Compression
//
// A real node of 2018 had 4096 descriptors, 16 to 32 workers and needed a
// quarter of an hour or more to die. The play of [DefaultScenario] takes under
// a minute, and detectors run against it with the thresholds of production
// (calls of 10 s and 30 s, half-closed sockets of 30 s). So only the sizes are
// scaled: 128 descriptors, 72 workers, 1.9 attacking calls a second. With that
// the pool lasts about 38 s from the first attacking call and the descriptors
// about 5 s more: the order (stalled calls, CLOSE_WAIT, full pool, no
// descriptors, death) and the causes are the real ones.
//
// # What it never does
//
// [Attack] refuses a target that is not a loopback or private address. Every
// count and every time is bounded, and every goroutine is waited for.
package demo
