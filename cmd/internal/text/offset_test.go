package text

import (
	"math"
	"testing"
	"time"
)

func TestOffset(t *testing.T) {
	for _, row := range []struct {
		d    time.Duration
		want string
	}{
		{0, "+0.0s"},
		{-1500 * time.Millisecond, "-1.5s"},
		{65300 * time.Millisecond, "+65.3s"},
		{time.Hour - time.Second, "+3599.0s"},
		{time.Hour, "+1h00m00s"},
		{99*time.Hour + 59*time.Minute + 59*time.Second, "+99h59m59s"},
		{100 * time.Hour, "+4d04h"},
		{278372233300 * time.Millisecond, "+3221d21h"},
		{-278372233300 * time.Millisecond, "-3221d21h"},
		{math.MaxInt64, "+106751d23h"},
		{math.MinInt64, "-53375d23h"}, // kept from overflowing
	} {
		if got := Offset(row.d); got != row.want {
			t.Errorf("Offset(%d): got %q, want %q", row.d, got, row.want)
		}
	}
}
