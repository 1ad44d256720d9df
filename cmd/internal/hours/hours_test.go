package hours

import (
	"flag"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	many   = flag.Int("hours", 0, "draw so many hours (0: what a plain test run takes)")
	from   = flag.Uint64("seed", 1, "seed of the first hour")
	flavor = flag.String("flavour", "", "kind of node (\"\": any)")
	quiet  = flag.Bool("quiet", false, "tell sums only")
)

// maxChanges bounds how often an incident's state may change in an hour. Each
// that comes back holds twice as long, up to ten minutes: ten that fire and are
// resolved.
const maxChanges = 22

// TestHonestHours: nothing that is honest raises an alarm.
func TestHonestHours(t *testing.T) {
	n := 6
	if *many > 0 {
		n = *many
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	seeds := make(chan uint64)
	sums, told := map[string]int{}, map[string]int{}
	var lines []string
	total, hoursOf, frames, notes := 0, 0.0, 0, 0
	for range 2 {
		wg.Go(func() {
			for seed := range seeds {
				h := honestHour(seed, *flavor)
				alarms, infos := h.falseAlarms()
				mu.Lock()
				hoursOf += h.length.Hours()
				frames += h.frames
				notes += len(infos)
				total += len(alarms)
				for _, a := range h.alerts {
					if a.State == 1 && !a.Repeat {
						if why := h.truth.explains(&a); why != "" {
							told[a.Name+" of "+why]++
						}
					}
				}
				for _, a := range infos {
					sums["note "+a.Name]++
				}
				for _, a := range alarms {
					sums[a.Name]++
				}
				most, who := h.flaps()
				if most > maxChanges {
					sums["flaps "+strings.Fields(who)[0]]++
				}
				if len(alarms) > 0 && !*quiet || most > maxChanges {
					var b strings.Builder
					fmt.Fprintf(&b, "seed %d: %s\n\ttruth:%s\n", seed, strings.Join(h.drawn, "; "), &h.truth)
					names := map[string]bool{}
					for _, a := range alarms {
						if names[a.Name] {
							continue
						}
						names[a.Name] = true
						fmt.Fprintf(&b, "\t%s %d %s on %s: %s\n\t\t%s\n", stamp(a.At), a.Severity, a.Name, a.Subject, a.Summary, a.Why)
						for _, c := range a.Evidence.Calls[:min(3, len(a.Evidence.Calls))] {
							fmt.Fprintf(&b, "\t\t\t%s %s age %s %s\n", c.Command, c.Client, c.Age, c.Verdict)
						}
					}
					if most > maxChanges {
						fmt.Fprintf(&b, "\tflaps: %d changes of %s\n", most, who)
					}
					lines = append(lines, b.String())
				}
				mu.Unlock()
			}
		})
	}
	for i := range n {
		seeds <- *from + uint64(i)
	}
	close(seeds)
	wg.Wait()
	sort.Strings(lines)
	if total > 0 {
		t.Fail()
	}
	for _, l := range lines {
		t.Error(l)
	}
	t.Logf("%d draws, %.1f node-hours, %d frames: %d false alarms, %.2f in 1000 node-hours; %d notes; %v; true: %v", n, hoursOf, frames, total, 1000*float64(total)/hoursOf, notes, sums, told)
}

// hour is one drawn hour: the world, its node and what was drawn.
type hour struct {
	*world
	n      *node
	length time.Duration
	drawn  []string
	most   float64 // calls a second of one kind of clients
}

func (h *hour) note(format string, a ...any) { h.drawn = append(h.drawn, fmt.Sprintf(format, a...)) }
