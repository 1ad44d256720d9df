package hours

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// tally of a kind of attack.
type tally struct {
	drawn, told, failed, late, missed, stalled, named, caught, open int
	early                                                           []float64
}

// TestAttacks: every attack that hurts is told, and before it hurts wherever
// that can be.
func TestAttacks(t *testing.T) {
	n := 4
	if *many > 0 {
		n = *many
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	seeds := make(chan uint64)
	sums := make(map[string]*tally)
	for range 2 {
		wg.Go(func() {
			for seed := range seeds {
				a, by := drawAttack(seed, *flavor)
				o := a.judge(by)
				mu.Lock()
				s := sums[a.kind]
				if s == nil {
					s = &tally{}
					sums[a.kind] = s
				}
				s.drawn++
				why := ""
				if o.told > 0 {
					s.told++
				}
				if o.failed > 0 {
					s.failed++
					s.early = append(s.early, o.early)
					switch {
					case o.told == 0:
						s.missed++
						why = "missed"
					case o.told > o.failed+second: // who waits 10 s is as patient as CallStalled.CriticalFloor
						s.late++
						why = fmt.Sprintf("late by %s", o.told-o.failed)
					}
				}
				if o.stalled && a.command != "" {
					s.stalled++
					if o.named {
						s.named++
					} else {
						why += " not named"
					}
					if o.caught {
						s.caught++
					} else {
						why += " not caught"
					}
				}
				if len(o.open) > 0 {
					s.open++
					why += " still open: " + strings.Join(o.open, ", ")
				}
				if most, who := a.flaps(); most > maxChanges {
					why += fmt.Sprintf(" %d changes of %s", most, who)
				}
				if why != "" && *quiet {
					t.Fail()
				} else if why != "" {
					t.Errorf("seed %d: %s %.0f-%.0f: %s; told %.0f by %s, failed %.0f (%s)\n\t%s\n\t%s", seed, a.kind, a.from.Seconds(), a.to.Seconds(), why, o.told.Seconds(), o.by, o.failed.Seconds(),
						&a.truth, strings.Join(a.drawn, "; "), a.firings())
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
	for _, k := range attacks {
		s := sums[k.name]
		if s == nil {
			continue
		}
		delete(sums, k.name)
		slices.Sort(s.early)
		median, least := 0.0, 0.0
		if len(s.early) > 0 {
			median, least = s.early[len(s.early)/2], s.early[0]
		}
		t.Logf("%-22s %d drawn, %d told; %d hurt, of those %d late, %d missed, share of the time left: median %.2f, least %.2f; command named %d, client %d of %d; %d open at the end",
			k.name, s.drawn, s.told, s.failed, s.late, s.missed, median, least, s.named, s.caught, s.stalled, s.open)
	}
}

func (w *world) firings() string {
	var b strings.Builder
	for _, a := range w.alerts {
		if b.Len() > 1500 {
			break
		}
		fmt.Fprintf(&b, " %s:%s/%d/%d", stamp(a.At), a.Name, a.State, a.Severity)
	}
	return b.String()
}
