package httpreassembly

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"stallwatch/capture"
)

// body sends n bytes more of the content of connection k's only request.
func (w *wire) body(k int, at *uint32, n int) {
	w.send(clientEnd(k), serverEnd, capture.ACK, *at, 500, string(bytes.Repeat([]byte("x"), n)))
	*at += uint32(n)
}

// levelsOf runs a flood of contents that never end against a small budget,
// and then ends them, and returns the changes of level.
func levelsOf(t *testing.T, o Options) (levels []int64, tr *Tracker) {
	w := wire{tr: New(o), now: epoch}
	tell := func() {
		for _, e := range w.events {
			if e.Kind == LevelChanged {
				levels = append(levels, e.Bytes)
			}
		}
	}
	const head = "POST /a HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"
	const conns = 400
	var at [conns]uint32
	for k := range conns {
		w.open(k)
		w.send(clientEnd(k), serverEnd, capture.ACK, 100, 500, head)
		at[k] = 100 + uint32(len(head))
		tell()
		for range 8 {
			w.body(k, &at[k], 1000)
			tell()
		}
		// A head that never ends.
		w.open(1000 + k)
		q := uint32(100)
		for i := range 7 {
			b := "GET / HTTP/1.1\r\n"
			if i > 0 {
				b = "X: " + string(bytes.Repeat([]byte("y"), 1000)) + "\r\n"
			}
			w.send(clientEnd(1000+k), serverEnd, capture.ACK, q, 500, b)
			q += uint32(len(b))
			tell()
		}
		verify(t, w.tr)
	}
	for k := range conns {
		for _, n := range []int{k, 1000 + k} {
			w.send(clientEnd(n), serverEnd, capture.RST, at[k], 0, "")
			if n != k {
				ref := w.tr.lists[live].head
				for ref != 0 && w.tr.table.slab.at(ref).flow.Client != clientEnd(n) {
					ref = w.tr.table.slab.at(ref).next
				}
				if ref != 0 {
					c := w.tr.table.slab.at(ref)
					w.send(clientEnd(n), serverEnd, capture.RST, uint32(c.half[0].next), 0, "")
				}
			}
			tell()
		}
	}
	return levels, w.tr
}

// TestLevelsUnderPressure: the tracker gives up bodies first, then heads, then
// exchanges, each step counted and said, and comes back the same way.
func TestLevelsUnderPressure(t *testing.T) {
	levels, tr := levelsOf(t, Options{MaxBuffered: 256 << 10})
	st := tr.Stats()
	if !slices.Contains(levels, int64(LevelStates)) || levels[0] != int64(LevelCommands) || levels[len(levels)-1] != int64(LevelFull) {
		t.Errorf("levels %v, want up to 3 and back", levels)
	}
	if st.Level != LevelFull || st.Degraded[LevelStates] == 0 || st.Recovered == 0 || st.Buffered != 0 || st.BufferDropped == 0 {
		t.Errorf("at the end: level %d, entered %v, recovered %d, %d bytes, %d dropped", st.Level, st.Degraded, st.Recovered, st.Buffered, st.BufferDropped)
	}
	again, _ := levelsOf(t, Options{MaxBuffered: 256 << 10})
	if !slices.Equal(levels, again) {
		t.Errorf("two runs over the same input: %v and %v", levels, again)
	}
}

// TestLevelIsNotHeldDown: who fills the buffers and then keeps still does not
// blind the tracker to others.
func TestLevelIsNotHeldDown(t *testing.T) {
	w := wire{tr: New(Options{MaxBuffered: 256 << 10}), now: epoch}
	for k := range 600 {
		w.open(k)
		w.send(clientEnd(k), serverEnd, capture.ACK, 100, 500, "GET / HTTP/1.1\r\nX: "+string(bytes.Repeat([]byte("y"), 1400)))
	}
	if st := w.tr.Stats(); st.Degraded[LevelStates] == 0 {
		t.Fatalf("the flood proves nothing: levels entered %v", st.Degraded)
	}
	before := w.tr.Stats().InFlight
	for k := range 20 {
		w.call(1000 + k)
	}
	if got := w.tr.Stats().InFlight - before; got < 19 {
		t.Errorf("%d of 20 calls are followed behind the flood", got)
	}
	verify(t, w.tr)
}

// TestSqueezeUnpins: a call whose answer's head is given up waits for nothing
// any more, and its connection has a timer again.
func TestSqueezeUnpins(t *testing.T) {
	w := wire{tr: New(Options{MaxBuffered: 256 << 10, MaxConns: 400, Idle: time.Minute}), now: epoch}
	w.call(0)
	w.send(serverEnd, clientEnd(0), capture.ACK, 500, 100+uint32(len(request)), "HTTP/1.1 200 OK\r\nX: "+string(bytes.Repeat([]byte("y"), squeezedHead)))
	w.now = w.now.Add(2 * time.Minute) // its timer has come up, and was dropped
	for k := 1; w.tr.Stats().Level < LevelHeaders; k++ {
		w.open(k)
		w.send(clientEnd(k), serverEnd, capture.ACK, 100, 500, "GET / HTTP/1.1\r\nX: "+string(bytes.Repeat([]byte("y"), 1400)))
	}
	verify(t, w.tr)
	w.tr.Advance(nil, w.now.Add(2*time.Minute))
	if st := w.tr.Stats(); st.InFlight != 0 || w.tr.count != 0 {
		t.Errorf("%d in flight, %d connections after the idle time, want none", st.InFlight, w.tr.count)
	}
}

// TestLevelFollowsADeadline: buffers that a deadline gives back raise the level
// before the next segment is read, whether or not the clock ticked between.
func TestLevelFollowsADeadline(t *testing.T) {
	const body = 20_000 // more than what a lower level keeps
	for _, ticks := range []bool{false, true} {
		w := wire{tr: New(Options{MaxBuffered: 1 << 20, MaxConnBuffered: 1 << 20, MaxHead: 1 << 20}), now: epoch}
		for k := range 4 {
			w.open(k)
		}
		line := "X: " + string(bytes.Repeat([]byte("y"), 995)) + "\r\n"
		for k := 10; w.tr.Stats().Buffered < 370<<10; k++ { // heads that never end: 36 %
			w.open(k)
			for i, text := range []string{"GET / HTTP/1.1\r\n", line, line, line, line, line, line, line} {
				w.send(clientEnd(k), serverEnd, capture.ACK, 100+uint32(max(0, 16+(i-1)*len(line))*min(i, 1)), 500, text)
			}
		}
		for i := range uint32(18) { // beyond holes: the rest
			w.send(clientEnd(1+int(i%3)), serverEnd, capture.ACK, 200+i/3*10_000, 500, string(bytes.Repeat([]byte("y"), 10_000)))
		}
		if got := w.tr.Stats().Level; got != LevelCommands {
			t.Fatalf("level %v, want %v: %d bytes", got, LevelCommands, w.tr.Stats().Buffered)
		}
		for range 2 {
			if w.now = w.now.Add(time.Second); ticks {
				w.tr.Advance(nil, w.now)
			}
		}
		events := w.send(clientEnd(0), serverEnd, capture.ACK, 100, 500, fmt.Sprintf("POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", body, bytes.Repeat([]byte("z"), body)))
		i := slices.IndexFunc(events, func(e Event) bool { return e.Kind == RequestSeen })
		if i < 0 || len(events[i].Exchange.Body) != body {
			t.Errorf("ticks %t: the request came with less than its body, level %v with %d bytes buffered", ticks, w.tr.Stats().Level, w.tr.Stats().Buffered)
		}
	}
}

// TestLevelIsQuietWithRoom: an ordinary load never moves it.
func TestLevelIsQuietWithRoom(t *testing.T) {
	levels, tr := levelsOf(t, Options{})
	if st := tr.Stats(); len(levels) != 0 || st.Degraded != [NumLevels]uint64{} {
		t.Errorf("levels %v, entered %v; want none", levels, st.Degraded)
	}
}

// TestBodyParts: all of a content comes, in order, however it is cut, and
// nothing of it stays buffered.
func TestBodyParts(t *testing.T) {
	var content []byte
	for i := 0; len(content) < 5000; i++ {
		content = fmt.Appendf(content, "%d,", i)
	}
	for _, size := range []int{1, 7, 100, 1448, 6000} {
		w := wire{tr: New(Options{BodyPrefix: 1000, BodyParts: true}), now: epoch}
		w.open(0)
		msg := append(fmt.Appendf(nil, "POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n", len(content)), content...)
		var got []byte
		seen := 0
		for q := 0; q < len(msg); q += size {
			w.send(clientEnd(0), serverEnd, capture.ACK, 100+uint32(q), 500, string(msg[q:min(q+size, len(msg))]))
			for i := range w.events {
				switch e := &w.events[i]; e.Kind {
				case BodyPart:
					got = append(got, w.tr.Part(e)...)
				case RequestSeen:
					seen++
					if len(e.Exchange.Body) > 0 || e.Exchange.RequestBody != int64(len(content)) {
						t.Errorf("cut by %d: %d bytes of body with %d counted, want none and %d", size, len(e.Exchange.Body), e.Exchange.RequestBody, len(content))
					}
				}
			}
			if w.tr.stats.Buffered > 2048+256 {
				t.Fatalf("cut by %d: %d bytes buffered", size, w.tr.stats.Buffered)
			}
		}
		if seen != 1 || !bytes.Equal(got, content) {
			t.Errorf("cut by %d: %d requests, %d bytes in parts; want 1 and all of %d", size, seen, len(got), len(content))
		}
	}
}
