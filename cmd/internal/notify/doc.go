// Package notify brings alerts to people: to Discord, Slack, Alertmanager, any
// webhook that understands Alertmanager's, ntfy, Telegram and PagerDuty, and
// to fail2ban and CrowdSec as a line of a log.
//
// # The way of an alert
//
//	Finding ── intake ──> feed ──> queue of each receiver ──> its worker ──> HTTP
//	(packet    (bounded,           (file, synced;              (one goroutine;
//	 path)      never waits)        coalesces, fixes batches)   retries, limits)
//
// The packet path hands over a pointer and goes on; when 1024 alerts wait
// there the oldest is given up, counted, and the next message tells of it.
// What has reached a queue survives a kill -9: it is in a file, synced, with a
// checksum on each line. A queue is an append-only file and not a database:
// it holds a few hundred records, is read once, and a file that can be read
// with less is worth more at four in the morning than B-trees.
//
// # What arrives
//
// An incident is an alert's name and subject. Its first and its last state
// always arrive, in order; what comes between is replaced while it waits. The
// incidents of one server share a message: the first goes out a second after
// the alert, what follows is gathered for GroupWait (30 s), unless it is an
// alert of another name or worse than what was told. Discord's and Telegram's
// message is edited while the incident lasts, and a second one rings when it
// becomes worse; the others get first, worse and resolved. At most five
// messages a minute go to where people read.
//
// Delivery is at least once. A batch is fixed and written down before the
// first attempt, so that all attempts say the same under the same id
// (Idempotency-Key of a webhook, dedup_key of PagerDuty, labels of
// Alertmanager). A receiver without such an id can see a batch twice when its
// answer got lost or the process was killed between the answer and the
// record of it: one message for each such event, never more.
//
// # When it fails
//
// 429 waits as long as the receiver asks; 5xx, timeouts, resets, redirects
// and bad certificates are retried after 1 s to 5 min with jitter; any other
// 4xx is tried once more as plain text, then dropped and counted; 401, 403,
// 404 and 410 stop the receiver, and ReceiverStopped tells the others. A queue
// holds 1000 changes, 8 MiB and 72 h at most; the oldest goes first. An
// incident that a killed process left open is adopted: it is edited on when
// it is seen again, and closed after five minutes if it is not.
//
// # What is safe
//
// Every text is printable ASCII and bounded before it gets here, and escaped
// again for each receiver's markup: nothing from the wire calls people, makes
// links or formats. URLs and tokens are of type Secret, which prints as
// <secret>; errors and answers of receivers pass a redactor on their way to a
// log. Redirects are not followed, answers are read up to 64 KiB, and hosts
// of public services must be public after DNS, too.
package notify
