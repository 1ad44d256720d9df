package httpreassembly

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"stallwatch/capture"
)

// clientEnd returns the n-th of many clients.
func clientEnd(n int) capture.Endpoint {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 10<<24|uint32(n>>4))
	return capture.Endpoint4(a, uint16(20000+n&15))
}

// wire feeds a Tracker hand-made segments.
type wire struct {
	tr     *Tracker
	now    capture.Time
	events []Event
}

func (w *wire) send(src, dst capture.Endpoint, f capture.Flags, q, ack uint32, b string) []Event {
	w.now = w.now.Add(time.Microsecond)
	s := capture.Segment{At: w.now, Src: src, Dst: dst, Seq: q, Ack: ack, Flags: f, Window: 65535, Payload: []byte(b)}
	w.tr.Recycle()
	w.events = w.tr.Segment(w.events[:0], &s)
	return w.events
}

const request = "POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 4\r\n\r\nabcd"

func (w *wire) open(n int) {
	c := clientEnd(n)
	w.send(c, serverEnd, capture.SYN, 99, 0, "")
	w.send(serverEnd, c, capture.SYN|capture.ACK, 499, 100, "")
	w.send(c, serverEnd, capture.ACK, 100, 500, "")
}

func (w *wire) call(n int) {
	w.open(n)
	w.send(clientEnd(n), serverEnd, capture.ACK, 100, 500, request)
	w.send(serverEnd, clientEnd(n), capture.ACK, 500, 100+uint32(len(request)), "")
}

func TestSynFloodIsBounded(t *testing.T) {
	w := wire{tr: New(Options{MaxConns: 1000}), now: epoch}
	w.call(1 << 20)
	w.open(1<<20 + 1)
	for n := range 100_000 {
		w.send(clientEnd(n), serverEnd, capture.SYN, uint32(n), 0, "")
	}
	verify(t, w.tr)
	st := w.tr.Stats()
	if st.EvictedHalfOpen != 100_002-1000 || st.EvictedIdle != 0 || st.InFlight != 1 {
		t.Errorf("evicted %d half-open and %d idle, %d calls in flight; want 99002, 0, 1", st.EvictedHalfOpen, st.EvictedIdle, st.InFlight)
	}
	if got := len(w.tr.table.slab.blocks) * slabBlock; got > 1024 {
		t.Errorf("room for %d connections was made, want at most 1024", got)
	}
}

// TestStalledAreNotEvicted: idle connections give way, those with a call in
// flight never do; a newcomer is then not followed, and counted.
func TestStalledAreNotEvicted(t *testing.T) {
	w := wire{tr: New(Options{MaxConns: 10}), now: epoch}
	for n := range 8 {
		w.call(n)
	}
	w.open(8)
	w.open(9)
	w.call(10)
	w.call(11)
	if st := w.tr.Stats(); st.EvictedIdle != 2 || st.InFlight != 10 || st.Unadmitted != 0 {
		t.Fatalf("evicted %d idle, %d in flight, %d unadmitted; want 2, 10, 0", st.EvictedIdle, st.InFlight, st.Unadmitted)
	}
	w.call(12)
	if st := w.tr.Stats(); st.InFlight != 10 || st.Unadmitted == 0 {
		t.Errorf("%d in flight, %d unadmitted; want 10 and more than 0", st.InFlight, st.Unadmitted)
	}
	verify(t, w.tr)
	// An answer makes room again.
	w.send(serverEnd, clientEnd(3), capture.ACK, 500, 100+uint32(len(request)), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	w.open(13)
	if st := w.tr.Stats(); st.EvictedIdle != 3 {
		t.Errorf("evicted %d idle, want 3", st.EvictedIdle)
	}
	verify(t, w.tr)
}

// TestOneWayBeyondTheNumbers: where the client's packets are not captured,
// nothing of an answer is ever acknowledged. What lies 2 GiB behind must not
// count as ahead, or a packet out of order would be a gap of 2 GiB.
func TestOneWayBeyondTheNumbers(t *testing.T) {
	w := wire{tr: New(Options{}), now: epoch}
	w.call(0)
	at, left := uint32(500), int64(3)<<30
	s := capture.Segment{Src: serverEnd, Dst: clientEnd(0), Ack: 100 + uint32(len(request)), Flags: capture.ACK, Window: 65535}
	send := func(q uint32, b []byte) {
		w.now++
		s.At, s.Seq, s.Payload = w.now, q, b
		w.events = w.tr.Segment(w.events[:0], &s)
		w.tr.Recycle()
	}
	head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", left)
	send(at, head)
	at += uint32(len(head))
	block := make([]byte, 1<<20)
	for ; left > 1<<20; left -= 1 << 20 {
		send(at, block)
		at += 1 << 20
		if left == 1<<29 { // what is 2.5 GiB behind looks 1.5 GiB ahead
			send(at+100, block[:100])
			w.now = w.now.Add(reorderGrace)
		}
	}
	verify(t, w.tr)
	send(at, block)
	if st := w.tr.Stats(); st.Gaps > 0 || st.InFlight > 0 || len(w.events) != 1 || w.events[0].Kind != ExchangeDone {
		t.Errorf("%d gaps of %d bytes, %d in flight, events %v", st.Gaps, st.GapBytes, st.InFlight, w.events)
	}
}

// TestUnpinnedByADeadline: a call that was found pinned when room was needed,
// and is then lost in a hole, gives way to the next newcomer.
func TestUnpinnedByADeadline(t *testing.T) {
	w := wire{tr: New(Options{MaxConns: 2}), now: epoch}
	w.call(0)
	w.call(1)
	w.open(2) // nobody can go: both are looked at
	w.send(serverEnd, clientEnd(0), capture.ACK, 600, 100+uint32(len(request)), "an answer's end")
	w.tr.Advance(nil, w.now.Add(2*time.Second))
	w.now = w.now.Add(3 * time.Second)
	verify(t, w.tr)
	w.open(3)
	if st := w.tr.Stats(); st.InFlight != 1 || st.EvictedIdle != 1 || st.Conns[StateOpen] != 2 {
		t.Errorf("%d in flight, %d evicted, states %v; want 1, 1, 2 open", st.InFlight, st.EvictedIdle, st.Conns)
	}
}

func TestOutOfOrderFloodIsBounded(t *testing.T) {
	w := wire{tr: New(Options{MaxBuffered: 1 << 20, MaxConnBuffered: 64 << 10}), now: epoch}
	const clients = 64
	for n := range clients {
		w.open(n)
	}
	for i := range 20_000 {
		n := i % clients
		w.send(clientEnd(n), serverEnd, capture.ACK, 100+uint32(2*i/clients+1)*10, 500, "flood")
		if w.tr.stats.Buffered > 1<<20 {
			t.Fatalf("segment %d: %d bytes buffered of %d", i, w.tr.stats.Buffered, 1<<20)
		}
	}
	verify(t, w.tr)
	if w.tr.Stats().BufferDropped == 0 {
		t.Error("nothing was dropped: the bound was not reached")
	}
	w.tr.Finish(nil, w.now)
	w.tr.Recycle()
	verify(t, w.tr)
	if st := w.tr.Stats(); st.Buffered != 0 || w.tr.count != 0 {
		t.Errorf("%d bytes and %d connections after Finish", st.Buffered, w.tr.count)
	}
}

func TestTombsAreBounded(t *testing.T) {
	var ts tombs
	const most = 1000
	for n := range 3 * most {
		f := capture.Flow{Client: clientEnd(n), Server: serverEnd}
		ts.bury(uint32(n)%7, &f, epoch+capture.Time(n), most)
	}
	if ts.n != most || ts.index.n != most {
		t.Errorf("%d tombs, %d in the index; want %d", ts.n, ts.index.n, most)
	}
	for range most {
		ts.sweep(epoch.Add(time.Hour), time.Minute)
	}
	if ts.n != 0 || ts.index.n != 0 {
		t.Errorf("%d tombs, %d in the index after their time", ts.n, ts.index.n)
	}
}

func TestShardIsSymmetric(t *testing.T) {
	var hits [8]int
	for n := range 8000 {
		a := capture.Segment{Src: clientEnd(n), Dst: serverEnd}
		b := capture.Segment{Src: serverEnd, Dst: clientEnd(n)}
		if Shard(&a, 8) != Shard(&b, 8) {
			t.Fatalf("%v: shards %d and %d", a.Src, Shard(&a, 8), Shard(&b, 8))
		}
		hits[Shard(&a, 8)]++
	}
	for i, n := range hits {
		if n < 800 || n > 1200 {
			t.Errorf("shard %d has %d of 8000 connections", i, n)
		}
	}
}

// exchangeOnce plays one call and its answer on an open connection.
func (w *wire) exchangeOnce(b []byte, at *[2]uint32, answer []byte) {
	c := clientEnd(0)
	s := capture.Segment{Src: c, Dst: serverEnd, Seq: at[0], Ack: at[1], Flags: capture.ACK, Window: 65535, Payload: b}
	for i := range 4 {
		w.now = w.now.Add(time.Microsecond)
		s.At = w.now
		switch i {
		case 1:
			at[0] += uint32(len(b))
			s.Src, s.Dst, s.Seq, s.Ack, s.Payload = serverEnd, c, at[1], at[0], nil
		case 2:
			s.Payload = answer
		case 3:
			at[1] += uint32(len(answer))
			s.Src, s.Dst, s.Seq, s.Ack, s.Payload = c, serverEnd, at[0], at[1], nil
		}
		w.events = w.tr.Segment(w.events[:0], &s)
		w.tr.Recycle()
	}
}

func TestSegmentDoesNotAllocate(t *testing.T) {
	w := wire{tr: New(Options{}), now: epoch}
	w.open(0)
	at := [2]uint32{100, 500}
	req, answer := []byte(request), []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	for range 10 {
		w.exchangeOnce(req, &at, answer)
	}
	if n := testing.AllocsPerRun(1000, func() { w.exchangeOnce(req, &at, answer) }); n != 0 {
		t.Errorf("%v allocations an exchange of 4 segments", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	b.ReportAllocs()
	w := wire{tr: New(Options{}), now: epoch}
	w.open(0)
	at := [2]uint32{100, 500}
	req, answer := []byte(request), []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	for b.Loop() {
		w.exchangeOnce(req, &at, answer)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4, "ns/segment")
}

// BenchmarkBareACK is the TCP half alone, over more connections than fit in a
// cache.
func BenchmarkBareACK(b *testing.B) {
	for _, conns := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			b.ReportAllocs()
			w := wire{tr: New(Options{}), now: epoch}
			for n := range conns {
				w.open(n)
			}
			s := capture.Segment{Dst: serverEnd, Seq: 100, Ack: 500, Flags: capture.ACK, Window: 65535}
			n := 0
			for b.Loop() {
				w.now++
				s.At, s.Src = w.now, clientEnd(n)
				w.tr.Segment(nil, &s)
				if n += 7919; n >= conns {
					n %= conns
				}
			}
		})
	}
}

// idleConns opens n connections and plays a call and its answer on each.
func (w *wire) idleConns(n int) {
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for i := range n {
		w.call(i)
		w.send(serverEnd, clientEnd(i), capture.ACK, 500, 100+uint32(len(request)), answer)
	}
	w.tr.Recycle()
}

// BenchmarkIdleConnections tells what an idle connection costs that has had
// a call. The promise is 600 bytes.
func BenchmarkIdleConnections(b *testing.B) {
	const n = 200_000
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		w := wire{tr: New(Options{}), now: epoch}
		w.idleConns(n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/conn")
		runtime.KeepAlive(w.tr)
	}
}

func TestIdleConnectionsAreSmall(t *testing.T) {
	const n, most = 20_000, 360 // bytes; the flow table may have just doubled
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := wire{tr: New(Options{}), now: epoch}
	w.idleConns(n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n; got > most {
		t.Errorf("%d bytes an idle connection (conn is %d), want at most %d", got, unsafe.Sizeof(conn{}), most)
	}
	if st := w.tr.Stats(); st.Buffered != 0 || st.Conns[StateOpen] != n {
		t.Errorf("%d bytes buffered, %d open; want 0, %d", st.Buffered, st.Conns[StateOpen], n)
	}
	runtime.KeepAlive(w.tr)
}

// TestHangingCallsAreSmall: a call that hangs holds its connection and its
// exchange, and nothing of the HTTP half.
func TestHangingCallsAreSmall(t *testing.T) {
	const n, most = 20_000, 540 // bytes; the flow table may have just doubled
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := wire{tr: New(Options{}), now: epoch}
	for i := range n {
		w.call(i)
	}
	w.tr.Recycle()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n; got > most {
		t.Errorf("%d bytes a call that hangs (conn is %d, call %d), want at most %d", got, unsafe.Sizeof(conn{}), unsafe.Sizeof(call{}), most)
	}
	if made := len(w.tr.lent.blocks) * messagesBlock; made > 10*messagesBlock {
		t.Errorf("%d HTTP halves were made", made)
	}
	if st := w.tr.Stats(); st.Buffered > 2*n || st.InFlight != n { // the first heads of each slot are not shared
		t.Errorf("%d bytes buffered, %d in flight; want next to none, %d", st.Buffered, st.InFlight, n)
	}
	for i := range n {
		w.send(serverEnd, clientEnd(i), capture.ACK, 500, 100+uint32(len(request)), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
	if st := w.tr.Stats(); st.InFlight != 0 || st.Responses != n {
		t.Errorf("after their answers %d in flight, %d answers; want 0, %d", st.InFlight, st.Responses, n)
	}
	runtime.KeepAlive(w.tr)
}

// TestSpentBytes: contents count from RequestSeen until they are taken away.
func TestSpentBytes(t *testing.T) {
	const size = 1000
	w := wire{tr: New(Options{}), now: epoch}
	for i := range 3 {
		w.open(i)
	}
	w.tr.Recycle()
	for i := range 3 {
		w.tr.Segment(nil, &capture.Segment{At: w.now.Add(1), Src: clientEnd(i), Dst: serverEnd, Seq: 100, Ack: 500, Flags: capture.ACK, Window: 65535,
			Payload: fmt.Appendf(nil, "POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))})
		if got, least := w.tr.SpentBytes(), (i+1)*size; got < least || got > 2*least {
			t.Errorf("%d bytes spent after %d requests of %d", got, i+1, size)
		}
	}
	var s Spent
	w.tr.Take(&s)
	if got := w.tr.SpentBytes(); got != 0 {
		t.Errorf("%d bytes spent when all were taken", got)
	}
	w.tr.Reuse(&s)
	w.tr.Take(&s)
	if got := w.tr.SpentBytes(); got != 0 || s.calls.bytes != 0 {
		t.Errorf("%d bytes spent, %d taken, of nothing", got, s.calls.bytes)
	}
}

// slotOwners hold Event.Slot to its promise: a connection has one, and what
// is told of it ends before another connection has it.
type slotOwners struct {
	owner map[int32]ConnID
	of    map[ConnID]int32
}

func (o *slotOwners) check(t testing.TB, events []Event) {
	t.Helper()
	for i := range events {
		e := &events[i]
		if e.Slot < 0 {
			continue
		}
		if _, known := o.of[e.Conn]; !known {
			o.of[e.Conn], o.owner[e.Slot] = e.Slot, e.Conn
		}
		if o.of[e.Conn] != e.Slot || o.owner[e.Slot] != e.Conn {
			t.Fatalf("event %d of %d on slot %d: it has slot %d, which %d has", e.Kind, e.Conn, e.Slot, o.of[e.Conn], o.owner[e.Slot])
		}
	}
}

func FuzzTracker(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x12\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x10\x01\x00\x00\x20\x00\x11\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x92\x00\x00\x00\x00\x00\x10\x05\x05\x00\x40\x01\x91\x00\x40\x00\x40\x00\x14\x00\x00\x00\x00\x00\x90\x40\x40\x40\x40\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), 3000)] // verify reads everything after each segment
		tr := New(Options{MaxConns: 4, MaxBuffered: 8 << 10, MaxConnBuffered: 4 << 10})
		now := epoch
		base := [2]uint32{0xfffffff0, 0xffffff00}
		words := [2]string{request + request, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No\r\n\r\n"}
		var events []Event
		slots := slotOwners{map[int32]ConnID{}, map[ConnID]int32{}}
		for ; len(data) >= 6; data = data[6:] {
			dir := data[0] >> 7
			now = now.Add(1 + time.Duration(data[5])*time.Duration(data[5])*time.Duration(data[5])*time.Microsecond)
			text := words[dir]
			from := min(int(data[1]), len(text))
			to := min(from+int(data[4]), len(text))
			s := capture.Segment{At: now, Src: clientEnd(int(data[5] & 7)), Dst: serverEnd, Seq: base[dir] + uint32(data[1]), Ack: base[1-dir] + uint32(data[2]),
				Flags: capture.Flags(data[0] & 0x3f), Window: uint16(data[3]) << 8, Urgent: uint16(data[3]), Payload: []byte(text[from:to]), Missing: int(data[3] >> 6)}
			if dir == 1 {
				s.Src, s.Dst = s.Dst, s.Src
			}
			events = tr.Segment(events[:0], &s)
			slots.check(t, events)
			for i := range events {
				if events[i].At > now {
					t.Fatalf("event at %d, it is %d", events[i].At, now)
				}
			}
			tr.Recycle()
			verify(t, tr)
		}
		slots.check(t, tr.Finish(nil, now+1))
		tr.Recycle()
		verify(t, tr)
		if st := tr.Stats(); st.Buffered != 0 || tr.count != 0 || st.Opened != st.Closed {
			t.Fatalf("after Finish: %d bytes, %d connections, %d opened, %d closed", st.Buffered, tr.count, st.Opened, st.Closed)
		}
	})
}
