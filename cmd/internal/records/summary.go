package records

import (
	"slices"
	"strconv"

	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
)

// maxTallied bounds the incidents and alert names that are told apart: names
// are a closed set and incidents are bounded by the engine, so that only a
// mistake of ours comes near. Beyond it changes are counted as incidents.
const maxTallied = 4096

// tally counts what the summary tells.
type tally struct {
	exchanges, pending, refused, unanswered uint64
	alerts                                  map[string]uint64
	firing                                  map[incident]struct{}
}

type incident struct{ name, subject string }

func newTally() tally {
	return tally{alerts: map[string]uint64{}, firing: map[incident]struct{}{}}
}

// alert counts an incident once, however often it escalates.
func (t *tally) alert(a *detect.Alert) {
	id := incident{a.Name, a.Subject}
	if a.State == detect.Resolved {
		delete(t.firing, id)
		return
	}
	if _, old := t.firing[id]; old {
		return
	}
	if len(t.firing) < maxTallied {
		t.firing[id] = struct{}{}
	}
	if _, ok := t.alerts[a.Name]; ok || len(t.alerts) < maxTallied {
		t.alerts[a.Name]++
	}
}

// level writes that less or more is read than before.
func (r *Writer) level(ev *httpreassembly.Event) {
	l := &r.l
	l.begin("level")
	l.time("time", ev.At)
	l.text("level", text.Level(httpreassembly.Level(ev.Bytes)))
	r.done()
}

// Summary writes the last line of a run.
func (r *Writer) Summary(st pipeline.Stats) {
	if r.holes.n > 0 {
		r.writeHoles()
	}
	l, t := &r.l, &r.tally
	l.begin("summary")
	l.uint("packets", st.Packets)
	l.uint("bytes", st.Bytes)
	l.uint("connections", st.Tracker.Opened)
	l.uint("exchanges", t.exchanges)
	l.uint("pending", t.pending)
	l.open("oddities", '{')
	for o, n := range st.Tracker.Oddities {
		if n > 0 {
			l.uint(text.Oddity(httpreassembly.Oddity(o)), n)
		}
	}
	l.shut('}')
	l.open("alerts", '{')
	names := make([]string, 0, len(t.alerts))
	for name := range t.alerts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		l.comma()
		l.b = appendString(l.b, name)
		l.b = append(l.b, ':')
		l.b = strconv.AppendUint(l.b, t.alerts[name], 10)
	}
	l.shut('}')
	l.time("first", st.First)
	l.time("last", st.Last)
	l.between("duration_seconds", st.First, st.Last)
	l.open("skipped", '{')
	for _, s := range st.Decode.Skipped {
		l.comma()
		l.b = appendString(l.b, s.Reason)
		l.b = append(l.b, ':')
		l.b = strconv.AppendUint(l.b, s.N, 10)
	}
	l.shut('}')
	if len(st.Broken) > 0 {
		l.open("broken", '[')
		for _, b := range st.Broken {
			l.comma()
			l.b = appendString(l.b, b)
		}
		l.shut(']')
	}
	l.uint("refused", t.refused)
	l.uint("syn_unanswered", t.unanswered)
	l.uint("lost_packets", st.Loss.Kernel+st.Loss.Interface)
	l.uint("gap_bytes", st.Tracker.GapBytes)
	if r.unwritten > 0 {
		l.uint("records_dropped", r.unwritten)
	}
	if reached := st.Bounds(); len(reached) > 0 {
		l.open("bounds", '{')
		for _, b := range reached {
			l.uint(b.Name, b.N)
		}
		l.shut('}')
	}
	r.done()
}
