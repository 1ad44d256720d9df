package notify

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"stallwatch/capture"
	"stallwatch/cmd/internal/notify/spool"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

var _ pipeline.Sink = (*Notifier)(nil)

// intakeSize bounds the alerts between the packet path and the queues. It is
// far more than an engine reports in the time of a sync.
const intakeSize = 1024

// Options are what a Notifier needs besides its configuration.
type Options struct {
	Version string // of stallwatch, for User-Agent
	Log     zerolog.Logger
	// Healthy says whether the capture can be trusted; asked every few
	// seconds. While it cannot, CaptureBlind fires and the heartbeat is
	// silent. nil: it always can.
	Healthy func() error
	Timeout time.Duration // of one request. 0: 10 s

	// By tests.
	tune func(*limits)
	dest func(*Receiver) destination
}

// Notifier delivers alerts. It is a pipeline.Sink: Finding takes a pointer
// under a lock that is held for nanoseconds only, and all that may take
// time (files, names, networks, receivers) is done by its own goroutines: one
// that fills the queues, and one for each receiver. Close ends and awaits
// them.
type Notifier struct {
	opts    Options
	log     zerolog.Logger
	workers []*worker
	lock    *spool.Locked // nil: no spool

	mu      sync.Mutex
	intake  [intakeSize]*detect.Alert // a ring
	head    int                       // of the oldest
	waiting int
	lost    int // of the intake, not yet told to the workers
	closing bool

	lostTotal atomic.Uint64
	wake      chan struct{}
	quit      chan struct{}
	cancel    context.CancelFunc
	feeders   sync.WaitGroup // of the intake
	senders   sync.WaitGroup // of the receivers
	grace     time.Duration  // drainGrace
}

// New opens the queues and starts to deliver what is in them.
func New(c *Config, o Options) (*Notifier, error) {
	n := &Notifier{opts: o, log: o.Log, wake: make(chan struct{}, 1), quit: make(chan struct{}), grace: drainGrace}
	n.opts.Timeout = orDuration(o.Timeout, callTimeout)
	dir := spoolDir(c)
	if dir != NoSpool && len(c.Receivers) > 0 {
		lock, err := spool.Lock(dir)
		if err != nil {
			return nil, fmt.Errorf("open the alert queues: %w; name another directory with spool, or none", err)
		}
		n.lock = lock
	}
	for i := range c.Receivers {
		w, err := n.worker(c, &c.Receivers[i], dir)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("receiver %s: %w", c.Receivers[i].Name, err), n.release())
		}
		n.workers = append(n.workers, w)
	}
	n.start(c)
	return n, nil
}

func (n *Notifier) worker(c *Config, r *Receiver, dir string) (*worker, error) {
	dest, err := n.destination(c, r)
	if err != nil {
		return nil, err
	}
	l := defaultLimits()
	l.group, l.age = orDuration(c.GroupWait, DefaultGroupWait), orDuration(c.MaxAge, DefaultMaxAge)
	if !r.Kind.forPeople() {
		l.group, l.settle = 0, 0 // machines group for themselves
	}
	if r.Kind == Alertmanager {
		l.keep = keepResolved
	}
	if n.opts.tune != nil {
		n.opts.tune(&l)
	}
	w := &worker{r: r, dest: dest, q: newQueue(r.Name, l), wake: make(chan struct{}, 1), limit: limiter{most: r.perMinute()},
		log: n.log.With().Str("receiver", r.Name).Logger(), tell: n.push}
	if dir == NoSpool {
		return w, nil
	}
	damage, err := w.q.open(dir, time.Now())
	if err != nil {
		return nil, err
	}
	if damage.Lines > 0 {
		w.log.Warn().Int("lines", damage.Lines).Str("file", filepath.Join(dir, r.Name+".queue")).
			Msg("damaged lines of the alert queue were left out")
	}
	w.publish()
	return w, nil
}

func (n *Notifier) destination(c *Config, r *Receiver) (destination, error) {
	if n.opts.dest != nil {
		return n.opts.dest(r), nil
	}
	return newDestination(c, r, n.opts)
}

func (n *Notifier) start(c *Config) {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	for _, w := range n.workers {
		n.senders.Go(func() { w.run(ctx) })
	}
	n.feeders.Go(n.feed)
	if n.opts.Healthy != nil {
		n.feeders.Go(n.watchHealth)
	}
	if !c.Heartbeat.URL.empty() {
		n.feeders.Go(func() { n.heartbeat(ctx, &c.Heartbeat) })
	}
}

// Event implements pipeline.Sink: single exchanges are no news.
func (n *Notifier) Event(*httpreassembly.Event, *rules.Verdict) {}

// Loss implements pipeline.Sink: CaptureLoss tells of it.
func (n *Notifier) Loss(capture.Time, capture.Loss) {}

// Finding implements pipeline.Sink. It never waits: when the intake is full
// the oldest alert in it is given up, counted, and the next message says so.
func (n *Notifier) Finding(f *detect.Finding) {
	if f.Kind == detect.AlertChanged && len(n.workers) > 0 {
		n.push(f.Alert)
	}
}

func (n *Notifier) push(a *detect.Alert) {
	n.mu.Lock()
	switch {
	case n.closing:
		n.lostTotal.Add(1)
	case n.waiting == intakeSize:
		n.intake[n.head] = a // in place of the oldest
		n.head = (n.head + 1) % intakeSize
		n.lost++
		n.lostTotal.Add(1)
	default:
		n.intake[(n.head+n.waiting)%intakeSize] = a
		n.waiting++
	}
	n.mu.Unlock()
	signal(n.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// feed moves alerts from the intake to the queues.
func (n *Notifier) feed() {
	for {
		select {
		case <-n.wake:
			n.drain()
		case <-n.quit:
			n.drain()
			return
		}
	}
}

// take empties the intake.
func (n *Notifier) take() (taken []*detect.Alert, lost int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for ; n.waiting > 0; n.waiting-- {
		taken = append(taken, n.intake[n.head])
		n.intake[n.head] = nil
		n.head = (n.head + 1) % intakeSize
	}
	lost, n.lost = n.lost, 0
	return taken, lost
}

func (n *Notifier) drain() {
	taken, lost := n.take()
	if lost > 0 {
		n.log.Warn().Int("alerts", lost).Msg("alerts came faster than they could be queued: the oldest were dropped")
	}
	alerts := make([]detect.Alert, len(taken))
	for i, a := range taken {
		alerts[i] = Sanitized(a)
	}
	for _, w := range n.workers {
		w.add(alerts, lost)
	}
}

// drainGrace is how long Close waits after its deadline for requests that
// were told to end.
const drainGrace = time.Second

// Close takes no more alerts, delivers what waits until ctx ends, and stops.
// What could not be delivered stays in the spool for the next start; the error
// says what had no spool to stay in.
func (n *Notifier) Close(ctx context.Context) error {
	n.mu.Lock()
	again := n.closing
	n.closing = true
	n.mu.Unlock()
	if again {
		return nil
	}
	close(n.quit)
	fed := wait(&n.feeders)
	select {
	case <-fed:
	case <-ctx.Done():
	}
	until, ok := ctx.Deadline()
	for _, w := range n.workers {
		if ok {
			w.until.Store(until.UnixNano())
		}
		w.hurry.Store(true)
		signal(w.wake)
	}
	sent := wait(&n.senders)
	select {
	case <-sent:
	case <-ctx.Done():
	}
	n.cancel()
	grace := time.NewTimer(n.grace)
	defer grace.Stop()
	for _, done := range []<-chan struct{}{sent, fed} {
		select {
		case <-done:
		case <-grace.C:
			return errors.New("close the alert queues: the disk or the network does not answer")
		}
	}
	return errors.Join(n.leftovers(), n.release())
}

// wait returns a channel that is closed when g is done.
func wait(g *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		g.Wait()
		close(done)
	}()
	return done
}

func (n *Notifier) leftovers() error {
	left := 0
	for _, w := range n.workers {
		if w.q.count == 0 {
			continue
		}
		if w.q.file == nil {
			left += w.q.count
			w.dropped.Add(uint64(w.q.count))
		}
		w.log.Warn().Int("waiting", w.q.count).Bool("kept", w.q.file != nil).Msg("not all alerts were delivered before the end")
	}
	if left > 0 {
		return fmt.Errorf("%d alerts were not delivered and there is no spool to keep them", left)
	}
	return nil
}

// release closes the files.
func (n *Notifier) release() error {
	var errs []error
	for _, w := range n.workers {
		errs = append(errs, w.q.close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}

// Stats are the counters of a Notifier. It may be asked at any time.
type Stats struct {
	Lost      uint64 // alerts that did not reach the queues: the intake was full, or closed
	Receivers []ReceiverStats
}

// ReceiverStats are the counters of a receiver since the start.
type ReceiverStats struct {
	Name       string
	Kind       Kind
	Sent       uint64 // messages that the receiver took
	Failed     uint64 // attempts that it did not
	Dropped    uint64 // changes given up: refused, too old, or over the bounds
	Coalesced  uint64 // changes that a newer one replaced while they waited
	SpoolFails uint64 // writes to the queue's file that failed
	Queue      int    // changes waiting
	Stopped    bool   // the receiver is gone, see the log
}

// Stats returns the counters.
func (n *Notifier) Stats() Stats {
	s := Stats{Lost: n.lostTotal.Load(), Receivers: make([]ReceiverStats, len(n.workers))}
	for i, w := range n.workers {
		s.Receivers[i] = w.stats()
	}
	return s
}
