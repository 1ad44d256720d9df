// Package records writes the stream of JSON lines that `replay --json` and
// `watch --records` print, and that other programs read. It is a
// pipeline.Sink.
//
// One object a line, UTF-8, keys in the order below. Times are RFC 3339 in
// UTC with nine digits of a second, so that they sort as text; durations are
// in seconds, exact to the nanosecond, with the suffix _seconds; sizes are in
// bytes with the suffix _bytes. A key that does not hold is left out, never
// guessed. Adding keys or types keeps the version; changing a meaning raises
// it.
//
// What came from the wire is escaped to printable ASCII and bounded (package
// text); unless redaction is off, targets have no parameter values and no
// long path segments. Addresses are never redacted.
//
// # stream
//
// The first line.
//
//	version          of this format: 1
//	stallwatch       release of the program
//	sources          what is read: interfaces or files
//	rules            digest of the effective rules
//	redact           whether targets are redacted
//
// # exchange
//
// A request and its answer ended, or their connection did.
//
//	time             first byte of the request
//	conn             connection: time of its first packet in Unix nanoseconds, as a
//	                 string, since 64-bit integers do not survive JavaScript and jq
//	depth            1 for the first request on its connection
//	client, server   "ip:port", IPv6 in brackets
//	real_client      who stands behind a trusted proxy: "ip", or "ip:port" where the PROXY
//	                 protocol tells it
//	community_id     Community ID 1 of the flow, seed 0
//	api, command     what the rules call it; command is "other" if they do not know it
//	raw              the name as the wire had it, iff command is "other"
//	commands         of a batch: command -> count
//	class            unknown, instant, fast, work, heavy, job, stream
//	method, target, host
//	status           of the final response
//	request_body_bytes, response_body_bytes  content after removing chunking
//	upload_seconds   first to last byte of the request
//	wait_seconds     last byte of the request to first byte of the final response; negative if the
//	                 server answered early
//	download_seconds first to last byte of the response
//	duration_seconds first byte of the request to last byte of the response
//	server_seconds   what the node itself says it took
//	outcome          answered
//	                 client_gone    the client closed or reset before the answer was complete
//	                 server_closed  the server closed without a complete answer
//	                 server_reset
//	                 cut            the capture ended or the state was evicted
//	                 lost           a hole in the capture hides it
//	                 unread         the server closed a kept connection as the request came: it was
//	                                not read, and the client may make it again (RFC 9112 9.3.1)
//	lost_bytes       bytes of the exchange that were not captured
//	shape            its parameters: names of a closed list, kinds and lengths, no values
//
// api to class, shape and request_body_bytes stand only if the request was
// seen whole.
//
// # pending
//
// A call passed its budget and is still in flight; again at each doubling of
// its age; and at the end of a run. Keys as of exchange as far as they hold
// (time to host, request_body_bytes, upload_seconds, shape), then
//
//	real_client      also the client that only the other leg of a proxy knows, see leg below
//	age_seconds      since the last byte of the request
//	verdict          where it hangs:
//	                 app            the kernel acknowledged the request, the application does not answer
//	                 client_gone    the same, and the client left, or left the proxy in front
//	                 unaccepted     the connection waits for accept(): the process has not seen the call
//	                 host           the node's kernel does not acknowledge: the machine is away or stopped
//	                 network        both ends send again: the path between them loses packets
//	                 client_read    the client takes nothing: its window is closed
//	                 client_upload  the client has not sent all of its request (in alerts only)
//	                 capture_gap    a hole in the capture may hide the answer
//	                 unknown
//	final            true if nothing more is expected of the call: the run ended, the node's
//	                 process went, or it gave the descriptor of a reset client back
//	                 (where the client had reset, an exchange may still follow: client_gone)
//
// # connection
//
// A connection ended, or is not followed any more.
//
//	time             its first packet
//	conn, client, server
//	state            closed, reset, half_closed (client's FIN, server silent: CLOSE_WAIT on the
//	                 node), open, evicted
//	exchanges        requests seen on it
//	bytes_to_server, bytes_to_client  TCP payload
//	duration_seconds
//	close_wait_seconds  how long the server had not closed after the client did
//	closed_by        client, server
//	history          letters as Zeek has them, upper case from the client
//
// # oddity
//
// The wire said something that a parser must not swallow.
//
//	time, conn, client, server
//	oddity           a word of a closed list
//	detail
//
// # node
//
// The state of a node, every 10 s of capture time and when an alert changes.
//
//	time, server, connections, in_flight
//	oldest_seconds   age of the oldest call in flight
//	close_wait       as the packets tell
//	close_wait_kernel, unaccepted, fds, fd_limit  as the host tells
//	fd_eta_seconds   until the descriptors run out, if they grow
//
// # loss
//
// Packets were dropped, or holes seen, or records themselves, or nobody watched. Holes of a second
// are one line.
//
//	time
//	kernel, interface  packets dropped
//	unwatched_seconds  from time on nobody watched for so long: nothing is judged by it, and what
//	                   had waited for less, or for less than 10 s, is given up as perhaps over,
//	                   its calls with outcome lost
//	why                clock_set (forward), asleep (the machine), stopped (the program, and packets
//	                   were dropped), unrecorded (between two recordings)
//	gaps, gap_bytes    holes in connections, and their size where it is known
//	records            records that would stand here: a live run does not wait for a full disk or a
//	                   reader that has stopped
//
// # level
//
// Memory is short, or suffices again: less or more is read than before.
//
//	time
//	level            full, commands (contents are not kept), headers (nor read), states (no
//	                 further calls are followed)
//
// # alert
//
// An alert fired, escalated, or was resolved.
//
//	time
//	state            firing, resolved
//	alert            name
//	severity         info, warning, critical
//	subject          with alert, the identity of the incident
//	since, server, client, command, value, limit, unit
//	summary          a sentence for people
//	why              the rule with its numbers
//	confidence       0 to 1, lowered by what the capture missed
//	evidence         calls (conn, depth, client, from, command, raw, shape, since, age_seconds,
//	                 verdict; the culprit first; from: the connection's other end, where that is
//	                 a proxy's and not the client's), in_flight, clients (client, n), close_wait,
//	                 close_wait_kernel, unaccepted, fds, fd_limit, fd_eta_seconds (with
//	                 fd_eta_low_seconds and fd_eta_high_seconds, between which it lies nine times
//	                 in ten; no fd_eta_high_seconds: the growth may as well end), lost_packets,
//	                 gap_bytes, leg
//	leg              in evidence, iff the capture holds both sides of a reverse proxy (client to
//	                 proxy, proxy to node): side (front, node: on which of them the alert's server
//	                 is), proxy and node ("ip:port" of both), leaks (true if sockets are left over
//	                 on this side), paired (calls in flight that were found on the other side too),
//	                 and on the node's side queued (calls over their budget that the proxy has not
//	                 passed on, since the node takes no more), client_left (of the paired ones,
//	                 those whose client left the proxy while the node goes on) and proxy_gave_up
//	                 (those that the proxy answered by itself while the node goes on; then
//	                 proxy_status, proxy_patience_seconds)
//
// # summary
//
// The last line of a replay.
//
//	packets, bytes, connections, exchanges
//	pending          calls in flight at the end
//	oddities         name -> count
//	alerts           name -> incidents
//	first, last, duration_seconds  of the packets
//	skipped          frames that are no TCP segment: reason -> count
//	refused, syn_unanswered  connections that never came to be
//	lost_packets, gap_bytes
//	records_dropped  in a live run; see loss
//	bounds           what was given up because a bound of --memory was reached: name -> count
package records
