package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"stallwatch/capture"
)

// Every is the usual time between two truths. Instants are multiples of it in Unix
// time, so every fifth stands at a whole second.
const Every = 200 * time.Millisecond

// Truth is what the kernel says about a port and its process at one instant:
// a line of NAME.truth.jsonl. Sockets are the server's side only; those in the
// accept queue are counted in their state and again in Unaccepted. A line is
// also a sample as a capture's side file has it, with Port and Took besides.
type Truth struct {
	Type                string         `json:"type"` // "sample"
	Time                time.Time      `json:"time"` // when reading began
	Port                uint16         `json:"port"`
	PID                 int            `json:"pid"`
	FDs                 int            `json:"fds,omitempty"` // left out once the process is gone, as the limit
	FDLimit             int            `json:"fd_limit,omitempty"`
	Sockets             map[string]int `json:"sockets"`    // by state, those that are not zero
	Unaccepted          int            `json:"unaccepted"` // established or half closed, without an inode
	UnacceptedCloseWait int            `json:"unaccepted_close_wait"`
	ListenQueue         int            `json:"listen_queue"`
	Took                float64        `json:"took_seconds"`     // the tables are not read in one instant
	Listen              []Listener     `json:"listen,omitempty"` // of a target with Table, as Conns
	Conns               []Conn         `json:"conns,omitempty"`
	Err                 string         `json:"err,omitempty"`
}

// Target is a process and a port to watch.
type Target struct {
	PID  int
	Port uint16
	// Successor, unless nil or zero, is the process that took the port over.
	Successor *atomic.Int64
	// Table has every fiftieth truth, the first one too, tell of each socket.
	Table bool
}

// pid is the process to ask at present.
func (t Target) pid() int {
	if t.Successor != nil {
		if pid := t.Successor.Load(); pid != 0 {
			return int(pid)
		}
	}
	return t.PID
}

// Record writes a truth of each target every so often until ctx is done. The
// tables are those of the process's network namespace; when the process is
// gone they are read through this one's, so that its port can still be seen.
// proc is the root of procfs.
func Record(ctx context.Context, proc string, targets []Target, every time.Duration, w io.Writer) error {
	out := json.NewEncoder(w)
	for i := 0; ; i++ {
		next := time.Now().Truncate(every).Add(every)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(next)):
		}
		for _, t := range targets {
			t.Table = t.Table && i%50 == 0
			truth, err := read(proc, t)
			if err != nil {
				return err
			}
			if err := out.Encode(truth); err != nil {
				return err
			}
		}
	}
}

// read takes one truth.
func read(proc string, t Target) (Truth, error) {
	began, pid := time.Now(), t.pid()
	tr := Truth{Type: "sample", Time: began.UTC(), Port: t.Port, PID: pid, Sockets: map[string]int{}}
	dir := filepath.Join(proc, strconv.Itoa(pid))
	// A process that dies between two of these reads is gone, not an error.
	tables := [][]byte{}
	for _, name := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(filepath.Join(dir, "net", name))
		if err != nil {
			b, err = os.ReadFile(filepath.Join(proc, "self", "net", name))
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return tr, err
		}
		tables = append(tables, b)
	}
	tr.Took = time.Since(began).Seconds()
	for _, table := range tables {
		if err := tr.count(table, t.Table); err != nil {
			return tr, err
		}
	}
	if fds, err := os.ReadDir(filepath.Join(dir, "fd")); err == nil {
		tr.FDs = len(fds)
	} else {
		tr.Err = fmt.Sprintf("process %d is gone", pid)
	}
	if limits, err := os.ReadFile(filepath.Join(dir, "limits")); err == nil {
		tr.FDLimit = softLimit(limits)
	}
	return tr, nil
}

// count adds the sockets of a table in the format of
// net/ipv4/tcp_ipv4.c:get_tcp4_sock. The columns shift with long numbers, so
// they are taken as fields.
func (tr *Truth) count(table []byte, each bool) error {
	lines := bufio.NewScanner(bytes.NewReader(table))
	lines.Scan() // the header
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			return fmt.Errorf("socket table line %q has %d fields", lines.Text(), len(f))
		}
		_, portHex, _ := strings.Cut(f[1], ":")
		port, err := strconv.ParseUint(portHex, 16, 16)
		if err != nil {
			return fmt.Errorf("socket table line %q: %w", lines.Text(), err)
		}
		if uint16(port) != tr.Port {
			continue
		}
		if err := tr.add(f[3], f[4], f[9]); err != nil {
			return fmt.Errorf("socket table line %q: %w", lines.Text(), err)
		}
		if each {
			if err := tr.tell(f[1], f[2], f[3], f[9]); err != nil {
				return fmt.Errorf("socket table line %q: %w", lines.Text(), err)
			}
		}
	}
	return lines.Err()
}

// add counts one socket; queues is tx_queue:rx_queue, and of a listening
// socket rx_queue is sk_ack_backlog.
func (tr *Truth) add(stateHex, queues, inode string) error {
	n, err := strconv.ParseUint(stateHex, 16, 8)
	if err != nil {
		return err
	}
	state := capture.State(n)
	tr.Sockets[state.String()]++
	switch {
	case state == capture.Listen:
		_, rx, _ := strings.Cut(queues, ":")
		q, err := strconv.ParseUint(rx, 16, 32)
		tr.ListenQueue += int(q)
		return err
	case inode != "0":
	case state == capture.CloseWait:
		tr.UnacceptedCloseWait++
		tr.Unaccepted++
	case state == capture.Established:
		tr.Unaccepted++
	}
	return nil
}

// softLimit finds the soft limit of open files in /proc/PID/limits; 0 if it
// is not there or unlimited.
func softLimit(limits []byte) int {
	for line := range strings.Lines(string(limits)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				if n, err := strconv.Atoi(f[0]); err == nil {
					return n
				}
			}
		}
	}
	return 0
}
