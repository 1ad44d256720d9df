package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stallwatch/cmd/internal/demo"
)

// asProgram makes the test binary the program: see TestMain.
const asProgram = "STALLWATCH_PROGRAM=1"

// nobody is a user with no rights, and no share in the node's.
var nobody = syscall.Credential{Uid: 65534, Gid: 65534}

// copyProgram puts the program where every user may run it, with the file
// capabilities given, as setcap would.
func copyProgram(t *testing.T, fileCaps ...uintptr) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "stallwatch-rights-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "stallwatch")
	for _, err := range []error{os.Chmod(dir, 0o755), os.WriteFile(path, b, 0o755), os.Chmod(path, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(fileCaps) > 0 {
		if err := unix.Setxattr(path, "security.capability", vfsCap(fileCaps), 0); err != nil {
			t.Fatalf("set file capabilities: %v", err)
		}
	}
	return path
}

// vfsCap is struct vfs_cap_data of linux/capability.h, revision 2, with the
// flag that makes the permitted effective (setcap's "=ep").
func vfsCap(caps []uintptr) []byte {
	const revision2, effective = 0x02000000, 1
	var set uint64
	for _, c := range caps {
		set |= 1 << c
	}
	le := binary.LittleEndian
	b := le.AppendUint32(nil, revision2|effective)
	b = le.AppendUint32(b, uint32(set))
	b = le.AppendUint32(b, 0) // inheritable
	b = le.AppendUint32(b, uint32(set>>32))
	return le.AppendUint32(b, 0)
}

// TestMissingRights runs the program as a user without rights against a node
// of another: what is missing is named once, with the line that gives it, and
// the rest works.
func TestMissingRights(t *testing.T) {
	mayCapture(t)
	if os.Getuid() != 0 {
		t.Skip("only root can start a program as another user")
	}
	node := startNode(t, demo.NodeOptions{FDLimit: 200})
	raw := []uintptr{unix.CAP_NET_RAW}
	all := []uintptr{unix.CAP_NET_RAW, unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH}
	hidden := []string{"not allowed to see which process listens", "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH", "AmbientCapabilities=CAP_NET_RAW CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"}
	for _, tt := range []struct {
		name    string
		ambient []uintptr // as the unit's AmbientCapabilities gives them
		file    []uintptr // as setcap gives them
		args    []string
		code    int
		once    []string // each exactly once
		never   string
	}{
		{name: "none", code: 1, once: []string{"not allowed to capture", "setcap cap_net_raw=ep", "AmbientCapabilities=CAP_NET_RAW"}, never: "watching"},
		{name: "capture only, by the unit", ambient: raw, once: hidden, never: "in sight"},
		{name: "capture only, by setcap", file: raw, once: hidden, never: "in sight"},
		{name: "capture only, pid given", ambient: raw, args: []string{"--pid", fmt.Sprint(node.PID)}, once: []string{`"fd_limit":200`}, never: "cannot be seen"},
		{name: "all, by the unit", ambient: all, once: []string{"in sight", `"fd_limit":200`}, never: "cannot be seen"},
		{name: "all, by setcap", file: all, once: []string{"in sight", `"fd_limit":200`}, never: "cannot be seen"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := copyProgram(t, tt.file...)
			cmd := exec.Command(path, append([]string{"watch", "-i", "lo", "-p", fmt.Sprint(node.Addr.Port()), "--metrics", "", "--log-format", "json", "--duration", "3500ms"}, tt.args...)...)
			cmd.Env = []string{asProgram, "PATH=" + os.Getenv("PATH")}
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &nobody, AmbientCaps: tt.ambient}
			var errs bytes.Buffer
			cmd.Stderr = &errs
			err := cmd.Run()
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d (%v), want %d", code, err, tt.code)
			}
			for _, word := range tt.once {
				if n := strings.Count(errs.String(), word); n != 1 {
					t.Errorf("%q is said %d times, want once", word, n)
				}
			}
			if strings.Contains(errs.String(), tt.never) {
				t.Errorf("%q is said", tt.never)
			}
			if t.Failed() {
				t.Log(errs.String())
			}
		})
	}
}
