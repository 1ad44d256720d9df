package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"stallwatch/rules"
)

var sweepWord = regexp.MustCompile(`^([A-Za-z_]{1,64})\.([a-z_]{1,64})=([A-Za-z0-9_.,]{1,400})$`)

// maxSweep bounds the values of a sweep: each replays every capture.
const maxSweep = 50

// sweep replays the captures for each value of a setting and prints a table.
func (b *backtest) sweep(std stdio) error {
	m := sweepWord.FindStringSubmatch(b.f.sweep)
	if m == nil {
		return usage(errSweep)
	}
	values := strings.Split(m[3], ",")
	if len(values) > maxSweep {
		return usage(fmt.Errorf("--sweep: more than %d values", maxSweep))
	}
	var sets []*rules.Set
	for _, v := range values { // all first: a slip in the last must not cost the time of the others
		source := rules.Source{Name: "--sweep", Data: fmt.Appendf(nil, "detectors: {%s: {%s: %s}}\n", m[1], m[2], v)}
		set, err := b.f.load(std, source)
		if err != nil {
			return err
		}
		sets = append(sets, set)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\talerts/day without failure\tfailures warned of\tlead min\tlead median\tlead max\n", m[1]+"."+m[2])
	for i, set := range sets {
		sum := sweepSum{}
		for _, name := range b.captures {
			r, err := b.run(set, name)
			if err != nil {
				return err
			}
			sum.add(r)
		}
		fmt.Fprintf(w, "%s\t%s\n", values[i], sum.words())
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// sweepSum is what all captures together say of one value.
type sweepSum struct {
	quiet    time.Duration // of captures without failure
	alerts   int           // in them
	failures int
	leads    []time.Duration // of failures that were warned of in time
}

func (s *sweepSum) add(r *backtestRun) {
	if r.failed == 0 {
		s.quiet += r.span()
		s.alerts += r.incidents()
		return
	}
	s.failures++
	if lead, ok := r.lead(); ok && lead > 0 {
		s.leads = append(s.leads, lead)
	}
}

func (s *sweepSum) words() string {
	perDay := "-"
	if s.quiet > 0 {
		perDay = fmt.Sprintf("%.1f", float64(s.alerts)/s.quiet.Hours()*24)
	}
	warned := fmt.Sprintf("%d of %d", len(s.leads), s.failures)
	if len(s.leads) == 0 {
		return perDay + "\t" + warned + "\t-\t-\t-"
	}
	slices.Sort(s.leads)
	word := func(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", perDay, warned, word(s.leads[0]), word(s.leads[len(s.leads)/2]), word(s.leads[len(s.leads)-1]))
}
