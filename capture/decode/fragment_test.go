package decode

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"stallwatch/capture"
)

// cut4 makes an IPv4 fragment [from, to) of body.
func cut4(t testing.TB, id byte, body []byte, from, to int, more bool) []byte {
	b := ip4(t, nil, body[from:to])
	b[5], b[6], b[7] = id, byte(from/8>>8), byte(from/8)
	if more {
		b[6] |= 0x20
	}
	seal(b[:20])
	return b
}

// cut6 makes an IPv6 fragment [from, to) of body.
func cut6(_ testing.TB, id byte, body []byte, from, to int, more bool) []byte {
	f := []byte{protoTCP, 0, byte(from >> 8), byte(from), 0, 0, 0, id}
	if more {
		f[3] |= 1
	}
	return ip6(protoFragment, append(f, body[from:to]...))
}

func see(d *Decoder, data []byte, at capture.Time, s *capture.Segment) bool {
	return d.Segment(&capture.Packet{Data: data, Length: len(data), Link: capture.LinkRaw}, at, s)
}

func frames(st Stats) (n uint64) {
	n = st.Segments
	for _, k := range st.Skipped {
		n += k
	}
	return n
}

// TestFragmentsAnyCut cuts a segment at random places, shuffles and repeats
// the fragments, and wants it back whole.
func TestFragmentsAnyCut(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	payload := make([]byte, 3000)
	for i := range payload {
		payload[i] = byte(rnd.Uint32())
	}
	body := segment(capture.ACK, nil, payload)
	for round := range 300 {
		cut := cut4
		if round%2 == 1 {
			cut = cut6
		}
		var fr [][]byte
		for from := 0; from < len(body); {
			to := min(from+8*(1+rnd.IntN(100)), len(body))
			fr = append(fr, cut(t, 1, body, from, to, to < len(body)))
			from = to
		}
		if round%3 == 0 {
			fr = append(fr[:1:1], fr...) // a duplicate
		}
		rnd.Shuffle(len(fr)-1, func(i, j int) { fr[i], fr[j] = fr[j], fr[i] })
		d, got := New(Options{}), 0
		var s capture.Segment
		for i, f := range fr {
			if see(d, f, capture.Time(i), &s) {
				got++
				if !bytes.Equal(s.Payload, payload) || s.Missing != 0 {
					t.Fatalf("round %d: payload differs", round)
				}
			}
		}
		d.frags.verify(t)
		if got != 1 || frames(d.Stats()) != uint64(len(fr)) {
			t.Fatalf("round %d: %d segments of %d fragments; stats %+v", round, got, len(fr), d.Stats())
		}
	}
}

func TestFragmentOddities(t *testing.T) {
	body := segment(capture.ACK, nil, make([]byte, 76)) // 96 bytes
	type step struct {
		from, to int
		more     bool
	}
	for _, tt := range []struct {
		name  string
		steps []step
		want  map[string]uint64
	}{
		{"overlap", []step{{0, 48, true}, {40, 80, true}, {80, 96, false}}, map[string]uint64{"fragment_overlap": 3}},
		{"overlap from before", []step{{40, 80, true}, {0, 48, true}}, map[string]uint64{"fragment_overlap": 2}},
		{"larger at the same place", []step{{0, 48, true}, {0, 56, true}}, map[string]uint64{"fragment_overlap": 2}},
		{"within another", []step{{0, 48, true}, {8, 40, true}}, map[string]uint64{"fragment_waiting": 1, "fragment_duplicate": 1}},
		{"two ends", []step{{80, 96, false}, {40, 80, false}}, map[string]uint64{"fragment_dropped": 2}},
		{"beyond the end", []step{{80, 96, true}, {40, 80, false}}, map[string]uint64{"fragment_dropped": 2}},
		{"not a multiple of eight", []step{{0, 47, true}}, map[string]uint64{"bad_length": 1}},
	} {
		for version, cut := range map[string]func(testing.TB, byte, []byte, int, int, bool) []byte{"4": cut4, "6": cut6} {
			t.Run(tt.name+" "+version, func(t *testing.T) {
				d := New(Options{})
				for i, st := range tt.steps {
					if see(d, cut(t, 1, body, st.from, st.to, st.more), capture.Time(i), new(capture.Segment)) {
						t.Errorf("step %d gave a segment", i)
					}
				}
				got := map[string]uint64{}
				for name, n := range d.Stats().Skips() {
					got[name] = n
				}
				if len(got) != len(tt.want) {
					t.Fatalf("got %v, want %v", got, tt.want)
				}
				for k, n := range tt.want {
					if got[k] != n {
						t.Errorf("got %v, want %v", got, tt.want)
					}
				}
			})
		}
	}
}

func TestFragmentBounds(t *testing.T) {
	body := segment(capture.ACK, nil, make([]byte, 1400))
	d := New(Options{Datagrams: 10})
	for i := range 25 {
		see(d, cut4(t, byte(i), body, 0, 720, true), capture.Time(i), new(capture.Segment))
	}
	if st := d.Stats(); st.Skipped[FragmentWaiting] != 10 || st.Skipped[FragmentDropped] != 15 {
		t.Errorf("of 25 datagrams, 10 allowed: %v", st.Skipped)
	}
	d.frags.verify(t)
	late := capture.Time(31 * time.Second)
	see(d, cut4(t, 24, body, 720, len(body), false), late, new(capture.Segment))
	if st := d.Stats(); st.Segments != 0 || st.Skipped[FragmentDropped] != 25 || st.Skipped[FragmentWaiting] != 1 {
		t.Errorf("after 31 s: %+v", st)
	}

	d = New(Options{Bytes: 1})
	for i := range 250 {
		see(d, cut6(t, byte(i), body, 0, 1400, true), capture.Time(i), new(capture.Segment))
		if d.frags.bytes > minBytes {
			t.Fatalf("%d bytes kept, %d allowed", d.frags.bytes, minBytes)
		}
	}
	if st := d.Stats(); frames(st) != 250 || st.Skipped[FragmentDropped] == 0 {
		t.Errorf("stats %+v", st)
	}
	for d.frags.oldest != nil {
		d.frags.forget(d.frags.oldest)
	}
	if d.frags.bytes != 0 || len(d.frags.byKey) != 0 || d.frags.newest != nil {
		t.Errorf("%d bytes in %d datagrams left after the last went", d.frags.bytes, len(d.frags.byKey))
	}
}

func TestFragmentCutBySnapLength(t *testing.T) {
	body := segment(capture.ACK, nil, make([]byte, 1400))
	d := New(Options{})
	b := cut4(t, 1, body, 0, 720, true)
	d.Segment(&capture.Packet{Data: b[:96], Length: len(b), Link: capture.LinkRaw}, 1, new(capture.Segment))
	if st := d.Stats(); st.Skipped[FragmentDropped] != 1 {
		t.Errorf("stats %+v", st)
	}
}

func FuzzDecode(f *testing.F) {
	body := segment(capture.ACK, unhex("0101080a0000000700000008"), []byte("GET / HTTP/1.1\r\n\r\n0123456789"))
	f.Add(uint32(1), uint16(0), cat(macs(), unhex("8100 0001 0800"), ip4(f, nil, body)))
	f.Add(uint32(101), uint16(7), ip6(protoTCP, body))
	f.Add(uint32(101), uint16(0), cut4(f, 1, body, 0, 16, true))
	f.Add(uint32(101), uint16(0), cut6(f, 1, body, 0, 16, true))
	f.Add(uint32(276), uint16(0), cat(unhex("0800 0000 00000001 0304 00 06 0000000000000000"), ip4(f, nil, body)))
	f.Add(uint32(0), uint16(0), cat(unhex("02000000"), ip4(f, nil, body)))
	f.Fuzz(func(t *testing.T, link uint32, more uint16, data []byte) {
		d := New(Options{})
		data = data[:len(data):len(data)]
		p := capture.Packet{Data: data, Length: len(data) + int(more), Link: capture.LinkType(link)}
		for i := range 2 { // the second time a fragment meets itself
			var s capture.Segment
			if d.Segment(&p, capture.Time(i), &s) {
				checkSegment(t, &p, &s)
			}
		}
		d.frags.verify(t)
		if n := frames(d.Stats()); n != 2 {
			t.Errorf("2 frames counted as %d: %+v", n, d.Stats())
		}
	})
}

func checkSegment(t *testing.T, p *capture.Packet, s *capture.Segment) {
	t.Helper()
	if s.Missing < 0 || s.Len() > p.Length || len(s.Payload) > len(p.Data) || len(s.TCP) < 20 || !bytes.HasSuffix(s.TCP, s.Payload) {
		t.Errorf("payload %d, missing %d, TCP %d of a packet of %d, %d", len(s.Payload), s.Missing, len(s.TCP), len(p.Data), p.Length)
	}
	if s.Missing > 0 && s.Sum() != capture.Unverified {
		t.Errorf("cut, but Sum() = %d", s.Sum())
	}
}

// TestStrangeFragments: a datagram is strange when a fragment of it is.
func TestStrangeFragments(t *testing.T) {
	body := segment(capture.ACK, nil, make([]byte, 60))
	route := cut4(t, 1, body, 24, 80, false)
	route = append(append(append([]byte(nil), route[:20]...), 137, 3, 4, 0), route[20:]...)
	route[0], route[3] = 0x46, route[3]+4
	seal(route[:24])
	claims := cut6(t, 1, body, 24, 80, false)
	claims[40] = 17 // means nothing here
	for _, tt := range []struct {
		name    string
		frames  [][]byte
		strange bool
	}{
		{"IPv4", [][]byte{cut4(t, 1, body, 0, 24, true), cut4(t, 1, body, 24, 80, false)}, false},
		{"IPv4, a tiny first one", [][]byte{cut4(t, 1, body, 0, 8, true), cut4(t, 1, body, 8, 80, false)}, false},
		{"IPv4, a later one with a route", [][]byte{route, cut4(t, 1, body, 0, 24, true)}, true},
		{"IPv6", [][]byte{cut6(t, 1, body, 0, 24, true), cut6(t, 1, body, 24, 80, false)}, false},
		{"IPv6, a later one of another protocol", [][]byte{claims, cut6(t, 1, body, 0, 24, true)}, false},
		{"IPv6, a tiny first one", [][]byte{cut6(t, 1, body, 8, 80, false), cut6(t, 1, body, 0, 8, true)}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := New(Options{})
			var s capture.Segment
			if see(d, tt.frames[0], 1, &s) || !see(d, tt.frames[1], 2, &s) || s.Strange != tt.strange || len(s.Payload) != 60 {
				t.Errorf("strange %t, %d bytes; want %t, 60; stats %+v", s.Strange, len(s.Payload), tt.strange, d.Stats())
			}
		})
	}
}
