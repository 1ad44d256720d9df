package live

import (
	"time"

	"golang.org/x/sys/unix"
)

// slept returns how long the machine was suspended since it was booted: by
// that CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC (clock_gettime(2)).
func slept() time.Duration {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - mono.Nano())
}
