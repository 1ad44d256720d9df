package live

import (
	"fmt"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// DropPrivileges gives up every capability of every thread, and with
// no_new_privs the way to gain new ones. Open handles go on; new ones cannot
// be opened. The system calls go through libcap's psx, which reaches the
// threads of a cgo program too (syscall.AllThreadsSyscall refuses there).
func DropPrivileges() error {
	if _, err := cap.Prctlw(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := cap.NewSet().SetProc(); err != nil {
		return fmt.Errorf("drop the capabilities: %w", err)
	}
	return nil
}
