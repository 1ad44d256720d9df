package httpreassembly

import (
	"math/rand"
	"strings"
	"testing"

	"stallwatch/capture"
)

// familiarTurns is the order in which two kinds of exchange come: often
// enough for both to be learnt, and for what differs to become a hole.
var familiarTurns = []int{0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 0, 0, 1}

// playFamiliar sends the heads as exchanges on connections of their own, and
// on the same ones again, and tells the events and the counters.
func playFamiliar(off bool, requests, answers [2]string) string {
	p := newHTTPPlayer()
	p.sh.familiars.off = off
	at := epoch
	for _, keep := range []bool{false, true} {
		for _, k := range familiarTurns {
			for dir, b := range []string{requests[k], answers[k]} {
				at++
				p.m.bytes(&p.sh, &p.id, capture.Dir(dir), at, []byte(b))
				p.tell()
			}
			if !keep {
				p.m.abandon(&p.sh, &p.id, at, ByIdle, false)
				p.tell()
				p.m = messages{}
			}
		}
	}
	return p.out.String()
}

func checkFamiliar(t *testing.T, requests, answers [2]string) {
	t.Helper()
	want := playFamiliar(true, requests, answers)
	if got := playFamiliar(false, requests, answers); got != want {
		g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
		i := 0
		for i < min(len(g), len(w)) && g[i] == w[i] {
			i++
		}
		t.Fatalf("requests %q\nanswers %q\nevent %d with familiar heads:\n%q\nreading every head:\n%q", requests, answers, i, g[i:min(len(g), i+3)], w[i:min(len(w), i+3)])
	}
}

// FuzzFamiliar holds familiar heads to what reading every head gives.
func FuzzFamiliar(f *testing.F) {
	for _, s := range familiarPairs() {
		f.Add(s.requests[0], s.requests[1], s.answers[0], s.answers[1])
	}
	f.Fuzz(func(t *testing.T, r0, r1, a0, a1 string) {
		checkFamiliar(t, [2]string{r0, r1}, [2]string{a0, a1})
	})
}

type familiarPair struct {
	name              string
	requests, answers [2]string
}

func familiarPairs() []familiarPair {
	post := func(fields, body string) string { return "POST / HTTP/1.1\r\n" + fields + "\r\n" + body }
	ok := func(fields, body string) string { return "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + body }
	both := func(s string) [2]string { return [2]string{s, s} }
	return []familiarPair{
		{"the same", both(string(smallPost)), both(string(smallAnswer))},
		{"another length", [2]string{post("Host: a\r\nContent-Length: 2\r\n", "{}"), post("Host: a\r\nContent-Length: 10\r\n", "0123456789")},
			[2]string{ok("Date: Thu, 25 Jan 2018 08:58:00 GMT\r\nContent-Length: 2\r\n", "ok"), ok("Date: Thu, 25 Jan 2018 08:58:01 GMT\r\nContent-Length: 0\r\n", "")}},
		{"a bad length", [2]string{post("Content-Length: 2\r\n", "{}"), post("Content-Length: +2\r\n", "{}")}, [2]string{ok("Content-Length: 2\r\n", "ok"), ok("Content-Length: 2x\r\n", "ok")}},
		{"a list of lengths", [2]string{post("Content-Length: 2\r\n", "{}"), post("Content-Length: 2, 2\r\n", "{}")}, [2]string{ok("Content-Length: 2\r\n", "ok"), ok("Content-Length: 2, 3\r\n", "ok")}},
		{"an empty length", [2]string{post("Content-Length: 2\r\n", "{}"), post("Content-Length: \r\n", "{}")}, [2]string{ok("Content-Length: 2\r\n", "ok"), ok("Content-Length:\r\n", "ok")}},
		{"a second length", [2]string{post("Content-Length: 2\r\n", "{}"), post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}")}, [2]string{ok("Content-Length: 2\r\n", "ok"), ok("Content-Length: 2\r\nContent-Length: 2\r\n", "ok")}},
		{"a folded length", [2]string{post("Content-Length: 2\r\n", "{}"), post("Content-Length: 2\r\n 3\r\n", "{}")}, [2]string{ok("Content-Length: 2\r\nA: b\r\n", "ok"), ok("Content-Length: 2\r\n A: b\r\n", "ok")}},
		{"a proxy", [2]string{post("X-Forwarded-For: 192.0.2.1\r\nUser-Agent: a\r\n", ""), post("X-Forwarded-For: 192.0.2.20\r\nUser-Agent: bb\r\n", "")}, both(ok("Content-Length: 0\r\n", ""))},
		{"forwarded for", [2]string{post("X-Forwarded-For: 192.0.2.1\r\nUser-Agent: a\r\n", ""), post("X-Forwarded-For: 192.0.2.2 \t\r\nUser-Agent:  bb\r\n", "")}, both(ok("Content-Length: 0\r\n", ""))},
		{"empty views", both("POST / HTTP/1.1\r\nHost:\r\nUser-Agent: \r\n\r\n"), both(ok("Content-Length: 0\r\n", ""))},
		{"forwarded twice", [2]string{post("X-Forwarded-For: 192.0.2.1\r\n", ""), post("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.3\r\n", "")}, both(ok("Content-Length: 0\r\n", ""))},
		{"a long value", [2]string{post("User-Agent: a\r\n", ""), post("User-Agent: "+strings.Repeat("b", 600)+"\r\n", "")}, both(ok("Content-Length: 0\r\n", ""))},
		{"codings", [2]string{post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), post("Transfer-Encoding: gzip\r\n", "0\r\n\r\n")}, [2]string{ok("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), ok("Transfer-Encoding: chunke\r\n", "0\r\n\r\n")}},
		{"NUL in a hole", [2]string{post("A: 1\r\nContent-Length: 0\r\n", ""), post("A: \x00\r\nContent-Length: 0\r\n", "")}, [2]string{ok("Date: a\r\nContent-Length: 0\r\n", ""), ok("Date: \x00\r\nContent-Length: 0\r\n", "")}},
		{"CR in a hole", [2]string{post("A: 1\r\nContent-Length: 0\r\n", ""), post("A: \rContent-Length: 3\r\nContent-Length: 0\r\n", "")}, [2]string{ok("Date: a\r\nContent-Length: 0\r\n", ""), ok("Date: \ra\r\nContent-Length: 0\r\n", "")}},
		{"LF in a hole", [2]string{post("A: 1\r\nB: 2\r\n", ""), post("A: 2\nB: 2\r\n", "")}, [2]string{ok("Date: a\r\nContent-Length: 0\r\n", ""), ok("Date: a\nContent-Length: 0\r\n", "")}},
		{"high and tabs", [2]string{post("A: 1\r\nB: 2\r\n", ""), post("A: \xff\t\x80x\t\r\nB: \x7f\r\n", "")}, [2]string{ok("Date: a\r\nContent-Length: 0\r\n", ""), ok("Date: \t\t\t\t\t\t\t\t\t\t\xe2\r\nContent-Length: 0\r\n", "")}},
		{"first lines", [2]string{"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "GET /b HTTP/1.0\r\nHost: a\r\n\r\n"}, [2]string{"HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n", "HTTP/1.0 204\r\nContent-Length: 0\r\n\r\n"}},
		{"bad first lines", [2]string{"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "GET /b HTTP/2.0\r\nHost: a\r\n\r\n"}, [2]string{"HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n", "HTTP/1.2 204\r\nContent-Length: 0\r\n\r\n"}},
		{"1xx and 101", both("GET /a HTTP/1.1\r\nHost: a\r\n\r\n"), [2]string{"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n"}},
		{"HEAD and CONNECT", [2]string{"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"}, both("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")},
		{"a simple request", [2]string{"GET /a HTTP/1.1\r\n\r\n", "GET /a\r\n\r\n"}, both("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
		{"bare LF first", [2]string{"GET /a HTTP/1.1\r\nA: b\r\n\r\n", "GET /a HTTP/1.1\nA: b\r\n\r\n"}, [2]string{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"}},
	}
}

func TestFamiliarHeads(t *testing.T) {
	for _, c := range familiarPairs() {
		t.Run(c.name, func(t *testing.T) { checkFamiliar(t, c.requests, c.answers) })
	}
}

// TestFamiliarHeadsMutated changes one byte, or a few, of heads that are
// familiar.
func TestFamiliarHeadsMutated(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	pairs := familiarPairs()
	for range 4000 {
		c := pairs[r.Intn(len(pairs))]
		c.requests[1], c.answers[1] = mutated(r, c.requests[r.Intn(2)]), mutated(r, c.answers[r.Intn(2)])
		checkFamiliar(t, c.requests, c.answers)
	}
}

func mutated(r *rand.Rand, s string) string {
	const odd = "\x00\r\n\t :,0a\xff"
	b := []byte(s)
	for range r.Intn(3) {
		i := r.Intn(len(b))
		switch r.Intn(3) {
		case 0:
			b[i] = odd[r.Intn(len(odd))]
		case 1:
			b = append(b[:i], b[i+1:]...)
		default:
			b = append(b[:i], append([]byte{odd[r.Intn(len(odd))]}, b[i:]...)...)
		}
	}
	return string(b)
}

// TestFamiliarHeadsAreFound holds that what should be familiar is: in a
// benchmark it would show only as noise.
func TestFamiliarHeadsAreFound(t *testing.T) {
	for _, c := range familiarPairs() {
		switch c.name {
		case "the same", "another length", "a proxy", "first lines":
		default:
			continue
		}
		p := newHTTPPlayer()
		for i := range 40 {
			p.m.bytes(&p.sh, &p.id, capture.ToServer, epoch, []byte(c.requests[i%2]))
			p.m.bytes(&p.sh, &p.id, capture.ToClient, epoch, []byte(c.answers[i%2]))
		}
		for dir := range p.sh.familiars.slots {
			if n := p.sh.familiars.slots[dir][0].misses; n == 0 || n > 1+relearn {
				t.Errorf("%s: %d heads of direction %d were read, want at most %d of 40", c.name, n, dir, 1+relearn)
			}
		}
	}
}

func TestFamiliarHeadIsBounded(t *testing.T) {
	var fr framing
	for name, fields := range map[string]string{
		"too long":       "A: " + strings.Repeat("x", maxFamiliar) + "\r\n\r\n",
		"too many lines": strings.Repeat("A: x\r\n", maxLines+1) + "\r\n",
	} {
		var sl familiarSlot
		if sl.missed(nil, []byte(fields), &fr); sl.head != nil {
			t.Errorf("%s: was kept", name)
		}
	}
}
