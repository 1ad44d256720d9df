package host

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// explainProcess says what a failed look at the process means and the cure.
func (p *Prober) explainProcess(err error) error {
	switch {
	case err == nil:
		return nil
	case denied(err):
		return fmt.Errorf("not allowed to count the descriptors of process %d: give the capabilities CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, run as the node's user, or use Linux 6.2 or later, which needs neither", p.pid)
	case errors.Is(err, fs.ErrNotExist), !p.proc.exists(p.pid):
		return fmt.Errorf("process %d ended while it was looked at", p.pid)
	}
	return fmt.Errorf("look at process %d: %w", p.pid, err)
}

// explainSockets says the same of the socket table.
func (p *Prober) explainSockets(err error) error {
	switch {
	case denied(err):
		return fmt.Errorf("not allowed to read the socket table in %s: mount procfs without hidepid, or give the capability CAP_SYS_PTRACE", p.netDir)
	case p.pid != 0 && !p.proc.exists(p.pid):
		return fmt.Errorf("process %d ended while it was looked at", p.pid)
	}
	return fmt.Errorf("read the socket table: %w", err)
}

// firstLine gives the first of joined errors: one clear sentence, of which
// the others are mostly consequences.
func firstLine(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
