package status

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/text"
)

// span says a duration with two units at most: what a person compares.
func span(d time.Duration) string {
	d = max(d, 0)
	s := int64(d / time.Second)
	switch {
	case d < time.Second && d >= time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Millisecond:
		return "0 s"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', 1, 64) + " s"
	case s < 100:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	case s < 48*3600:
		return fmt.Sprintf("%d h %02d min", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d days %d h", s/86400, s/3600%24)
}

func seconds(s float64) string { return span(time.Duration(min(s, 1e9) * float64(time.Second))) }

// runout says when the descriptors of a node run out, and between which that
// lies.
func runout(n *Node) string {
	eta, low := seconds(*n.ETA), seconds(*n.ETALow)
	switch {
	case n.ETAHigh == nil:
		return eta + " (" + low + " or more)"
	case seconds(*n.ETAHigh) == low:
		return eta
	}
	return eta + " (" + low + " to " + seconds(*n.ETAHigh) + ")"
}

// clock says an instant; the date only when it is not today's.
func clock(t, now Instant) string {
	at, today := capture.Time(t).Std(), capture.Time(now).Std()
	if at.YearDay() == today.YearDay() && at.Year() == today.Year() {
		return at.Format("15:04:05")
	}
	return at.Format("2006-01-02 15:04:05")
}

func plural(n int, thing string) string {
	switch {
	case n <= 0:
		return "no " + thing
	case n == 1:
		return "1 " + thing
	}
	return text.Number(uint64(n)) + " " + thing + "s"
}

// digits prints a rate or a gauge: a fraction where it matters.
func digits(x float64) string {
	if x < 10 && x != float64(int(x)) {
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return text.Number(uint64(max(x+0.5, 0)))
}

func size(n uint64) string {
	x, unit, exact := text.Bytes(n)
	if exact || x >= 100 {
		return strconv.FormatFloat(x, 'f', 0, 64) + " " + unit
	}
	return strconv.FormatFloat(x, 'f', 1, 64) + " " + unit
}

func ports(list []uint16) string {
	if len(list) == 0 {
		return "any port"
	}
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = strconv.Itoa(int(p))
	}
	if len(words) == 1 {
		return "port " + words[0]
	}
	return "ports " + strings.Join(words, ", ")
}

// sentence makes one of words: a capital where a letter begins, and a full
// stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	if c := s[0]; c >= 'a' && c <= 'z' {
		s = string(c-'a'+'A') + s[1:]
	}
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}
