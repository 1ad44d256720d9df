package notify

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"stallwatch/capture"
	"stallwatch/detect"
)

// destination is a receiver: it turns a batch into its own form and takes it
// there. Its worker's goroutine owns it.
type destination interface {
	// calls renders b without sending anything; nil if the receiver has
	// nothing to say about it.
	calls(b *batch) []call
	// deliver sends b. It must end when ctx does.
	deliver(ctx context.Context, b *batch) outcome
}

// refresher is a destination that forgets what it is not told again.
type refresher interface {
	refresh(ctx context.Context, all []*change) outcome
	every() time.Duration
}

// worker is the goroutine of one receiver and what it owns.
type worker struct {
	r    *Receiver
	dest destination
	log  zerolog.Logger
	tell func(*detect.Alert) // everywhere else
	wake chan struct{}

	mu sync.Mutex // guards q: the intake adds, the worker takes
	q  *queue

	// The goroutine's own.
	limit     limiter
	failures  int // in a row
	notBefore time.Time
	refreshAt time.Time

	hurry atomic.Bool
	until atomic.Int64 // the deadline of the hurry, Unix ns; 0: none

	sent, failed, dropped, coalesced, fileErrs atomic.Uint64
	waiting                                    atomic.Int64
	stopped                                    atomic.Bool
}

// add queues the alerts that the receiver wants.
func (w *worker) add(alerts []detect.Alert, lost int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.q.untold += lost
	var want []detect.Alert
	for i := range alerts {
		// What this drain has queued so far decides too: see wants.
		if w.wants(&alerts[i], want) {
			want = append(want, alerts[i])
		}
	}
	if len(want) == 0 {
		return
	}
	errs := w.q.fileErrs
	w.q.add(time.Now(), want...)
	if w.q.fileErrs > errs {
		w.log.Error().Str("error", clean(w.q.lastErr.Error(), maxWords)).
			Msg("the alert queue cannot be written: a kill would lose what waits")
	}
	w.publish()
	signal(w.wake)
}

// wants reports whether the receiver is told of a. An incident that it knows
// is followed to its end, whatever the severity of that.
func (w *worker) wants(a *detect.Alert, before []detect.Alert) bool {
	open := w.q.isOpen(a)
	for i := range before {
		if before[i].Name == a.Name && before[i].Subject == a.Subject {
			open = before[i].State == detect.Firing
		}
	}
	switch {
	case open:
		return true
	case a.State == detect.Resolved:
		return false
	case a.Name == receiverStopped:
		return true
	}
	return a.Severity >= w.r.MinSeverity && (len(w.r.Alerts) == 0 || slices.Contains(w.r.Alerts, a.Name))
}

// run delivers until ctx ends, or in a hurry until nothing more can be done.
func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		b, wait := w.next()
		if w.stopped.Load() {
			b, wait = nil, 0
		}
		pause := time.Until(w.notBefore)
		if b != nil {
			pause = max(pause, w.limit.wait(time.Now(), cost(b)))
		}
		switch {
		case b == nil && w.hurry.Load(), w.hurry.Load() && w.tooLate(pause):
			return
		case b == nil:
			w.idle(ctx, wait)
		case pause > 0:
			w.sleep(ctx, pause)
		default:
			w.attempt(ctx, b)
		}
	}
}

func (w *worker) next() (*batch, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, wait := w.q.next(time.Now(), w.hurry.Load())
	w.publish()
	return b, wait
}

// hurryFailures bounds the attempts of a receiver that fails while the
// program ends.
const hurryFailures = 3

func (w *worker) tooLate(pause time.Duration) bool {
	until := w.until.Load()
	return w.failures >= hurryFailures || until != 0 && time.Now().Add(pause).UnixNano() > until
}

// cost is how many messages b makes: what is worse than the message that is
// edited is told by a second one that rings.
func cost(b *batch) int {
	if b.Worse && b.Message != "" {
		return 2
	}
	return 1
}

// idle waits for something to do, and repeats to a destination that forgets
// what it should remember.
func (w *worker) idle(ctx context.Context, wait time.Duration) {
	f, ok := w.dest.(refresher)
	if !ok || w.stopped.Load() {
		w.sleep(ctx, wait)
		return
	}
	now := time.Now()
	if !now.Before(w.refreshAt) && !now.Before(w.notBefore) {
		w.refresh(ctx, f)
		return
	}
	next := max(w.refreshAt.Sub(now), w.notBefore.Sub(now))
	if wait > 0 {
		next = min(next, wait)
	}
	w.sleep(ctx, next)
}

// sleep waits until d has passed (0: for ever), something was queued, or ctx
// ends.
func (w *worker) sleep(ctx context.Context, d time.Duration) {
	var timer <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-w.wake:
	case <-timer:
	}
}

// attempt delivers b once and draws the conclusions.
func (w *worker) attempt(ctx context.Context, b *batch) {
	w.limit.take(time.Now(), cost(b))
	out := w.dest.deliver(ctx, b)
	now := time.Now()
	w.notBefore = now.Add(out.wait)
	if out.verdict == delivered {
		w.failures = 0
		w.sent.Add(1)
		w.refreshAt = time.Time{} // the set of known alerts has changed
		if f, ok := w.dest.(refresher); ok {
			w.refreshAt = now.Add(f.every())
		}
		w.settle(func(q *queue) { q.ack(now, b, out.message) })
		return
	}
	if ctx.Err() != nil && out.verdict == retry {
		return // cut off by the end: neither its fault nor ours
	}
	w.failed.Add(1)
	w.fail(now, b, out)
}

func (w *worker) fail(now time.Time, b *batch, out outcome) {
	if out.forget {
		w.settle(func(q *queue) { q.forgetMessage(b) })
	}
	switch out.verdict {
	case refused:
		w.refused(now, b, out)
	case stopped:
		w.stop(out)
	default:
		w.failures++
		if out.wait == 0 && !out.forget {
			w.notBefore = now.Add(backoff(w.q.limits.backoff, w.failures))
		}
		w.log.Warn().Str("error", out.words).Int("attempt", w.failures).Dur("next", w.notBefore.Sub(now)).Msg("alerts not delivered")
	}
}

// refused tries it in plain text, and gives the batch up when that is refused
// too: it would be refused for ever, and all behind it would wait.
func (w *worker) refused(now time.Time, b *batch, out outcome) {
	e := w.log.Error().Str("error", out.words).Int("changes", len(b.Changed))
	if !b.Plain {
		e.Msg("the receiver refuses a message: it is sent once more as plain text")
		w.settle(func(q *queue) {
			if q.plan != nil {
				q.plan.Plain = true
			}
		})
		return
	}
	e.Msg("the receiver refuses a message in plain text too: dropped")
	w.settle(func(q *queue) { q.reject(now, b) })
}

const receiverStopped = "ReceiverStopped"

// stop ends the deliveries until the program is started anew. What waits
// stays in the spool.
func (w *worker) stop(out outcome) {
	w.stopped.Store(true)
	w.log.Error().Str("error", out.words).
		Msg("the receiver is gone or knows us no more: nothing is sent to it until the next start; check its URL or token")
	at := capture.At(time.Now())
	w.tell(&detect.Alert{At: at, Since: at, State: detect.Firing, Name: receiverStopped, Severity: detect.Warning,
		Subject: "receiver " + w.r.Name, Confidence: 1,
		Summary:  fmt.Sprintf("alerts no longer reach %s (%s)", w.r.Name, w.r.Kind),
		Why:      out.words,
		Evidence: detect.Evidence{CloseWait: -1, CloseWaitKernel: -1, Unaccepted: -1, FDs: -1, FDLimit: -1}})
}

func (w *worker) refresh(ctx context.Context, f refresher) {
	w.mu.Lock()
	all := w.q.allTold()
	w.mu.Unlock()
	w.refreshAt = time.Now().Add(f.every())
	if len(all) == 0 {
		return
	}
	out := f.refresh(ctx, all)
	if out.verdict == delivered || ctx.Err() != nil {
		return
	}
	w.failed.Add(1)
	if out.verdict == stopped {
		w.stop(out)
		return
	}
	w.notBefore = time.Now().Add(out.wait)
	w.log.Warn().Str("error", out.words).Msg("firing alerts could not be repeated")
}

// settle changes the queue and publishes its counters.
func (w *worker) settle(f func(q *queue)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w.q)
	w.publish()
}

// publish copies the queue's counters to where Stats reads them: its lock may
// be held while a disk syncs.
func (w *worker) publish() {
	w.waiting.Store(int64(w.q.count))
	w.dropped.Store(w.q.dropped)
	w.coalesced.Store(w.q.coalesced)
	w.fileErrs.Store(w.q.fileErrs)
}

func (w *worker) stats() ReceiverStats {
	return ReceiverStats{Name: w.r.Name, Kind: w.r.Kind, Sent: w.sent.Load(), Failed: w.failed.Load(), Dropped: w.dropped.Load(),
		Coalesced: w.coalesced.Load(), SpoolFails: w.fileErrs.Load(), Queue: int(w.waiting.Load()), Stopped: w.stopped.Load()}
}

// limiter lets through at most so many messages in any minute.
type limiter struct {
	most int // 0: no bound
	at   []time.Time
}

// wait is how long until n more may go.
func (l *limiter) wait(now time.Time, n int) time.Duration {
	if l.most <= 0 {
		return 0
	}
	n = min(n, l.most)
	for len(l.at) > 0 && now.Sub(l.at[0]) >= time.Minute {
		l.at = l.at[1:]
	}
	over := len(l.at) + n - l.most
	if over <= 0 {
		return 0
	}
	return l.at[over-1].Add(time.Minute).Sub(now)
}

func (l *limiter) take(now time.Time, n int) {
	if l.most <= 0 {
		return
	}
	for range n {
		l.at = append(l.at, now)
	}
}
