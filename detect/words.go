package detect

import (
	"fmt"
	"strconv"
	"time"
)

// inSeconds prints a duration for people: tenths below ten seconds, whole
// seconds above, minutes from ten on.
func inSeconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	case d < 10*time.Minute:
		return strconv.FormatInt(int64(d/time.Second), 10) + " s"
	}
	return strconv.FormatInt(int64(d/time.Minute), 10) + " min"
}

// amount prints a value with its unit.
func amount(x float64, unit string) string {
	switch unit {
	case "seconds":
		return inSeconds(time.Duration(x * float64(time.Second)))
	case "ratio":
		return percent(x)
	}
	return strconv.FormatFloat(x, 'f', 0, 64) + " " + unit
}

func percent(x float64) string { return strconv.FormatFloat(100*x, 'f', 1, 64) + " %" }

// plural counts things: "1 call", "3 calls".
func plural(n int, thing string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", thing)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
