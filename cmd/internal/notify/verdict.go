package notify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// verdict is what became of an attempt to deliver.
type verdict uint8

const (
	delivered verdict = iota + 1
	retry             // nothing wrong with the message: once more later
	refused           // the receiver does not like this message: in plain text, then never again
	stopped           // the receiver is gone or knows us no more: until the configuration changes
)

// outcome is the end of an attempt.
type outcome struct {
	verdict verdict
	words   string        // what went wrong: one line, escaped, without secrets
	wait    time.Duration // the receiver asks to be left alone so long; 0: it does not
	message string        // the receiver's id of the message, if it has one
	forget  bool          // the id that we had leads nowhere any more
}

// The waits between attempts: the first doubles up to the most. A receiver's own wish
// counts up to longest: it is not an attacker, but a broken clock on its side
// must not silence it for a year.
const (
	backoffBase = time.Second
	backoffMost = 5 * time.Minute
	waitLongest = time.Hour
)

// backoff returns how long to wait after the n-th failure in a row, n from 1.
// The jitter keeps a fleet of monitors from hitting a receiver in step when
// it comes back.
func backoff(base time.Duration, n int) time.Duration {
	d := backoffMost
	if n < 10 {
		d = min(base<<(n-1), backoffMost)
	}
	return d/2 + rand.N(d/2+1)
}

// classify judges an answer by its status, as RFC 9110 section 15 and the
// receivers' own papers have it.
func classify(a *answer, r redactor) outcome {
	words := fmt.Sprintf("HTTP %d", a.status)
	if s := clean(r.text(string(a.body)), maxWords); s != "" {
		words += ": " + s
	}
	switch {
	case a.status/100 == 2:
		return outcome{verdict: delivered, wait: exhausted(a.header)}
	case a.status == http.StatusTooManyRequests:
		return outcome{verdict: retry, words: words, wait: max(retryAfter(a), time.Second)}
	case a.status/100 == 3:
		return outcome{verdict: retry, words: words + ": redirects are not followed"}
	}
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return outcome{verdict: stopped, words: words}
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return outcome{verdict: retry, words: words}
	}
	if a.status/100 == 4 {
		return outcome{verdict: refused, words: words}
	}
	return outcome{verdict: retry, words: words, wait: retryAfter(a)}
}

// retryAfter reads the header (seconds, also fractions, or a date: RFC 9110
// section 10.2.3) and the body's retry_after of Discord and Slack, and takes
// the longer.
func retryAfter(a *answer) time.Duration {
	h := a.header.Get("Retry-After")
	d := seconds(h)
	if t, err := http.ParseTime(h); err == nil {
		d = time.Until(t)
	}
	var body struct {
		RetryAfter float64 `json:"retry_after"`
		Parameters struct {
			RetryAfter float64 `json:"retry_after"` // Telegram
		} `json:"parameters"`
	}
	if decodeJSON(a.body, &body) {
		d = max(d, duration(body.RetryAfter), duration(body.Parameters.RetryAfter))
	}
	return min(max(d, 0), waitLongest)
}

// exhausted reads how long to wait after the last message that was free.
func exhausted(h http.Header) time.Duration {
	if h.Get("X-RateLimit-Remaining") != "0" {
		return 0
	}
	return min(seconds(h.Get("X-RateLimit-Reset-After")), waitLongest)
}

func seconds(s string) time.Duration {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return duration(f)
}

// duration turns seconds into a duration; NaN and what is negative into 0.
func duration(seconds float64) time.Duration {
	if !(seconds > 0) {
		return 0
	}
	if seconds > waitLongest.Seconds() {
		return waitLongest
	}
	return time.Duration(seconds * float64(time.Second))
}

// transport sends the calls of one receiver.
type transport struct {
	client *http.Client
	redact redactor
}

func (t *transport) do(ctx context.Context, c *call) (*answer, outcome) {
	a, err := do(ctx, t.client, c)
	if err != nil {
		return nil, outcome{verdict: retry, words: t.redact.failure(err)}
	}
	return a, classify(a, t.redact)
}

// all sends calls in a row and ends with the first that is not delivered.
func (t *transport) all(ctx context.Context, calls []call) outcome {
	var out outcome
	for i := range calls {
		var wait = out.wait
		_, out = t.do(ctx, &calls[i])
		out.wait = max(out.wait, wait)
		if out.verdict != delivered {
			return out
		}
	}
	out.verdict = delivered
	return out
}
