package httpreassembly

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
)

// talk is a conversation: what each side says, in turn, client first.
type talk []string

func randomTalk(r *rand.Rand) talk {
	var tk talk
	for range 1 + r.IntN(4) {
		body := strings.Repeat("x", r.IntN(400))
		tk = append(tk, fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: n\r\nContent-Length: %d\r\n\r\n%s", r.IntN(100), len(body), body))
		answer := strings.Repeat("y", r.IntN(900))
		tk = append(tk, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer))
	}
	return tk
}

// chunkOf is part of one side's words.
type chunkOf struct{ from, to int }

// cut divides n bytes. A wild cut shuffles the parts within a window, repeats
// some and lets some overlap.
func cut(r *rand.Rand, n, most int, wild bool) []chunkOf {
	var parts []chunkOf
	for at := 0; at < n; {
		k := min(n-at, 1+r.IntN(most))
		parts = append(parts, chunkOf{at, at + k})
		at += k
	}
	if !wild {
		return parts
	}
	for range len(parts)/2 + 1 {
		from := r.IntN(n)
		parts = slices.Insert(parts, r.IntN(len(parts)+1), chunkOf{from, min(n, from+1+r.IntN(2*most))})
	}
	for i := range parts {
		j := i + r.IntN(min(8, len(parts)-i))
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts
}

// play sends tk through a Tracker and returns its events without their times.
func play(r *rand.Rand, tk talk, isn [2]seq, most int, wild bool) []string {
	tr := New(Options{Ports: []uint16{14265}})
	client := capture.Flow{Client: serverEnd, Server: serverEnd}.Client
	client = client.WithPort(50000)
	now, next := epoch, [2]seq{isn[0] + 1, isn[1] + 1}
	var out []string
	send := func(dir capture.Dir, at seq, f capture.Flags, b string) {
		now = now.Add(time.Duration(1 + r.IntN(100_000)))
		s := capture.Segment{At: now, Src: client, Dst: serverEnd, Seq: uint32(at), Ack: uint32(next[dir.Reverse()]), Flags: f, Window: 65535, Payload: []byte(b)}
		if dir == capture.ToClient {
			s.Src, s.Dst = s.Dst, s.Src
		}
		if f == capture.SYN {
			s.Ack = 0
		}
		checksum(&s, false, false)
		events := tr.Segment(nil, &s)
		for i := range events {
			if !ofSegments(&events[i]) && (events[i].Kind != Odd || events[i].Odd < NotHTTP) {
				_, text, _ := strings.Cut(describe(&events[i]), " ")
				out = append(out, text)
			}
		}
		tr.Recycle()
	}
	send(0, isn[0], capture.SYN, "")
	send(1, isn[1], capture.SYN|capture.ACK, "")
	send(0, next[0], capture.ACK, "")
	for i, words := range tk {
		dir := capture.Dir(i & 1)
		for _, p := range cut(r, len(words), most, wild) {
			send(dir, next[dir]+seq(p.from), capture.ACK, words[p.from:p.to])
		}
		next[dir] += seq(len(words))
		send(dir.Reverse(), next[dir.Reverse()], capture.ACK, "")
	}
	send(0, next[0], capture.FIN|capture.ACK, "")
	next[0]++
	send(1, next[1], capture.FIN|capture.ACK, "")
	for i, text := range out {
		out[i], _, _ = strings.Cut(text, " close_wait=")
	}
	if st := tr.Stats(); st.Buffered != 0 || st.Gaps != 0 || st.Opened != st.Closed {
		out = append(out, fmt.Sprintf("stats %+v", st))
	}
	return out
}

// TestSameBytesAnyCut: however the bytes are cut, shuffled within a window,
// repeated and overlapped, and wherever the numbers wrap, the events are the
// same but for their times.
func TestSameBytesAnyCut(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		tk := randomTalk(r)
		want := play(r, tk, [2]seq{1, 1}, 1<<20, false)
		for _, most := range []int{1, 7, 100, 1400} {
			isn := [2]seq{seq(-r.IntN(2000)), seq(-r.IntN(2000))}
			if got := play(r, tk, isn, most, most > 1); !slices.Equal(got, want) {
				t.Fatalf("seed %d, parts up to %d bytes, first numbers %d:\n got %q\nwant %q\nconversation %q", seed, most, isn, got, want, tk)
			}
		}
	}
}

// randomSegments plays random conversations of many clients at once, with
// losses, resets, ports used again and long pauses.
func randomSegments(r *rand.Rand, n int) []capture.Segment {
	type side struct{ next [2]seq }
	sides := make([]side, 24)
	now := epoch
	var segs []capture.Segment
	flags := []capture.Flags{capture.ACK, capture.ACK, capture.ACK, capture.ACK, capture.ACK | capture.FIN, capture.RST | capture.ACK, capture.SYN, capture.SYN | capture.ACK}
	for range n {
		k := r.IntN(len(sides))
		dir, f := capture.Dir(r.IntN(2)), flags[r.IntN(len(flags))]
		now = now.Add(time.Duration(1 + r.Int64N(int64([]time.Duration{time.Millisecond, time.Second, time.Minute}[r.IntN(3)]))))
		if f == capture.SYN {
			dir = capture.ToServer
			sides[k].next[0] = seq(r.Uint32()) + 1
		}
		if f == capture.SYN|capture.ACK {
			dir = capture.ToClient
			sides[k].next[1] = seq(r.Uint32()) + 1
		}
		s := capture.Segment{At: now, Src: clientEnd(k), Dst: serverEnd, Flags: f, Window: 65535,
			Seq: uint32(sides[k].next[dir]), Ack: uint32(sides[k].next[dir.Reverse()])}
		if dir == capture.ToClient {
			s.Src, s.Dst = s.Dst, s.Src
		}
		if f.Has(capture.SYN) {
			s.Seq--
		} else if r.IntN(2) == 0 && !f.Has(capture.RST) {
			s.Payload = []byte(request)
			if dir == capture.ToClient {
				s.Payload = []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
			sides[k].next[dir] += seq(len(s.Payload))
		}
		if f.Has(capture.FIN) {
			sides[k].next[dir]++
		}
		if r.IntN(12) > 0 {
			segs = append(segs, s)
		}
	}
	return segs
}

// spread plays segs through n Trackers with ticks now and then, and merges
// their events as the pipeline does.
func spread(r *rand.Rand, segs []capture.Segment, n, ticks int) []string {
	type line struct {
		e    Event
		text string
	}
	var all []line
	for k := range n {
		tr := New(Options{Ports: []uint16{14265}})
		last := epoch
		note := func(events []Event) {
			for i := range events {
				all = append(all, line{events[i], describe(&events[i])})
			}
			tr.Recycle()
		}
		for i := range segs {
			if ticks > 0 && r.IntN(ticks) == 0 && segs[i].At-last > 1 {
				note(tr.Advance(nil, last+capture.Time(r.Int64N(int64(segs[i].At-last)))))
			}
			last = segs[i].At
			if i == len(segs)/2 { // the segments go on at once: what waited does not
				note(tr.Unwatched(nil, last, time.Second))
			}
			if Shard(&segs[i], n) == k {
				note(tr.Segment(nil, &segs[i]))
			}
			if ticks > 0 && r.IntN(3) == 0 {
				tr.collectWaiting()
			}
		}
		note(tr.Finish(nil, last+1))
	}
	slices.SortStableFunc(all, func(a, b line) int {
		switch {
		case a.e.At != b.e.At:
			return cmp.Compare(a.e.At, b.e.At)
		case a.e.Due != b.e.Due && a.e.Due:
			return -1
		case a.e.Due != b.e.Due:
			return 1
		}
		return cmp.Compare(a.e.Conn, b.e.Conn)
	})
	var out []string
	for _, l := range all {
		out = append(out, l.text)
	}
	return out
}

// TestShardsAndTicksDoNotMatter: the same segments give the same events,
// however they are dealt to Trackers and whenever those are told the
// time or take the HTTP halves of waiting calls back.
func TestShardsAndTicksDoNotMatter(t *testing.T) {
	paused := 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 11))
		segs := randomSegments(r, 600)
		want := spread(r, segs, 1, 0)
		paused += strings.Count(strings.Join(want, "\n"), "how=pause")
		for _, n := range []int{1, 2, 3, 8} {
			got := spread(r, segs, n, 1+r.IntN(20))
			for i := range max(len(got), len(want)) {
				if i >= len(got) || i >= len(want) || got[i] != want[i] {
					t.Fatalf("seed %d, %d shards: event %d differs:\n got %q\nwant %q", seed, n, i, got[min(i, len(got)):min(i+3, len(got))], want[min(i, len(want)):min(i+3, len(want))])
				}
			}
		}
	}
	if paused == 0 {
		t.Error("no connection was given up for a pause: the test shows nothing of it")
	}
}
