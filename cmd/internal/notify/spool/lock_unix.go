//go:build unix

package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Locked is a directory that no other process uses.
type Locked struct{ f *os.File }

// Lock makes dir, readable by its owner only, and keeps others out of it
// until Close. The kernel drops the lock when the process dies, however it
// dies.
func Lock(dir string) (*Locked, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by another stallwatch: give each its own spool", dir)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Locked{f}, nil
}

// Close lets others in. It does not rely on closing the file for that: a
// child that was forked at this moment holds a copy of it until its exec.
func (l *Locked) Close() error {
	return errors.Join(syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN), l.f.Close())
}
