package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// rule says whether a free rule holds for a call, and of each part of its
// condition whether that does and what it is about.
func (x *explainer) rule(r *rules.AlertRule, ev *httpreassembly.Event, v *rules.Verdict) (words string, clauses []string) {
	e := ev.Exchange
	f := rules.Facts{Verdict: v, Client: ev.Flow.Client.AddrPort(), Server: ev.Flow.Server.AddrPort(), Method: e.Method, Target: e.Target, UserAgent: e.UserAgent,
		BodyBytes: e.RequestBody, Status: e.Status, Wait: e.Wait(), ResponseBytes: e.ResponseBody}
	if e.ResponseStart == 0 {
		f.Wait = ev.At.Sub(e.RequestEnd)
	}
	switch r.On {
	case rules.OnNode:
		return "not asked: it is about the node, not about calls", nil
	case rules.OnExchange:
		if x.alone {
			return "not asked: it is about calls that ended", nil
		}
	case rules.OnPending:
		words = x.pending(r, &f)
		return words + ": " + rules.Escape([]byte(r.When), maxWhen), x.clauses(r)
	}
	words = "does not hold"
	if x.holds(r, &f) {
		words = "holds"
		if r.MoreThan > 0 {
			words += fmt.Sprintf(" and counts; fires at more than %d in %s by %s", r.MoreThan, r.Within, r.By)
		}
	}
	return words + ": " + rules.Escape([]byte(r.When), maxWhen), x.clauses(r)
}

// maxWhen bounds what is shown of a condition.
const maxWhen = 200

func (x *explainer) holds(r *rules.AlertRule, f *rules.Facts) bool {
	x.machine.Begin(r.On, f)
	holds, err := x.machine.Holds(r)
	return err == nil && holds
}

// clauses explains the condition by what the machine was asked last.
func (x *explainer) clauses(r *rules.AlertRule) (lines []string) {
	for _, c := range x.machine.Clauses(r) {
		word := "no "
		if c.Holds {
			word = "yes"
		}
		line := fmt.Sprintf("  %s  %s", word, c.Text)
		if len(c.Facts) > 0 {
			line += ": " + strings.Join(c.Facts, ", ")
		}
		lines = append(lines, line)
	}
	return lines
}

// pending asks a rule at the ages that matter, the last of them last.
func (x *explainer) pending(r *rules.AlertRule, f *rules.Facts) string {
	ages := []time.Duration{time.Second}
	for _, d := range []time.Duration{f.Verdict.Command.Warn, f.Verdict.Command.Critical} {
		if d > 0 {
			ages = append(ages, d)
		}
	}
	if !x.alone {
		ages = []time.Duration{f.Wait}
	}
	slices.Sort(ages)
	var parts []string
	for _, age := range slices.Compact(ages) {
		f.Age = age
		word := "not"
		if x.holds(r, f) {
			word = "holds"
		}
		parts = append(parts, fmt.Sprintf("%s at %s", word, age.Round(time.Millisecond)))
	}
	return strings.Join(parts, ", ") + " in flight"
}
