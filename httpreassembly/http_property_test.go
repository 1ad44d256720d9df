package httpreassembly

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"unsafe"

	"stallwatch/capture"
)

// TestMessagesAreSmall pins what an idle connection costs.
func TestMessagesAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(messages{}); n > 176 {
		t.Errorf("messages has %d bytes, want at most 176", n)
	}
	if n := unsafe.Sizeof(conn{}); n > 256 {
		t.Errorf("conn has %d bytes, want at most 256: a block of 256 is then whole pages", n)
	}
	if n := unsafe.Sizeof(call{}); n > 184 {
		t.Errorf("call has %d bytes, want at most 184", n)
	}
}

// ledger checks that every exchange has an orderly life.
type ledger struct {
	t     testing.TB
	alive map[*Exchange]Kind
	slots map[int32]bool
}

func newLedger(t testing.TB) *ledger {
	return &ledger{t, map[*Exchange]Kind{}, map[int32]bool{}}
}

func (l *ledger) check(events []Event) {
	for i := range events {
		e := &events[i]
		if ofSegments(e) {
			continue
		}
		if e.Kind == Odd && httpOddNames[e.Odd] == "" && tcpOddNames[e.Odd] == "" {
			l.t.Fatalf("oddity %d has no name", e.Odd)
		}
		if e.Exchange == nil {
			continue
		}
		last, ok := l.alive[e.Exchange]
		if ok == (e.Kind == RequestStarted) || last == e.Kind {
			l.t.Fatalf("%s of an exchange whose last event was %q", kindNames[e.Kind], kindNames[last])
		}
		if a := &noAnswer; a.Status != 0 || a.ResponseStart != 0 || a.ResponseBytes != 0 || a.ResponseTail != nil || a.ResponseEnd != 0 {
			l.t.Fatalf("after %s the empty answer of all says %+v", kindNames[e.Kind], noAnswer)
		}
		if x := e.Exchange; len(x.Body) > 16 || len(x.ResponseTail) > TailBytes || x.Lost < 0 || x.ResponseBody > x.ResponseBytes {
			l.t.Fatalf("impossible exchange: %s", httpLine(e))
		}
		switch e.Kind {
		case RequestStarted:
			if l.slots[e.Exchange.Slot] {
				l.t.Fatalf("slot %d is used twice", e.Exchange.Slot)
			}
			l.slots[e.Exchange.Slot] = true
		case ExchangeDone:
			delete(l.alive, e.Exchange)
			delete(l.slots, e.Exchange.Slot)
			continue
		}
		l.alive[e.Exchange] = e.Kind
	}
}

// FuzzMessages interleaves two directions, holes, FINs and resets. The first
// byte of each step says which, the second how long.
func FuzzMessages(f *testing.F) {
	step := func(op byte, b string) string { return string([]byte{op, byte(len(b))}) + b }
	f.Add([]byte(step(0, "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello") + step(1, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") + step(6, "") + step(7, "")))
	f.Add([]byte(step(0, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nT: 1\r\n\r\n") + step(3, "ab") + step(1, "HTTP/1.1 200 OK\r\n\r\n")))
	f.Add([]byte(step(0, "CONNECT a:1 HTTP/1.1\r\n\r\nxx") + step(1, "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 403 no\r\nContent-Length: 0\r\n\r\n") + step(0, "GET / HTTP/1.1\r\n\r\n") + step(8, "")))
	f.Add([]byte(step(0, "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\n\r\n") + step(4, "") + step(1, "HTTP/1.1 200 OK\r\n") + step(9, "")))
	f.Add([]byte(step(0, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c123456789012GET / HTTP/1.1\r\n\r\n") + step(2, "abc") + step(0, "GET / HTTP/1.1\r\n\r\n") + step(1, "HTTP/1.0 200 OK\r\n\r\nab")))
	f.Add([]byte(step(5, "") + step(1, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n") + step(0, "GET /a\r\n") + step(1, "x")))
	f.Fuzz(func(t *testing.T, in []byte) { fuzzMessages(t, in) })
}

func fuzzMessages(t testing.TB, in []byte) {
	p := newHTTPPlayer()
	p.sh.opts.MaxHead, p.sh.opts.BodyPrefix, p.sh.opts.MaxPipeline, p.sh.opts.MaxBuffered = 512, 16, 4, 8<<10
	l := newLedger(t)
	at := epoch
	for len(in) >= 2 {
		op, n := in[0]%10, min(int(in[1]), len(in)-2)
		b := append([]byte(nil), in[2:2+n]...)
		in = in[2+n:]
		at++
		dir := capture.Dir(op & 1)
		switch op / 2 {
		case 0:
			p.m.bytes(&p.sh, &p.id, dir, at, b)
		case 1:
			p.m.hole(&p.sh, &p.id, dir, at, int64(n))
		case 2:
			p.m.hole(&p.sh, &p.id, dir, at, -1)
		case 3:
			p.m.end(&p.sh, &p.id, dir, at, 0)
		case 4:
			p.m.reset(&p.sh, &p.id, Client+Side(dir), at)
		}
		if st := &p.sh.stats; st.InFlight != p.m.owed() || st.Buffered < 0 || st.Buffered > p.sh.opts.MaxBuffered || p.m.owed() > 4 {
			t.Fatalf("in flight %d, owed %d, buffered %d", st.InFlight, p.m.owed(), st.Buffered)
		}
		l.check(p.sh.out)
		p.sh.out = p.sh.out[:0]
		p.sh.pool.recycle()
	}
	p.m.abandon(&p.sh, &p.id, at+1, ByIdle, true)
	l.check(p.sh.out)
	p.sh.pool.recycle()
	free := 0
	for x := p.sh.pool.free; x != nil; x = x.next {
		free++
	}
	if st := &p.sh.stats; st.Buffered != 0 || st.InFlight != 0 || len(l.alive) != 0 || free != p.sh.pool.calls || p.m.busy() {
		t.Fatalf("after abandon: buffered %d, in flight %d, %d exchanges without an end, %d of %d free, busy %v",
			st.Buffered, st.InFlight, len(l.alive), free, p.sh.pool.calls, p.m.busy())
	}
}

// TestRandomMessages runs the fuzz target over mixtures of what messages are
// made of.
func TestRandomMessages(t *testing.T) {
	words := []string{"GET / HTTP/1.1\r\n", "POST /a HTTP/1.1\r\n", "HEAD / HTTP/1.0\r\n", "CONNECT a:1 HTTP/1.1\r\n", "GET /\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 101 x\r\n",
		"HTTP/1.1 100 x\r\n", "HTTP/1.0 304 x\r\n", "Content-Length: 5\r\n", "Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n", "Host: a\r\n", "\r\n", "\r\n", "hello",
		"5\r\nhello\r\n", "0\r\n\r\n", "\n", " x\r\n", "\x00", "PROXY UNKNOWN\r\n", "\x16\x03", "X-Forwarded-For: 1.2.3.4\r\n", strings.Repeat("x", 200)}
	r := rand.New(rand.NewSource(1))
	for range 20000 {
		var in []byte
		for range 1 + r.Intn(12) {
			op := byte(r.Intn(2))
			if r.Intn(6) == 0 {
				op = byte(r.Intn(10))
			}
			var b []byte
			for range r.Intn(6) {
				b = append(b, words[r.Intn(len(words))]...)
			}
			b = b[:min(len(b), 255)]
			in = append(append(in, op, byte(len(b))), b...)
		}
		fuzzMessages(t, in)
		if t.Failed() {
			t.Fatalf("input %q", in)
		}
	}
}

// TestHeadIsReadOnce feeds heads of n and 2n bytes byte by byte. headEnd is
// given new bytes only, so the work is linear but for growing the buffer,
// which must double: 2n bytes cost one growth more than n. With n = 2 MiB
// anything quadratic would not end within the test's time.
func TestHeadIsReadOnce(t *testing.T) {
	growths := func(n int) (k int) {
		p := newHTTPPlayer()
		p.sh.opts.MaxHead, p.sh.opts.MaxBuffered = 8<<20, 64<<20
		head := []byte("GET / HTTP/1.1\r\n")
		for len(head) < n-2 {
			head = append(head, "A: b\r\n"...)
		}
		head = append(head, "\r\n"...)
		size := 0
		for i := range head {
			p.m.bytes(&p.sh, &p.id, capture.ToServer, epoch, head[i:i+1])
			if c := cap(p.m.side[0].head); c > size {
				size = c
				k++
			}
		}
		if p.m.owed() != 1 {
			t.Fatalf("a head of %d bytes left %d requests owed, want 1", n, p.m.owed())
		}
		return k
	}
	if a, b := growths(2<<20), growths(4<<20); b != a+1 {
		t.Errorf("the buffer grew %d times for n bytes, %d times for 2n, want one more", a, b)
	}
}

// TestHeadWithoutRoom: a head that no budget is left for costs the exchange,
// not the bound.
func TestHeadWithoutRoom(t *testing.T) {
	for _, dir := range []string{"C", "S"} {
		p := newHTTPPlayer()
		p.sh.opts.MaxBuffered = 256
		lines := []string{`C> "GET /a HTTP/1.1\r\n\r\n"`, `S> "HTTP/1.1 200 OK\r\n"`, `S> 40 * "X-Long: and longer\r\n"`}
		if dir == "C" {
			lines = []string{`C> "GET / HTTP/1.1\r\n"`, `C> 40 * "X-Long: and longer\r\n"`}
		}
		for i, text := range lines {
			if err := p.line(i, text, inOne); err != nil {
				t.Fatal(err)
			}
		}
		if out := p.out.String(); !strings.Contains(out, "exchange_done #1 lost") || p.sh.stats.BufferDropped == 0 {
			t.Errorf("%s: dropped %d bytes; got %s, want exchange_done lost", dir, p.sh.stats.BufferDropped, out)
		}
	}
}

// TestBodyWithoutRoom: the content is counted all the same.
func TestBodyWithoutRoom(t *testing.T) {
	p := newHTTPPlayer()
	p.sh.opts.MaxBuffered = 256
	if err := p.line(1, `C> "POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"`, inOne); err != nil {
		t.Fatal(err)
	}
	halves := func(n int) int { return min(n, 500) } // at once it would need none
	if err := p.line(2, `C> 1000 * "x"`, halves); err != nil {
		t.Fatal(err)
	}
	if out := p.out.String(); !strings.Contains(out, "content=1000") || p.sh.stats.BufferDropped == 0 {
		t.Errorf("dropped %d; got %s", p.sh.stats.BufferDropped, out)
	}
}

// TestExchangesAreBounded: beyond MaxExchanges a request is not followed, and
// said so.
func TestExchangesAreBounded(t *testing.T) {
	p := newHTTPPlayer()
	p.sh.opts.MaxExchanges = 2
	p.sh.pool.alive = 2
	for i, text := range []string{`C> "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"`, `S> "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"`} {
		if err := p.line(i, text, inOne); err != nil {
			t.Fatal(err)
		}
	}
	if st := p.sh.stats; st.Untracked != 1 || st.UnpairedResponses != 1 || p.out.Len() > 0 {
		t.Errorf("untracked %d, unpaired %d, events %q; want 1, 1, none", st.Untracked, st.UnpairedResponses, p.out.String())
	}
}

// TestSlotsAreDense: what was recycled is used again before a new Slot is.
func TestSlotsAreDense(t *testing.T) {
	p := newHTTPPlayer()
	for i := range 100 {
		p.m.bytes(&p.sh, &p.id, capture.ToServer, epoch+capture.Time(i), smallPost)
		p.m.bytes(&p.sh, &p.id, capture.ToClient, epoch+capture.Time(i), smallAnswer)
		if slot := p.sh.out[0].Exchange.Slot; slot > 0 {
			t.Fatalf("call %d has slot %d, want 0", i, slot)
		}
		if x := p.sh.out[1].Exchange; i > 0 && !bytes.HasPrefix(x.Body, []byte(`{"command"`)) {
			t.Fatalf("body %q", x.Body)
		}
		p.sh.out = p.sh.out[:0]
		p.sh.pool.recycle()
	}
}

var (
	smallPost = []byte("POST / HTTP/1.1\r\nHost: node:14265\r\nUser-Agent: python-requests/2.31.0\r\nAccept: */*\r\n" +
		"X-IOTA-API-Version: 1\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n{\"command\":\"getNodeInfo\"}")
	smallAnswer = []byte("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nAccess-Control-Allow-Origin: *\r\nKeep-Alive: timeout=500, max=100\r\n" +
		"Content-Type: application/json\r\nContent-Length: 31\r\nDate: Thu, 25 Jan 2018 08:58:00 GMT\r\n\r\n{\"appName\":\"IRI\",\"duration\":12}")
	smallGet      = []byte("GET /api/v1/info HTTP/1.1\r\nHost: node:14265\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n")
	chunkedAnswer = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"10\r\n0123456789abcdef\r\n5\r\nhello\r\n0\r\n\r\n")
)

type turn struct {
	dir capture.Dir
	b   []byte
}

// hotPaths are the exchanges whose cost matters.
func hotPaths() map[string][]turn {
	segment := bytes.Repeat([]byte("x"), 1448)
	bulk := []turn{{capture.ToServer, smallGet}, {capture.ToClient, []byte("HTTP/1.1 200 OK\r\nContent-Length: 144800\r\n\r\n")}}
	for range 100 {
		bulk = append(bulk, turn{capture.ToClient, segment})
	}
	return map[string][]turn{
		"post":       {{capture.ToServer, smallPost}, {capture.ToClient, smallAnswer}},
		"get":        {{capture.ToServer, smallGet}, {capture.ToClient, smallAnswer}},
		"chunked":    {{capture.ToServer, smallGet}, {capture.ToClient, chunkedAnswer}},
		"split_post": {{capture.ToServer, smallPost[:50]}, {capture.ToServer, smallPost[50:150]}, {capture.ToServer, smallPost[150:]}, {capture.ToClient, smallAnswer[:30]}, {capture.ToClient, smallAnswer[30:]}},
		"bulk":       bulk,
	}
}

func (p *httpPlayer) exchange(turns []turn) {
	at := epoch
	for _, s := range turns {
		at++
		p.m.bytes(&p.sh, &p.id, s.dir, at, s.b)
	}
	p.sh.out = p.sh.out[:0]
	p.sh.pool.recycle()
}

func TestMessagesDoNotAllocate(t *testing.T) {
	for name, turns := range hotPaths() {
		p := newHTTPPlayer()
		if n := testing.AllocsPerRun(200, func() { p.exchange(turns) }); n != 0 {
			t.Errorf("%s: %v allocations an exchange, want 0", name, n)
		}
		if p.sh.stats.Responses != 201 || p.sh.stats.InFlight != 0 {
			t.Errorf("%s: %d responses, %d in flight, want 201, 0", name, p.sh.stats.Responses, p.sh.stats.InFlight)
		}
	}
}

func BenchmarkMessages(b *testing.B) {
	paths := hotPaths()
	for _, name := range []string{"post", "get", "chunked", "split_post", "bulk"} {
		b.Run(name, func(b *testing.B) {
			p := newHTTPPlayer()
			n := 0
			for _, s := range paths[name] {
				n += len(s.b)
			}
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				p.exchange(paths[name])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(paths[name])), "ns/segment")
			if got := fmt.Sprint(p.m.owed()); got != "0" {
				b.Fatalf("owed %s, want 0", got)
			}
		})
	}
}
