//go:build !unix

package spool

import (
	"os"
	"path/filepath"
)

// Lock makes dir. Without flock two processes are not kept apart.
func Lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
}
