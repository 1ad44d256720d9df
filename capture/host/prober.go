package host

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"stallwatch/capture"
)

// share is how much of a core the prober may take: one part in share.
const share = 100

// addrsEvery is how often the addresses are read again; they seldom change.
const addrsEvery = time.Minute

// Prober samples one node's process. Sample and Close belong to one
// goroutine; WantConns may be called from any.
type Prober struct {
	opts Options
	proc proc
	cpu  func() time.Duration // processor time of this thread
	own  uint64               // our network namespace, 0 if not known
	diag *diag                // in ours; nil: refused, /proc is read instead

	// far is the same in another namespace, farID, whose node is a container's.
	// It keeps that namespace alive, so it must not outlive the process.
	far   *diag
	farID uint64

	pid      int
	started  uint64   // of pid, in ticks since boot
	netDir   string   // where its sockets are listed; "": not found
	away     bool     // found by its port in another namespace: who comes to listen in ours is meant before it
	inodes   []uint64 // of its listeners, when last looked at
	findErr  error
	nextTry  time.Time // when to look for the process again
	searched []uint64  // present when it was looked for last

	wantConns atomic.Bool
	last      table     // the last full table
	lastFDs   int       // the last count of descriptors that took reading them
	fdsErr    error     // of that
	nextFull  time.Time // when both may be read again
	listening []uint64  // inodes of the listeners in the latest table
	workers   []worker  // those that listen, if they are several
	served    []uint16  // watched ports that the process listens on; nil: all, or not known
	servedOf  []uint64  // the listeners of which that was told

	addrs     []netip.Addr // never changed, only replaced
	nextAddrs time.Time
}

// New prepares a prober. It reads nothing of the node yet: a node that does
// not run now is found when it does.
func New(o Options) (*Prober, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	p := &Prober{opts: o, proc: proc{root: o.Root}, cpu: threadCPU}
	p.wantConns.Store(true)
	p.own, _ = namespaceID(filepath.Join(o.Root, "self", "net"))
	if onProcfs(o.Root) {
		p.diag, _ = openDiag() // refused (seccomp, an old kernel): /proc does as well
	}
	return p, nil
}

// Close gives back what New took.
func (p *Prober) Close() error {
	if p.diag != nil {
		p.diag.close()
		p.diag = nil
	}
	p.leave()
	return nil
}

// leave gives up the socket in another namespace.
func (p *Prober) leave() {
	if p.far != nil {
		p.far.close()
	}
	p.far, p.farID = nil, 0
}

// WantConns asks for the whole socket table in the next full sample, as the
// first one has it.
func (p *Prober) WantConns() { p.wantConns.Store(true) }

// Problem says what keeps the prober from seeing the node's process at now,
// "" if nothing does. The socket table it leaves for the first Sample.
func (p *Prober) Problem(now time.Time) string {
	runtime.LockOSThread() // as for Sample
	defer runtime.UnlockOSThread()
	s := &capture.Sample{}
	err := p.locate(now)
	if p.pid != 0 {
		err = errors.Join(err, p.readProcess(s, now, true))
	}
	return firstLine(err)
}

// Sample returns what is so at now. It never returns nil.
func (p *Prober) Sample(now time.Time) *capture.Sample {
	// The thread's own processor time is the measure: stay on it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	s := p.sample(now)
	if p.moved(s, now) {
		p.forget()
		s = p.sample(now)
	}
	return s
}

// sample does what Sample does, once. A full one reads the whole socket table
// and, before Linux 6.2, the directory of descriptors; the next waits until
// its processor time is one part in share of the time since.
func (p *Prober) sample(now time.Time) *capture.Sample {
	s := &capture.Sample{FDs: unknown, FDLimit: unknown}
	err := p.locate(now)
	wait := p.nextFull.Sub(now)
	full := wait <= 0 || wait >= maxWait
	s.Stale = !full
	spent := p.cpu()
	if p.pid != 0 && full {
		p.nearest()
	}
	if p.netDir != "" {
		err = errors.Join(err, p.readSockets(s, full))
	}
	if p.pid != 0 {
		s.PID, s.Process = p.pid, p.proc.name(p.pid)
		if len(p.workers) > 1 {
			s.Processes = len(p.workers)
		}
		err = errors.Join(err, p.readProcess(s, now, full), p.still(s))
	}
	if full {
		p.nextFull = now.Add(share * (p.cpu() - spent))
	}
	s.Err = firstLine(err)
	return s
}

// still reports whether what was read is of the process that it was read for.
// One that ends meanwhile shows no descriptors for a moment before it is gone,
// and its pid may be another's at once: neither is a count of the node's.
func (p *Prober) still(s *capture.Sample) error {
	if started, ok := p.proc.alive(p.pid); ok && started == p.started {
		return nil
	}
	s.FDs, s.FDLimit = unknown, unknown
	return fmt.Errorf("process %d ended while it was looked at", p.pid)
}

// locate finds the process, unless it is known and still there.
func (p *Prober) locate(now time.Time) error {
	if p.pid != 0 {
		started, ok := p.proc.alive(p.pid)
		ok = ok && started == p.started
		if ok && !(p.away && len(p.present()) > 0) {
			return nil
		}
		if !ok {
			p.findErr = fmt.Errorf("process %d has ended", p.pid)
		}
		p.forget()
	}
	if wait := p.nextTry.Sub(now); wait > 0 && wait < maxWait && !p.appeared() {
		return p.findErr
	}
	spent := p.cpu()
	p.searched = p.present()
	p.pid, p.findErr = p.find()
	p.nextTry = now.Add(share * (p.cpu() - spent))
	if p.pid == 0 {
		return p.findErr
	}
	started, ok := p.proc.alive(p.pid)
	if !ok { // between the search and now; the next look may find another
		p.findErr = fmt.Errorf("process %d has ended", p.pid)
		p.pid = 0
		return p.findErr
	}
	p.started, p.netDir = started, p.proc.path(p.pid, "net")
	return nil
}

// present returns the listeners of the ports in our own namespace, sorted, by
// netlink: a look of microseconds, however many sockets there are.
func (p *Prober) present() []uint64 {
	if p.diag == nil {
		return nil
	}
	t := table{ports: p.opts.Ports}
	if p.diag.read(&t, listenOnly) != nil {
		return nil
	}
	slices.Sort(t.inodes)
	return t.inodes
}

// appeared reports whether other sockets listen than when the process was
// looked for last: where a search is dear, a node that is restarted shall not
// wait for what the search before it cost.
func (p *Prober) appeared() bool {
	in := p.present()
	return len(in) > 0 && !slices.Equal(in, p.searched)
}

// maxWait bounds any waiting time: beyond it the clock was set back.
const maxWait = time.Hour

// forget makes the next sample look for the process anew, as soon as the cost
// of the last search allows.
func (p *Prober) forget() {
	p.pid, p.started, p.netDir, p.inodes = 0, 0, "", nil
	p.nextFull, p.nextAddrs = time.Time{}, time.Time{}
	p.addrs, p.last = nil, table{}
	p.workers, p.served, p.servedOf = nil, nil, nil
	p.leave()
}

// moved reports whether the port is now listened on by other sockets than
// before: the node was restarted, or another process has taken its port. A
// port that nobody listens on has not moved: the process may be on its way
// down, and its descriptors still count.
func (p *Prober) moved(s *capture.Sample, now time.Time) bool {
	if len(s.Listen) == 0 || len(p.listening) == 0 {
		return false
	}
	slices.Sort(p.listening)
	if p.inodes == nil || p.opts.PID != 0 {
		p.inodes = slices.Clone(p.listening)
		return false
	}
	return now.After(p.nextTry) && !slices.Equal(p.inodes, p.listening)
}

// readSockets fills in the sockets of the ports.
func (p *Prober) readSockets(s *capture.Sample, full bool) error {
	if !full {
		return p.readListeners(s)
	}
	t := table{ports: p.opts.Ports, served: p.served, wantConns: p.wantConns.Load(), expect: p.last.total() + 16}
	err := p.readTable(&t, allStates)
	if err == nil && p.serves(&t) {
		t = table{ports: t.ports, served: p.served, wantConns: t.wantConns, expect: t.expect}
		err = p.readTable(&t, allStates)
	}
	if err != nil {
		return p.explainSockets(err)
	}
	if t.wantConns {
		p.wantConns.Store(false)
	}
	t.fill(s)
	p.listening = slices.Clone(t.inodes)
	t.conns = nil
	p.last = t
	return nil
}

// readListeners fills in the accept queues, which are cheap to read by
// netlink, and repeats the rest from the last full table.
func (p *Prober) readListeners(s *capture.Sample) error {
	t := p.last
	if p.netlink() != nil {
		t = table{ports: p.opts.Ports, served: p.served}
		if err := p.readTable(&t, listenOnly); err != nil {
			return p.explainSockets(err)
		}
		if p.serves(&t) {
			return p.readSockets(s, true)
		}
	}
	p.last.fill(s)
	s.Listen, s.Sockets[capture.Listen] = t.listen, t.sockets[capture.Listen]
	p.listening = slices.Clone(t.inodes)
	return nil
}

// netlink returns the socket that shows the node's network namespace, nil if
// there is none. Another namespace than ours takes CAP_SYS_ADMIN, which is not
// worth giving for this alone: it makes a full sample five times as cheap and
// shows the limits of the accept queues.
func (p *Prober) netlink() *diag {
	id, ok := namespaceID(p.netDir)
	if !ok {
		return nil
	}
	if id == p.own {
		return p.diag
	}
	if id != p.farID {
		p.leave()
		p.farID = id
		if onProcfs(p.opts.Root) {
			p.far, _ = openDiagIn(filepath.Dir(p.netDir), id) // refused: /proc does as well
		}
	}
	return p.far
}

// readTable reads the sockets in states, by netlink where it can. When the
// kernel refuses it once (seccomp; before 4.16 it does not know the filter)
// it will again; when it only has no time or memory, as under the attack that
// the samples are for, the next look is by netlink again. What is left of an
// answer would stand in its way, so that takes another socket.
func (p *Prober) readTable(t *table, states uint32) error {
	if d := p.netlink(); d != nil {
		err := d.read(t, states)
		if err == nil {
			return nil
		}
		p.drop(d, passing(err))
		*t = table{ports: t.ports, served: t.served, wantConns: t.wantConns, expect: t.expect}
	}
	return p.proc.readTCP(p.netDir, t)
}

// drop gives up a netlink socket, and opens another one if that may help.
func (p *Prober) drop(d *diag, again bool) {
	d.close()
	switch {
	case d != p.far:
		p.diag = nil
		if again {
			p.diag, _ = openDiag()
		}
	case again:
		p.far, p.farID = nil, 0 // opened anew when it is asked for
	default:
		p.far = nil
	}
}

// passing reports whether an error says that the kernel could not now, rather
// than that it will not.
func passing(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.ENOBUFS) ||
		errors.Is(err, syscall.ENOMEM) || errors.Is(err, errEndless)
}

// readProcess fills in what is known of the process itself.
func (p *Prober) readProcess(s *capture.Sample, now time.Time, full bool) error {
	var err, limitErr error
	s.FDs, err = p.countFDs(full)
	s.FDLimit, limitErr = p.proc.fdLimit(p.pid)
	p.proc.readOverflows(p.pid, s)
	if wait := p.nextAddrs.Sub(now); wait <= 0 || wait > maxWait {
		p.addrs, p.nextAddrs = p.proc.addrs(p.pid), now.Add(addrsEvery)
	}
	s.Addrs = p.addrs
	return p.explainProcess(cmp.Or(err, limitErr))
}

// countFDs counts the descriptors; where that takes reading them all, it does
// so with a full sample only.
func (p *Prober) countFDs(full bool) (int, error) {
	dir := p.proc.path(p.pid, "fd")
	if n, ok := sizeOfFDs(dir); ok {
		return n, nil
	}
	if full {
		p.lastFDs, p.fdsErr = countEntries(dir)
	}
	return p.lastFDs, p.fdsErr
}
