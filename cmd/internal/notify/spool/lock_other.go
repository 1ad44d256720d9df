//go:build !unix

package spool

import (
	"os"
	"path/filepath"
)

// Locked is a directory for one process.
type Locked struct{ *os.File }

// Lock makes dir. Without flock two processes are not kept apart.
func Lock(dir string) (*Locked, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	return &Locked{f}, err
}
