package kernellab

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// row is a corner case: what a client does, what Linux does then, and by that
// what the tracker must say.
type row struct {
	name   string
	kernel string // what the kernel does, in words
	server ServerOptions
	play   func(*Play)
}

// rows are all of them.
func rows() []row {
	return slices.Concat(closingRows, resetRows, streamRows, handshakeRows, openingRows, decoyRows)
}

// TestKernel plays every row on the kernel of this machine.
func TestKernel(t *testing.T) {
	needNamespaces(t)
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			p := NewPlay(t, r.server)
			defer func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}()
			r.play(p)
			if len(p.Checks) == 0 {
				t.Error("a row without a checkpoint proves nothing")
			}
			if *update && !t.Failed() {
				if err := Save(fixtures, r.name, p.Frames(), p.Checks); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// needNamespaces skips where network namespaces may not be made; in CI that is
// a failure.
func needNamespaces(t *testing.T) {
	t.Helper()
	ns, err := newNamespace()
	if err == nil {
		err = ns.close()
	}
	if errors.Is(err, unix.EPERM) && os.Getenv("CI") == "" {
		t.Skipf("needs the right to make network namespaces: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}
