package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is for what happens at once on an idle machine: only a test that
// fails waits so long.
const patience = time.Minute

// lockedBuffer is a buffer that one goroutine writes while another reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// await polls until word was written: the program under test is a real
// process on real sockets, and this is how it says that it is ready.
func (l *lockedBuffer) await(t *testing.T, word string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(l.String(), word); {
		if time.Now().After(deadline) {
			t.Fatalf("%q did not come: %s", word, l.String())
		}
		<-time.After(5 * time.Millisecond)
	}
}

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx, cancel
}

func awaitPort(t *testing.T, addr string, errs *bytes.Buffer) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v: %s", err, errs.String())
		}
		<-time.After(20 * time.Millisecond)
	}
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}
