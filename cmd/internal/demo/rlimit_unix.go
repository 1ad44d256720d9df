//go:build linux || darwin

package demo

import (
	"fmt"
	"syscall"
)

// limitDescriptors lowers both limits of this process. Go raises the soft
// limit to the hard one when a program starts (os/rlimit.go), so the hard one
// must come down as well, and after that start.
func limitDescriptors(n uint64) error {
	l := syscall.Rlimit{Cur: n, Max: n}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("limit descriptors to %d: %w", n, err)
	}
	return nil
}
