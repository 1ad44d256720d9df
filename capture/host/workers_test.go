package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestNearestToItsLimit: of several processes that listen on the port the one
// that will be the first without a descriptor is told of, and no other takes
// its place for a few descriptors more.
func TestNearestToItsLimit(t *testing.T) {
	root := node(t)
	const link = "-> socket:[600]"
	add := func(pid, first, n int) {
		for fd := first; fd < first+n; fd++ {
			write(t, filepath.Join(root, fmt.Sprint(pid), "fd", fmt.Sprint(fd)), "-> /dev/null")
		}
	}
	limits := func(n int) string {
		return fmt.Sprintf("Max open files            %d                 %d                files\n", n, n)
	}
	for pid, limit := range map[int]int{4300: 100, 4301: 1000} {
		dir := filepath.Join(root, fmt.Sprint(pid))
		write(t, filepath.Join(dir, "stat"), fmt.Sprintf("%d (worker) S 1%s 77 0", pid, strings.Repeat(" 0", 17)))
		write(t, filepath.Join(dir, "comm"), "worker\n")
		write(t, filepath.Join(dir, "limits"), limits(limit))
		write(t, filepath.Join(dir, "fd/3"), link)
		for _, table := range []string{"tcp", "tcp6"} {
			write(t, filepath.Join(dir, "net", table), read(t, filepath.Join(root, "self/net", table)))
		}
	}
	add(4301, 4, 50) // the most descriptors, of a limit that is far
	p := prober(t, Options{Root: root})
	for i, step := range []struct {
		pid, first, n int
		want          int
	}{
		{4300, 4, 1, 4301},  // 2 of 100, 51 of 1000
		{4300, 5, 8, 4301},  // 10 of 100: not near enough to take its place
		{4300, 13, 3, 4300}, // 13 of 100
		{4301, 60, 100, 4300},
		{4301, 160, 100, 4301}, // 251 of 1000
	} {
		add(step.pid, step.first, step.n)
		s := p.Sample(t0.Add(time.Duration(i+1) * time.Hour))
		if s.PID != step.want || s.Processes != 3 || s.Err != "" {
			t.Errorf("step %d: process %d (%d of %d), %d processes, err %q; want %d of 3", i, s.PID, s.FDs, s.FDLimit, s.Processes, s.Err, step.want)
		}
	}
}
