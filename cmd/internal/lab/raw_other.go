//go:build !linux

package lab

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

var errLinux = errors.New("the lab plays on Linux only")

func sendSYNs(context.Context, int, int, func(int) (from, to netip.AddrPort)) error { return errLinux }

func freeze(context.Context, int, time.Duration) error { return errLinux }
