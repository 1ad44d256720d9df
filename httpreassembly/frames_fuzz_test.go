package httpreassembly

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"stallwatch/capture"
	"stallwatch/capture/decode"
)

// A frame of FuzzFrames is four bytes and the frame itself: the time since the
// one before (the byte's cube, in microseconds: up to 16 s), what is done to it, and its
// length.
const (
	sealed = 1 << iota // its TCP checksum is set right, so that what else was changed in it counts
	short              // its last eight bytes were cut by the snap length
)

func appendFrame(b []byte, gap time.Duration, do byte, frame []byte) []byte {
	b = append(b, byte(min(255, math.Cbrt(float64(gap.Microseconds())))), do)
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(frame))), frame...)
}

// nextFrame takes one off; ok is false at the end.
func nextFrame(b []byte) (gap time.Duration, do byte, frame, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, 0, nil, nil, false
	}
	n := min(int(binary.LittleEndian.Uint16(b[2:])), len(b)-4)
	g := time.Duration(b[0])
	return 1 + g*g*g*time.Microsecond, b[1], b[4 : 4+n], b[4+n:], true
}

// seal returns a copy of an Ethernet frame with IPv4 whose TCP checksum is right.
func seal(frame []byte) []byte {
	b := append([]byte(nil), frame...)
	if len(b) < 34 || b[14]>>4 != 4 || b[23] != 6 {
		return b
	}
	from, to := 14+int(b[14]&15)*4, min(len(b), 14+int(binary.BigEndian.Uint16(b[16:])))
	if to < from+20 {
		return b
	}
	tcp := b[from:to]
	tcp[16], tcp[17] = 0, 0
	sum := uint32(6 + len(tcp))
	for i, x := range append(b[26:34:34], tcp...) {
		sum += uint32(x) << (8 * (1 - i&1))
	}
	for sum > math.MaxUint16 {
		sum = sum>>16 + sum&math.MaxUint16
	}
	binary.BigEndian.PutUint16(tcp[16:], ^uint16(sum))
	return b
}

// recordings adds what was recorded of a real kernel, corner case by corner
// case, as it is and with each checksum set anew.
func recordings(f *testing.F) {
	files, err := filepath.Glob("../testdata/kernellab/*.pcap.zst")
	if err != nil || len(files) == 0 {
		f.Fatalf("no recordings: %v", err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		f.Fatal(err)
	}
	defer z.Close()
	for _, file := range files {
		packed, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		pcap, err := z.DecodeAll(packed, nil)
		if err != nil {
			f.Fatal(err)
		}
		var seed [2][]byte
		last := time.Duration(0)
		for b := pcap[24:]; len(b) >= 16; {
			le := binary.LittleEndian
			at, n := time.Duration(le.Uint32(b))*time.Second+time.Duration(le.Uint32(b[4:])), le.Uint32(b[8:])
			if last == 0 {
				last = at
			}
			for i := range seed {
				seed[i] = appendFrame(seed[i], at-last, byte(i)*sealed, b[16:16+n])
			}
			last, b = at, b[16+n:]
		}
		f.Add(byte(0), seed[0])
		f.Add(byte(bits.Len(uint(len(seed[1])))), seed[1])
	}
}

// FuzzFrames begins with what real kernels sent and changes that: flags,
// numbers, options, words. However often the clock ticks between, the events
// are the same; and whatever comes, what must hold of a Tracker holds.
func FuzzFrames(f *testing.F) {
	recordings(f)
	f.Fuzz(func(t *testing.T, tight byte, data []byte) {
		data = data[:min(len(data), 8000)] // verify reads everything after each segment
		o := Options{MaxConns: 2 + int(tight&3), MaxTombs: 2, BodyPrefix: 64, MaxExchanges: 3 + int(tight>>2&3),
			MaxBuffered: 512 << (tight >> 4), MaxConnBuffered: 4 << 10}
		if a, b := framesThrough(t, o, data, false), framesThrough(t, o, data, true); a != b {
			t.Fatalf("without ticks:\n%s\nwith ticks:\n%s", a, b)
		}
	})
}

// framesThrough returns the events, with an Advance in the middle of each gap
// and just before its end if so wished.
func framesThrough(t *testing.T, o Options, data []byte, ticks bool) string {
	d, tr := decode.New(decode.Options{}), New(o)
	slots := slotOwners{map[int32]ConnID{}, map[ConnID]int32{}}
	var out strings.Builder
	now := epoch
	take := func(events []Event) {
		for i := range events {
			if events[i].At > now {
				t.Fatalf("event at %d, it is %d", events[i].At, now)
			}
			if e := &events[i]; e.Kind == LevelChanged {
				continue // what Recycle gave back is seen by the next call, a tick or a segment
			} else if ofSegments(e) {
				fmt.Fprintln(&out, e.At, e.Kind, e.Conn, e.Dir, e.Bytes)
			} else {
				out.WriteString(describe(e) + "\n")
			}
		}
		slots.check(t, events)
		tr.Recycle()
	}
	for {
		gap, do, frame, rest, ok := nextFrame(data)
		if !ok {
			break
		}
		data = rest
		p := capture.Packet{Data: frame, Length: len(frame), Link: capture.LinkEthernet}
		if do&sealed != 0 {
			p.Data = seal(frame)
		}
		if do&short != 0 {
			p.Data = p.Data[:max(0, len(p.Data)-8)]
		}
		for _, part := range []time.Duration{gap / 2, gap - gap/2 - 1} {
			if now = now.Add(part); ticks {
				take(tr.Advance(nil, now))
			}
		}
		now = now.Add(1)
		var s capture.Segment
		if !d.Segment(&p, now, &s) {
			continue
		}
		take(tr.Segment(nil, &s))
		verify(t, tr)
	}
	now = now.Add(1)
	take(tr.Finish(nil, now))
	verify(t, tr)
	if st := tr.Stats(); st.Buffered != 0 || st.InFlight != 0 || tr.count != 0 || st.Opened != st.Closed {
		t.Fatalf("after Finish: %d bytes, %d in flight, %d connections, %d opened, %d closed", st.Buffered, st.InFlight, tr.count, st.Opened, st.Closed)
	}
	return out.String()
}
