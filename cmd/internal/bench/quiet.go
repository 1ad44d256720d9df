package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// busyShare is how much of the machine other programs may take during a run
// that counts, and idleFor how long it must have been idle before one.
const (
	busyShare = 0.1
	idleFor   = 300 * time.Millisecond
	tick      = 10 * time.Millisecond // USER_HZ of /proc/stat, 100 on every Linux
)

// busyTime is the processor time that programs have taken on this machine
// since it started, or other machines from it. What the kernel does for
// packets (softirq) is not in it. ok is false where /proc does not tell.
func busyTime() (d time.Duration, ok bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(strings.TrimPrefix(string(line), "cpu"), "%d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal); err != nil {
		return 0, false
	}
	return time.Duration(user+nice+system+steal) * tick, true
}

// quiet judges runs by what else the machine did.
type quiet struct {
	patience        time.Duration // how long a run may wait for an idle machine, and be repeated
	runs, disturbed int
}

// wait returns when the machine is idle, or patience is over.
func (q *quiet) wait() {
	for limit := time.Now().Add(q.patience); time.Now().Before(limit); {
		before, ok := busyTime()
		if !ok {
			return
		}
		time.Sleep(idleFor)
		if after, _ := busyTime(); share(after-before, idleFor) <= busyShare {
			return
		}
	}
}

// run runs f when the machine is idle, and again when other programs disturbed
// it, until patience is over. f returns the processor time that it took itself.
func (q *quiet) run(f func() (own time.Duration, err error)) error {
	limit := time.Now().Add(q.patience)
	for {
		q.wait()
		begin := time.Now()
		before, ok := busyTime()
		own, err := f()
		if err != nil {
			return err
		}
		after, _ := busyTime()
		others := after - before - own
		if !ok || share(others, time.Since(begin)) <= busyShare {
			q.runs++
			return nil
		}
		if time.Now().After(limit) {
			q.runs++
			q.disturbed++
			return nil
		}
	}
}

func share(busy, span time.Duration) float64 {
	return busy.Seconds() / span.Seconds() / float64(runtime.NumCPU())
}

// tell says how many runs were disturbed.
func (q *quiet) tell() {
	if q.disturbed > 0 {
		fmt.Printf("  DISTURBED: other programs took more than %.0f %% of the machine in %d of %d runs\n", 100*busyShare, q.disturbed, q.runs)
	} else {
		fmt.Printf("  no run was disturbed: other programs took at most %.0f %% of the machine in all %d\n", 100*busyShare, q.runs)
	}
}
