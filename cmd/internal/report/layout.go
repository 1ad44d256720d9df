package report

import (
	"fmt"
	"strconv"
	"time"

	"stallwatch/cmd/internal/text"
)

// width is what a report keeps to, in columns: it is mailed and pasted.
const width = 100

// duration prints d with three digits and the unit that fits.
func duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + duration(-max(d, -1<<62))
	case d < time.Millisecond:
		return strconv.FormatInt(int64(d/time.Microsecond), 10) + "us"
	case d < time.Second:
		return digits(float64(d)/1e6) + "ms"
	case d < 10*time.Minute:
		return digits(d.Seconds()) + "s"
	case d < 100*time.Hour:
		return digits(d.Minutes()) + "min"
	case d < 1000*time.Hour:
		return digits(d.Hours()) + "h"
	}
	return digits(d.Hours()/24) + "d"
}

// digits prints three digits where the fraction matters.
func digits(x float64) string {
	switch {
	case x < 10:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case x < 100:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 0, 64)
}

func (b bound) String() string {
	switch {
	case b.none:
		return "-"
	case b.atLeast:
		return ">" + duration(b.d)
	}
	return duration(b.d)
}

// size prints bytes in units of 1000, as networks count.
func size(n uint64) string {
	x, unit, exact := text.Bytes(n)
	if exact {
		return strconv.FormatUint(n, 10) + " B"
	}
	return digits(x) + " " + unit
}

func plural(n uint64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return text.Number(n) + " " + thing + "s"
}

// page gathers lines of printable ASCII, none wider than width.
type page struct{ b []byte }

// line prints one line, cut at width. What is not printable is escaped: the
// words come from rule files and file names too.
func (p *page) line(format string, args ...any) {
	p.b = text.AppendClean(p.b, trimRight(fmt.Sprintf(format, args...)), width)
	p.b = append(p.b, '\n')
}

func trimRight(s string) string {
	for len(s) > 0 && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	return s
}

// wrap prints words in lines of at most width columns, each after indent;
// first replaces the indent of the first line and is as wide.
func (p *page) wrap(first, indent, words string) {
	line, empty := first, true
	for len(words) > 0 {
		n := 0
		for n < len(words) && words[n] != ' ' {
			n++
		}
		word := words[:n]
		words = words[min(n+1, len(words)):]
		if !empty && len(line)+1+len(word) > width {
			p.line("%s", line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	p.line("%s", line)
}
