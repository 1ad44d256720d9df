package decode

import (
	"bytes"
	"testing"

	"stallwatch/capture"
)

// verify checks what must hold of the fragments that wait.
func (f *fragments) verify(t testing.TB) {
	t.Helper()
	datagrams, waiting, size := 0, 0, 0
	var older *datagram
	for g := f.oldest; g != nil; g = g.newer {
		if g.older != older || f.byKey[g.key] != g || older != nil && g.since < older.since {
			t.Fatalf("datagram %d of %d is out of order", datagrams, len(f.byKey))
		}
		have, at := 0, 0
		for _, k := range g.kept {
			if k.from < at || len(k.data) == 0 {
				t.Fatalf("a fragment of %d bytes at %d, behind one that ends at %d", len(k.data), k.from, at)
			}
			at, have = k.from+len(k.data), have+len(k.data)
		}
		if have != g.have || len(g.kept) > maxPieces || at > maxDatagram || g.end != 0 && have >= g.end || g.dead != none && have > 0 {
			t.Fatalf("%d fragments of %d bytes up to %d of %d; it says %d bytes, dead %d", len(g.kept), have, at, g.end, g.have, g.dead)
		}
		datagrams, waiting, size, older = datagrams+1, waiting+len(g.kept), size+have+len(g.kept)*pieceCost, g
	}
	if f.newest != older || datagrams != len(f.byKey) || datagrams > f.o.Datagrams || size != f.bytes || size > f.o.Bytes || f.stats.Skipped[FragmentWaiting] != uint64(waiting) {
		t.Fatalf("%d datagrams of %d fragments and %d bytes; it says %d, %d, %d", datagrams, waiting, size, len(f.byKey), f.stats.Skipped[FragmentWaiting], f.bytes)
	}
}

// FuzzFragments cuts a few datagrams as it likes, in any order, with overlaps,
// repetitions and ends that are none: what is put together of them is the
// beginning of one. A step is five bytes: datagram and kind, where from and to
// in units of eight bytes, what is odd, and how much time has passed.
func FuzzFragments(f *testing.F) {
	f.Add([]byte("\x00\x00\x04\x01\x00\x00\x04\x0c\x00\x00"))
	f.Add([]byte("\x01\x04\x0c\x00\x01\x01\x00\x04\x01\x01\x03\x00\x02\x01\x01\x03\x02\x0c\x00\x01"))
	f.Add([]byte("\x02\x00\x04\x01\x00\x02\x03\x05\x01\x00\x04\x00\x08\x01\xff\x04\x08\x0c\x00\xff"))
	var bodies [4][]byte
	for i := range bodies {
		bodies[i] = segment(capture.ACK, nil, bytes.Repeat([]byte{byte(i)}, 73+8*i))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var spoilt [len(bodies)]bool // some of its bytes were sent elsewhere
		d, n, now := New(Options{Datagrams: 3, Bytes: 1}), uint64(0), capture.Time(0)
		for ; len(data) >= 5; data = data[5:] {
			id, odd := data[0]>>1&3, data[3]
			body := bodies[id]
			from := min(int(data[1])*8, len(body))
			to := max(from, min(int(data[2])*8-int(odd>>5), len(body)))
			cut, at := cut4, from
			if data[0]&1 != 0 {
				cut = cut6
			}
			if odd&2 != 0 {
				at += int(data[1]) << 8
				spoilt[id] = true
			}
			b := cut(t, id, append(make([]byte, at-from), body...), at, at+to-from, odd&1 != 0)
			p := capture.Packet{Data: b, Length: len(b), Link: capture.LinkRaw}
			if odd&4 != 0 {
				p.Data = b[:len(b)-min(to-from, 3)]
			}
			now += capture.Time(data[4]) * 1e8
			n++
			var s capture.Segment
			if d.Segment(&p, now, &s) {
				checkSegment(t, &capture.Packet{Data: body, Length: len(body)}, &s)
				if !spoilt[id] && !bytes.HasPrefix(body, s.TCP) {
					t.Errorf("put together: %x", s.TCP)
				}
			}
			d.frags.verify(t)
		}
		if got := frames(d.Stats()); got != n {
			t.Errorf("%d frames counted as %d: %+v", n, got, d.Stats())
		}
	})
}
