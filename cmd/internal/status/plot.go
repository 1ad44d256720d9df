package status

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// The size of a plot in its own units; a page stretches it.
const (
	plotWidth  = 240
	plotHeight = 48
)

// plotSlices is how many slices a plot is wide at least: the first seconds of
// a run are no wall of colour.
const plotSlices = 60

// Plot is a curve as SVG paths.
type Plot struct {
	Name  string
	Now   string // the newest value
	Top   string // what the upper edge is
	Span  string // what the left edge is
	Line  string // path data
	Area  string
	Words string // the same, for those who do not see it
}

// series is one column of a history.
type series struct {
	values []*float64 // nil: not observed
	width  int        // slices
	span   time.Duration
}

// document makes columns and plots of a history.
func (h *history) document() *History {
	points := h.list(nil)
	column := func(of func(*point) (float64, bool)) []*float64 {
		list := make([]*float64, len(points))
		for i := range points {
			if v, ok := of(&points[i]); ok && points[i].seen {
				list[i] = &v
			}
		}
		return list
	}
	d := &History{Step: h.step.Seconds(),
		InFlight:  column(func(p *point) (float64, bool) { return float64(p.inFlight), true }),
		Oldest:    column(func(p *point) (float64, bool) { return p.oldest.Round(time.Millisecond).Seconds(), true }),
		CloseWait: column(func(p *point) (float64, bool) { return float64(p.closeWait), true }),
		FDs:       column(func(p *point) (float64, bool) { return float64(p.fds), p.fds >= 0 }),
		CallsPerSecond: column(func(p *point) (float64, bool) {
			if p.during <= 0 {
				return 0, false
			}
			rate, _ := strconv.ParseFloat(strconv.FormatFloat(float64(p.calls)/p.during.Seconds(), 'g', 4, 64), 64)
			return rate, true
		})}
	if !slices.ContainsFunc(d.FDs, func(v *float64) bool { return v != nil }) {
		d.FDs = nil
	}
	width := max(len(points), plotSlices)
	span := time.Duration(width) * h.step
	plot := func(name string, list []*float64, top float64, say func(float64) string) {
		if len(list) > 0 {
			d.plots = append(d.plots, series{list, width, span}.plot(name, top, say))
		}
	}
	plot("In flight", d.InFlight, 0, digits)
	plot("Oldest", d.Oldest, 0, seconds)
	plot("CLOSE_WAIT", d.CloseWait, 0, digits)
	plot("Descriptors", d.FDs, float64(h.limit), digits)
	plot("Calls/s", d.CallsPerSecond, 0, digits)
	return d
}

// plot draws s up to its peak, or up to top if that is known.
func (s series) plot(name string, top float64, say func(float64) string) Plot {
	peak := 0.0
	for _, v := range s.values {
		if v != nil {
			peak = max(peak, *v)
		}
	}
	p := Plot{Name: name, Now: "–", Span: edge(s.span)}
	if v := s.values[len(s.values)-1]; v != nil {
		p.Now = say(*v)
	}
	p.Top = "peak " + say(peak)
	p.Words = name + ": now " + p.Now + ", " + p.Top + ", within the last " + p.Span
	if top >= peak && top > 0 {
		p.Top = "limit " + say(top)
		p.Words += " of " + say(top)
		peak = top
	}
	p.Line, p.Area = s.paths(max(peak, 1))
	return p
}

// edge says how far a plot reaches back; what spans more than an hour is
// called an hour.
func edge(d time.Duration) string {
	if d >= time.Hour {
		return "hour"
	}
	if d < 2*time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return fmt.Sprintf("%d min", int(d.Minutes()))
}

// paths returns the line through the values and the area below it, with a gap
// where nothing was observed. The newest value is at the right edge.
func (s series) paths(top float64) (line, area string) {
	var l, a []byte
	begun, x := false, 0.0
	for i, v := range s.values {
		if v == nil {
			a = shut(a, begun, x)
			begun = false
			continue
		}
		x = plotWidth * float64(s.width-len(s.values)+i+1) / float64(s.width)
		y := plotHeight - (plotHeight-2)*min(max(*v/top, 0), 1) - 1
		if !begun {
			from := max(x-plotWidth/float64(s.width), 0) // a value holds for its slice
			l = move(l, 'M', from, y)
			a = move(move(a, 'M', from, plotHeight), 'L', from, y)
			begun = true
		}
		l, a = move(l, 'L', x, y), move(a, 'L', x, y)
	}
	return string(l), string(shut(a, begun, x))
}

func shut(a []byte, begun bool, x float64) []byte {
	if !begun {
		return a
	}
	return append(move(a, 'L', x, plotHeight), 'Z')
}

func move(dst []byte, command byte, x, y float64) []byte {
	dst = append(dst, command)
	dst = strconv.AppendFloat(dst, x, 'f', 1, 64)
	dst = append(dst, ' ')
	return strconv.AppendFloat(dst, y, 'f', 1, 64)
}
