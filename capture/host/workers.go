package host

import "slices"

// A port may be served by several processes: a master and its workers share a
// socket, workers with SO_REUSEPORT have one each. Each has a limit of its
// own, and the one that is nearest to it is the first to turn clients away:
// it is the one that a sample speaks of. Where several ports are watched they
// may be of different services, and the process that was found is kept.

// worker is one of the processes that listen.
type worker struct {
	pid     int
	started uint64
}

// maxWorkers bounds those that are looked at.
const maxWorkers = 64

// nearer is by how much of its limit another process must be nearer to it to
// take the place of the one told of before, so that they do not take turns.
const nearer = 0.05

// note remembers a process that listens.
func (p *Prober) note(pid int) {
	if len(p.opts.Ports) != 1 || len(p.workers) >= maxWorkers {
		return
	}
	if started, ok := p.proc.alive(pid); ok {
		p.workers = append(p.workers, worker{pid, started})
	}
}

// nearest makes the process that is nearest to its limit the one to tell of.
// Those that have ended are forgotten.
func (p *Prober) nearest() {
	if len(p.workers) < 2 {
		return
	}
	p.workers = slices.DeleteFunc(p.workers, func(w worker) bool {
		started, ok := p.proc.alive(w.pid)
		return !ok || started != w.started
	})
	best, most := p.pid, p.use(p.pid)+nearer
	for _, w := range p.workers {
		if use := p.use(w.pid); use > most {
			best, most, p.started = w.pid, use, w.started
		}
	}
	if best != p.pid {
		p.pid, p.netDir = best, p.proc.path(best, "net")
	}
}

// use is what a process has open of its limit; 0 if that cannot be known.
func (p *Prober) use(pid int) float64 {
	limit, err := p.proc.fdLimit(pid)
	fds, err2 := p.proc.countFDs(pid)
	if err != nil || err2 != nil || limit <= 0 {
		return 0
	}
	return float64(fds) / float64(limit)
}
