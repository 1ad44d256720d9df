package text

import (
	"fmt"
	"time"
)

// Offset words how far from a recording's start something is, in ten columns:
// "+65.3s", "+1h05m09s", "+3221d21h". Captures years apart may be merged.
func Offset(d time.Duration) string {
	sign := "+"
	if d < 0 {
		sign, d = "-", -max(d, -1<<62)
	}
	switch s := int64(d / time.Second); {
	case d < time.Hour:
		return fmt.Sprintf("%s%.1fs", sign, d.Seconds())
	case d < 100*time.Hour:
		return fmt.Sprintf("%s%dh%02dm%02ds", sign, s/3600, s/60%60, s%60)
	default:
		return fmt.Sprintf("%s%dd%02dh", sign, s/86400, s/3600%24)
	}
}
