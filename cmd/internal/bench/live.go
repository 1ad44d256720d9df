package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"stallwatch/cmd/internal/synth"
)

// Of the comparison of captures.
const (
	liveSeconds = 2         // of sending, at a rate of which the traffic has enough
	livePackets = 2_000_000 // of the traffic
	readyWithin = 10 * time.Second
	drainWait   = 1200 * time.Millisecond // TPACKET_V3 hands a block over up to a second late
)

var (
	liveRings = []int{2, 64} // MiB
	liveRates = []int{50_000, 100_000, 200_000, 400_000, 600_000, 800_000, 1_000_000, 1_200_000}
)

// capturer is a program that captures on an interface.
type capturer struct {
	name  string
	args  func(iface string, ring int) []string
	ready string         // what it says when it captures
	count *regexp.Regexp // of the packets it captured
}

func (o *options) capturers() []capturer {
	return []capturer{
		{"stallwatch", func(iface string, ring int) []string {
			return []string{o.bin, "watch", "-i", iface, "-p", fmt.Sprint(synth.ServerPort), "--no-host", "--metrics", "", "--log-format", "json", "-B", fmt.Sprint(ring, "MiB")}
		}, "watching", regexp.MustCompile(`(?m)^(\d+) packets captured`)},
		{"dumpcap", func(iface string, ring int) []string {
			return []string{"dumpcap", "-q", "-i", iface, "-B", fmt.Sprint(ring), "-w", "/dev/null"}
		}, "Capturing on", regexp.MustCompile(`Packets received/dropped on interface '[^']*': (\d+)/`)},
	}
}

// live finds the rates at which captures lose nothing: the programs in turn,
// with the same ring, at each rate, on the interface o.iface. Its other end is
// in the network namespace o.from, where the sender runs.
func live(o *options) error {
	path, err := o.file(fmt.Sprint("small-", livePackets))
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	fmt.Printf("packets lost of those that reached the interface, median [least most] of %d turns of up to %d s\n", o.turns, liveSeconds)
	fmt.Printf("  %-9s %-10s %-10s", "ring MiB", "wanted/s", "sent/s")
	programs := o.capturers()
	q := quiet{patience: o.quiet}
	for _, c := range programs {
		fmt.Printf(" %-28s", c.name)
	}
	fmt.Println()
	for _, ring := range liveRings {
		free := make([]int, len(programs)) // highest rate without a loss in the median, and in every turn before
		lossy := make([]bool, len(programs))
		for _, rate := range liveRates {
			lost, sent, err := o.liveTurns(&q, programs, path, ring, rate)
			if err != nil {
				return err
			}
			fmt.Printf("  %-9d %-10d %-10.0f", ring, rate, median(sent))
			for i := range programs {
				fmt.Printf(" %-28s", spread(lost[i], "%.0f"))
				lossy[i] = lossy[i] || median(lost[i]) > 0
				if !lossy[i] {
					free[i] = int(median(sent))
				}
			}
			fmt.Println()
		}
		fmt.Printf("  %d MiB: without loss up to", ring)
		for i, c := range programs {
			fmt.Printf("  %s %d/s", c.name, free[i])
		}
		fmt.Println()
	}
	q.tell()
	fmt.Println()
	return nil
}

// liveTurns gives the losses of each program, and the rates that were sent.
func (o *options) liveTurns(q *quiet, programs []capturer, path string, ring, rate int) (lost [][]float64, sent []float64, err error) {
	lost = make([][]float64, len(programs))
	for turn := range o.turns {
		for i := range programs {
			k := (i + turn) % len(programs) // neither always runs first
			var n int
			var r float64
			err := q.run(func() (own time.Duration, err error) {
				n, r, own, err = o.liveRun(&programs[k], path, ring, rate)
				return own, err
			})
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", programs[k].name, err)
			}
			lost[k] = append(lost[k], float64(n))
			sent = append(sent, r)
		}
	}
	return lost, sent, nil
}

// liveRun captures once while the traffic is sent.
func (o *options) liveRun(c *capturer, path string, ring, rate int) (lost int, sent float64, own time.Duration, err error) {
	args := c.args(o.iface, ring)
	cmd := exec.Command(args[0], args[1:]...)
	said := &said{}
	cmd.Stdout, cmd.Stderr = io.Discard, said
	if err := cmd.Start(); err != nil {
		return 0, 0, 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer cmd.Process.Kill() // when an error comes in between; harmless when it has ended
	if err := said.await(c.ready, ended); err != nil {
		return 0, 0, 0, err
	}
	before, err := arrived(o.iface)
	if err != nil {
		return 0, 0, 0, err
	}
	packets := min(rate*liveSeconds, livePackets)
	self, err := os.Executable()
	if err != nil {
		return 0, 0, 0, err
	}
	sender := exec.Command("ip", "netns", "exec", o.from, self, "-send", o.peer, "-rate", fmt.Sprint(rate), "-packets", fmt.Sprint(packets), path)
	out, err := sender.Output()
	if err != nil {
		return 0, 0, 0, fmt.Errorf("sender: %w: %s", err, stderrOf(err))
	}
	var n int
	var seconds float64
	if _, err := fmt.Sscan(string(out), &n, &seconds); err != nil {
		return 0, 0, 0, fmt.Errorf("the sender says %q: %w", out, err)
	}
	time.Sleep(drainWait)
	after, err := arrived(o.iface)
	if err != nil {
		return 0, 0, 0, err
	}
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(readyWithin):
		return 0, 0, 0, errors.New("does not end")
	}
	m := c.count.FindStringSubmatch(said.String())
	if m == nil {
		return 0, 0, 0, fmt.Errorf("does not say how many packets it captured: %.500s", said.String())
	}
	captured, err := strconv.Atoi(m[1])
	if err != nil {
		return 0, 0, 0, err
	}
	own = took(cmd.ProcessState) + took(sender.ProcessState)
	return max(0, after-before-captured), float64(n) / seconds, own, nil
}

// took is the processor time of a process that has ended.
func took(p *os.ProcessState) time.Duration { return p.UserTime() + p.SystemTime() }

func stderrOf(err error) string {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(e.Stderr)
	}
	return ""
}

// arrived counts the packets that came out of the interface so far: what the
// kernel dropped on the way is nobody's loss.
func arrived(iface string) (int, error) {
	b, err := os.ReadFile("/sys/class/net/" + iface + "/statistics/rx_packets")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// said is what a program wrote so far.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *said) await(word string, ended chan error) error {
	for deadline := time.Now().Add(readyWithin); !strings.Contains(s.String(), word); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-ended:
			return fmt.Errorf("ended early: %v: %.500s", err, s.String())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("does not say %q: %.500s", word, s.String())
		}
	}
	return nil
}

// rates reads the flag -rates.
func rates(list string) (out []int, err error) {
	for field := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("-rates %q: want packets a second, as in 50000,100000", list)
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return out, nil
}
