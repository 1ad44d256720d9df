package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cost is what a run took, as wait4 tells it.
type cost struct {
	wall, cpu float64 // seconds; cpu is user and system time
	rss       float64 // MiB at most, of the process alone
}

// measure runs a program with its output thrown away. Linux counts what this
// process has resident for the child's maximum too, from before its exec: so
// this process must stay small, and the traffic is made by another (see
// options.file).
func measure(dir string, args []string) (cost, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	begin := time.Now()
	err := cmd.Run()
	wall := time.Since(begin).Seconds()
	if err != nil {
		text := strings.TrimSpace(complaint.String())
		return cost{}, fmt.Errorf("%s: %w: %.300s", strings.Join(args, " "), err, text)
	}
	u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	cpu := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return cost{wall, cpu, float64(u.Maxrss) / 1024}, nil
}

// digest runs a program and returns the length and a hash of what it wrote.
func digest(args []string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	h := sha256.New()
	n, err := io.Copy(h, out)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes, SHA-256 %x", n, h.Sum(nil)[:8]), cmd.Wait()
}

// program is one of those that run in turn.
type program struct {
	name  string
	args  []string
	costs []cost
	gone  error
}

// runInTurn runs the programs, one after the other, for so many turns. The
// first turn counts for nothing: it brings the file into memory.
func runInTurn(o *options, programs []*program) error {
	scratch, err := os.MkdirTemp("", "stallwatch-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	for turn := range o.turns + 1 {
		for _, p := range programs {
			if p.gone != nil || turn > 0 && p != programs[0] && len(p.costs) > 0 && p.costs[len(p.costs)-1].wall > o.seconds {
				continue
			}
			fmt.Fprintf(os.Stderr, "bench: turn %d of %d, %s\n", turn, o.turns, p.name)
			c, err := measure(scratch, p.args)
			if err != nil {
				p.gone = err
			} else if turn > 0 || c.wall > o.seconds {
				p.costs = append(p.costs, c)
			}
		}
	}
	return nil
}

// spread prints the smallest, the median and the largest of v.
func spread(v []float64, format string) string {
	v = slices.Clone(v)
	slices.Sort(v)
	return fmt.Sprintf(format+"  ["+format+" "+format+"]", v[len(v)/2], v[0], v[len(v)-1])
}

func each(cs []cost, f func(cost) float64) (v []float64) {
	for _, c := range cs {
		v = append(v, f(c))
	}
	return v
}

// ratios pairs the runs of a with those of b in the same turn.
func ratios(a, b []cost, f func(cost) float64) (v []float64) {
	for i := range min(len(a), len(b)) {
		v = append(v, f(a[i])/f(b[i]))
	}
	return v
}

func wall(c cost) float64 { return c.wall }
func cpu(c cost) float64  { return c.cpu }
func rss(c cost) float64  { return c.rss }

// compare prints the programs, as ratios to the first.
func compare(programs []*program) {
	base := programs[0].costs
	fmt.Printf("  %-22s %-8s %-26s %-26s %s\n", "", "wall s", "wall ratio [min max]", "cpu ratio [min max]", "peak MiB")
	for _, p := range programs {
		if p.gone != nil || len(p.costs) == 0 || len(base) == 0 {
			fmt.Printf("  %-22s %v\n", p.name, p.gone)
			continue
		}
		fmt.Printf("  %-22s %-8.2f %-26s %-26s %.0f\n", p.name, median(each(p.costs, wall)),
			spread(ratios(p.costs, base, wall), "%.2f"), spread(ratios(p.costs, base, cpu), "%.2f"), slices.Max(each(p.costs, rss)))
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
