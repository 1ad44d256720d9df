package httpreassembly

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"stallwatch/capture"
)

// stream sends b on connection 0 from offset at on, cut into n bytes each. The
// other end acknowledges at last, or every 60 KB.
func (w *wire) stream(dir capture.Dir, at *[2]uint32, b string, n int) {
	ends := [2]capture.Endpoint{clientEnd(0), serverEnd}
	src, dst := ends[dir], ends[dir.Reverse()]
	for sent := 0; len(b) > 0; sent += n {
		n = min(n, len(b))
		w.send(src, dst, capture.ACK, at[dir], at[dir.Reverse()], b[:n])
		at[dir] += uint32(n)
		if b = b[n:]; len(b) == 0 || sent/60_000 != (sent+n)/60_000 {
			w.send(dst, src, capture.ACK, at[dir.Reverse()], at[dir], "")
		}
	}
}

// dear are inputs of which an attacker chooses the length, and that some
// implementation somewhere has taken quadratic time for. Each is of n units.
var dear = []struct {
	name string
	play func(w *wire, at *[2]uint32, n int)
}{
	{"pipelined requests without an answer", func(w *wire, at *[2]uint32, n int) {
		w.stream(capture.ToServer, at, strings.Repeat("GET / HTTP/1.1\r\n\r\n", n), 1448)
	}},
	{"pipelined requests, answered", func(w *wire, at *[2]uint32, n int) {
		for range n / 500 {
			w.stream(capture.ToServer, at, strings.Repeat("GET / HTTP/1.1\r\n\r\n", 500), 1448)
			w.stream(capture.ToClient, at, strings.Repeat("HTTP/1.1 204 No\r\n\r\n", 500), 1448)
		}
	}},
	{"chunks of a byte", func(w *wire, at *[2]uint32, n int) {
		w.stream(capture.ToServer, at, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"+strings.Repeat("1\r\nx\r\n", n)+"0\r\n\r\n", 1448)
	}},
	{"chunks of a byte in the answer", func(w *wire, at *[2]uint32, n int) {
		w.stream(capture.ToServer, at, "GET / HTTP/1.1\r\n\r\n", 1448)
		w.stream(capture.ToClient, at, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+strings.Repeat("1\r\nx\r\n", n)+"0\r\n\r\n", 7)
	}},
	{"a head by the byte", func(w *wire, at *[2]uint32, n int) {
		w.stream(capture.ToServer, at, "GET / HTTP/1.1\r\nA: "+strings.Repeat("b", n)+"\r\n\r\n", 1)
	}},
	{"a first line by the byte", func(w *wire, at *[2]uint32, n int) {
		w.stream(capture.ToServer, at, "GET /"+strings.Repeat("b", n)+" HTTP/1.1\r\n\r\n", 1)
	}},
	{"a head of fields", func(w *wire, at *[2]uint32, n int) {
		w.stream(capture.ToServer, at, "GET / HTTP/1.1\r\n"+strings.Repeat("X-Forwarded-For: a\r\nContent-Length: 1\r\n b\r\nc\r\n", n)+"\r\nx", 1448)
	}},
	{"lengths and codings in a list", func(w *wire, at *[2]uint32, n int) {
		w.stream(capture.ToServer, at, "POST / HTTP/1.1\r\nContent-Length: "+strings.Repeat("1,", n)+"1\r\nTransfer-Encoding: "+strings.Repeat("a,", n)+"chunked\r\n\r\n", 1448)
	}},
	{"bare CR", func(w *wire, at *[2]uint32, n int) {
		w.stream(capture.ToServer, at, "GET / HTTP/1.1\r\nA: "+strings.Repeat("\rx", n)+"\r\n\r\n", 1448)
	}},
	{"informational answers", func(w *wire, at *[2]uint32, n int) {
		w.stream(capture.ToServer, at, "GET / HTTP/1.1\r\n\r\n", 1448)
		w.stream(capture.ToClient, at, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", n), 1448)
	}},
	{"reversed segments", func(w *wire, at *[2]uint32, n int) {
		for range n / 500 {
			w.shuffled(at, 500, func(i int) int { return 499 - i })
		}
	}},
	{"every other segment first", func(w *wire, at *[2]uint32, n int) {
		for range n / 1000 {
			w.shuffled(at, 1000, func(i int) int { return (2*i + 1) % 1001 })
		}
	}},
	{"overlapping segments beyond a hole", func(w *wire, at *[2]uint32, n int) {
		b := strings.Repeat("x", 600)
		for i := range n {
			w.send(clientEnd(0), serverEnd, capture.ACK, at[0]+100+uint32(i*7%50_000), at[1], b)
		}
	}},
	{"segments beyond many pieces of a byte", func(w *wire, at *[2]uint32, n int) {
		for i := range n / 80 {
			w.send(clientEnd(0), serverEnd, capture.ACK, at[0]+2+uint32(2*i), at[1], "x")
		}
		for range n {
			w.send(clientEnd(0), serverEnd, capture.ACK, at[0]+uint32(n/40), at[1], "x")
		}
	}},
	{"segments in doubt", func(w *wire, at *[2]uint32, n int) {
		for i := range n {
			w.send(clientEnd(0), serverEnd, capture.ACK, at[0]+uint32(i*7%50_000), at[1]-100_000, "decoy")
		}
	}},
	{"SYNs to one port, and to many", func(w *wire, at *[2]uint32, n int) {
		for i := range n / 2 {
			w.send(clientEnd(1), serverEnd, capture.SYN, uint32(i), 0, "")
			w.send(clientEnd(2+i), serverEnd, capture.SYN, uint32(i), 0, "")
		}
	}},
	{"idle connections beyond the bound", func(w *wire, at *[2]uint32, n int) {
		w.tr.opts.MaxConns = n / 8
		for i := range n / 4 {
			w.open(i)
			w.send(clientEnd(i/2), serverEnd, capture.ACK, 100, 500, "")
		}
	}},
	{"stalled calls beyond the bound", func(w *wire, at *[2]uint32, n int) {
		w.tr.opts.MaxConns = n / 16
		for i := range n / 8 {
			w.call(i)
		}
	}},
	{"heads that fill the buffers, up and down the levels", func(w *wire, at *[2]uint32, n int) {
		w.tr.opts.MaxBuffered = 1 << 20
		w.tr.watchLevel()
		head := "GET / HTTP/1.1\r\nA: " + strings.Repeat("b", 1000)
		for i := range n / 8 {
			w.open(i)
			w.send(clientEnd(i), serverEnd, capture.ACK, 100, 500, head)
			w.send(clientEnd(i), serverEnd, capture.RST, 100+uint32(len(head)), 0, "")
		}
	}},
	{"HTTP/2 streams, reset", func(w *wire, at *[2]uint32, n int) {
		c := newH2Peer()
		c.out.WriteString(http2.ClientPreface)
		for i := range uint32(n / 4) {
			c.request(2*i+1, i%3 == 0, "/")
			if i > 500 {
				c.frames.WriteRSTStream(2*(i-500)+1, http2.ErrCodeCancel)
			}
		}
		w.stream(capture.ToServer, at, string(c.take()), 1448)
	}},
	{"HTTP/2 streams beyond the bound", func(w *wire, at *[2]uint32, n int) {
		c := newH2Peer()
		c.out.WriteString(http2.ClientPreface)
		for i := range uint32(n / 4) {
			c.request(2*i+1, false, "/")
		}
		w.stream(capture.ToServer, at, string(c.take()), 1448)
	}},
	{"HTTP/2 header block by the byte", func(w *wire, at *[2]uint32, n int) {
		c := newH2Peer()
		c.out.WriteString(http2.ClientPreface)
		block := c.headers(":method", "GET", ":path", "/"+strings.Repeat("~", 6000), "a", strings.Repeat("~", 6000))
		for i := range uint32(n / 10_000) {
			c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1})
			for k := range block {
				c.frames.WriteContinuation(2*i+1, k+1 == len(block), block[k:k+1])
			}
		}
		w.stream(capture.ToServer, at, string(c.take()), 1448)
	}},
	{"HTTP/2 fields that fill the table", func(w *wire, at *[2]uint32, n int) {
		c := newH2Peer()
		c.out.WriteString(http2.ClientPreface)
		block := bytes.Repeat([]byte("\x40\x01a\x00"), 100)
		for i := range uint32(n / 100) {
			c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block, EndHeaders: true})
			c.frames.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		}
		w.stream(capture.ToServer, at, string(c.take()), 1448)
	}},
	{"HTTP/2 GOAWAY", func(w *wire, at *[2]uint32, n int) {
		c, s := newH2Peer(), newH2Peer()
		c.out.WriteString(http2.ClientPreface)
		for i := range uint32(1000) {
			c.request(2*i+1, true, "/")
		}
		w.stream(capture.ToServer, at, string(c.take()), 1448)
		for range n / 16 {
			s.frames.WriteGoAway(1001, http2.ErrCodeNo, nil)
		}
		w.stream(capture.ToClient, at, string(s.take()), 1448)
	}},
}

// shuffled sends n segments of 10 bytes in the order of place, all but the
// first beyond a hole.
func (w *wire) shuffled(at *[2]uint32, n int, place func(int) int) {
	for i := range n {
		w.send(clientEnd(0), serverEnd, capture.ACK, at[0]+uint32(10*place(i)), at[1], "0123456789")
	}
	at[0] += uint32(10 * n)
	w.send(serverEnd, clientEnd(0), capture.ACK, at[1], at[0], "")
}

// threadTime is the processor time of this thread: other load does not count.
func threadTime(t *testing.T) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// TestLinearTime: eight times the input takes about eight times the time, not
// sixty-four times. What is held is far above the one, for caches and the
// collector, and far below the other.
func TestLinearTime(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const n, times, most = 10_000, 8, 28
	for _, d := range dear {
		cost := func(n int) time.Duration {
			best := time.Hour
			for range 3 {
				w := wire{tr: New(Options{MaxHead: 1 << 30, MaxBuffered: 256 << 20}), now: epoch}
				w.open(0)
				at := [2]uint32{100, 500}
				before := threadTime(t)
				d.play(&w, &at, n)
				best = min(best, threadTime(t)-before)
				verify(t, w.tr)
			}
			return max(best, time.Microsecond)
		}
		a, b := cost(n), cost(times*n)
		ratio := float64(b) / float64(a)
		t.Logf("%-55s %8v %9v  x %.1f, %4d ns a unit", d.name, a.Round(10*time.Microsecond), b.Round(10*time.Microsecond), ratio, int(b)/(times*n))
		if ratio > most {
			t.Errorf("%s: %d times the input took %.0f times the time: %v, %v", d.name, times, ratio, a, b)
		}
	}
}
