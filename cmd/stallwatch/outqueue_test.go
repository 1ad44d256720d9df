package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"stallwatch/cmd/internal/records"
)

// moody is a disk that takes room bytes, or a reader that holds each write
// until gate is closed.
type moody struct {
	mu   sync.Mutex
	got  bytes.Buffer
	room int
	gate chan struct{}
}

func (m *moody) Write(b []byte) (int, error) {
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := min(len(b), m.room)
	m.got.Write(b[:n])
	m.room -= n
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (m *moody) free(room int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.room = room
}

// logLines are the messages of a log in JSON.
func logLines(t *testing.T, log string) (messages []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var m struct{ Level, Message string }
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		messages = append(messages, m.Level+": "+m.Message)
	}
	return messages
}

const line100 = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678\n"

// TestOutQueueOutlivesAFullDisk: what waits is written from the byte the
// disk became full at, the trouble is told once and its end once.
func TestOutQueueOutlivesAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		disk := &moody{room: 1050}
		q := newRecordQueue(disk, zerolog.New(&log))
		want := ""
		for range 30 {
			want += line100
			if _, err := q.Write([]byte(line100)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if st := q.stats(); !st.Failing || st.Failures < 15 || st.Dropped != 0 {
			t.Errorf("while the disk is full: %+v, want it failing, with a failure a second and nothing dropped", st)
		}
		disk.free(1 << 20)
		time.Sleep(2 * time.Second)
		if st := q.stats(); st.Failing || st.Waiting != 0 {
			t.Errorf("when there is room again: %+v, want nothing waiting", st)
		}
		if err := q.close(drain); err != nil {
			t.Errorf("nothing was lost, but close says: %v", err)
		}
		if got := disk.got.String(); got != want {
			t.Errorf("%d bytes were written, want %d, each once", len(got), len(want))
		}
		if told := logLines(t, log.String()); len(told) != 2 || !strings.HasPrefix(told[0], "error: records cannot be written") || told[1] != "info: records are written again" {
			t.Errorf("told %q, want the trouble once and its end once", told)
		}
	})
}

// TestOutQueueNeverWaits: a reader that has stopped costs records beyond
// the bound, which are refused at once.
func TestOutQueueNeverWaits(t *testing.T) {
	for _, tt := range []struct {
		name  string
		wakes bool
		want  string // of close
	}{
		{name: "the reader comes back", wakes: true, want: ""},
		{name: "the reader does not", want: "lines were lost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log lockedBuffer
				reader := &moody{room: 1 << 30, gate: make(chan struct{})}
				q := newRecordQueue(reader, zerolog.New(&log))
				begin := time.Now()
				taken := 0
				var err error
				for err == nil {
					if _, err = q.Write([]byte(line100)); err == nil {
						taken += len(line100)
					}
				}
				for range 1000 {
					if _, err := q.Write([]byte(line100)); !errors.Is(err, records.ErrFull) {
						t.Fatalf("a full queue says %v", err)
					}
				}
				if time.Since(begin) != 0 {
					t.Errorf("writing took %v, want no waiting", time.Since(begin))
				}
				if taken < recordsWait-len(line100) || taken > 2*recordsWait {
					t.Errorf("%d bytes were taken, want the bound of %d", taken, recordsWait)
				}
				if tt.wakes {
					close(reader.gate)
				}
				err = q.close(drain)
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("close says %v, want %q", err, tt.want)
				}
				if tt.wakes && reader.got.Len() != taken {
					t.Errorf("%d bytes came out, want %d", reader.got.Len(), taken)
				}
				if told := logLines(t, log.String()); !strings.HasPrefix(told[0], "error: records cannot be written") || len(told) > 2 {
					t.Errorf("told %q, want the trouble once", told)
				}
				if !tt.wakes {
					close(reader.gate)
					<-q.done
				}
			})
		})
	}
}

// TestOutQueueFlapping: a disk that is full every other second is told
// once a minute, not at each turn.
func TestOutQueueFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		disk := &moody{}
		q := newRecordQueue(disk, zerolog.New(&log))
		for i := range 150 { // five minutes
			disk.free((i % 2) << 20)
			q.Write([]byte(line100))
			time.Sleep(2 * time.Second)
		}
		disk.free(1 << 20)
		q.close(drain)
		if n := strings.Count(log.String(), "cannot be written"); n < 4 || n > 6 {
			t.Errorf("told %d times in five minutes, want once a minute:\n%s", n, log.String())
		}
	})
}
