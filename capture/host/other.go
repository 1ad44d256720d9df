//go:build !linux

package host

import (
	"errors"
	"time"
)

const (
	listenOnly = uint32(1) << 10
	allStates  = uint32(1)<<13 - 2
)

type diag struct{}

func openDiag() (*diag, error)                 { return nil, errors.ErrUnsupported }
func openDiagIn(string, uint64) (*diag, error) { return nil, errors.ErrUnsupported }
func (*diag) close()                           {}
func (*diag) read(*table, uint32) error        { return errors.ErrUnsupported }
func threadCPU() time.Duration                 { return 0 }
func onProcfs(string) bool                     { return false }
func namespaceID(string) (id uint64, ok bool)  { return 0, false }
