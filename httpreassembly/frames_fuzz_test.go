package httpreassembly

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
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
	for _, r := range recorded(f) {
		var seed [2][]byte
		for _, x := range r.frames {
			for i := range seed {
				seed[i] = appendFrame(seed[i], x.gap, byte(i)*sealed, x.data)
			}
		}
		f.Add(byte(0), seed[0])
		f.Add(byte(bits.Len(uint(len(seed[1])))), seed[1])
	}
}

// recording is what was recorded of a real kernel in one corner case.
type recording struct {
	name   string
	frames []recordedFrame
}

type recordedFrame struct {
	gap  time.Duration // since the one before
	data []byte
}

// recorded reads testdata/kernellab.
func recorded(t testing.TB) (list []recording) {
	files, err := filepath.Glob("../testdata/kernellab/*.pcap.zst")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, file := range files {
		packed, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pcap, err := z.DecodeAll(packed, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := recording{name: filepath.Base(file)}
		last := time.Duration(0)
		for b := pcap[24:]; len(b) >= 16; {
			le := binary.LittleEndian
			at, n := time.Duration(le.Uint32(b))*time.Second+time.Duration(le.Uint32(b[4:])), le.Uint32(b[8:])
			if last == 0 {
				last = at
			}
			r.frames = append(r.frames, recordedFrame{at - last, b[16 : 16+n]})
			last, b = at, b[16+n:]
		}
		list = append(list, r)
	}
	return list
}

// FuzzFrames begins with what real kernels sent and changes that: flags,
// numbers, options, words. However often the clock ticks between, the events
// are the same; and whatever comes, what must hold of a Tracker holds.
func FuzzFrames(f *testing.F) {
	recordings(f)
	f.Fuzz(func(t *testing.T, tight byte, data []byte) {
		data = data[:min(len(data), 8000)] // verify reads everything after each segment
		o := tightOptions(tight)
		if a, b := framesThrough(t, o, data, false), framesThrough(t, o, data, true); a != b {
			t.Fatalf("without ticks:\n%s\nwith ticks:\n%s", a, b)
		}
	})
}

// tightOptions are bounds that are met soon.
func tightOptions(tight byte) Options {
	return Options{MaxConns: 2 + int(tight&3), MaxTombs: 2, BodyPrefix: 16, MaxExchanges: 3 + int(tight>>2&3),
		MaxBuffered: 512 << (tight >> 4), MaxConnBuffered: 4 << 10}
}

// framesThrough returns the events, with an Advance in the middle of each gap
// and just before its end if so wished.
func framesThrough(t *testing.T, o Options, data []byte, ticks bool) string {
	d, r := decode.New(decode.Options{}), newCheckedRun(t, o, ticks)
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
		r.wait(gap)
		var s capture.Segment
		if d.Segment(&p, r.now, &s) {
			r.segment(&s)
		}
	}
	return r.end()
}

// checkedRun feeds a Tracker and holds it to what must hold at any time.
type checkedRun struct {
	t      *testing.T
	tr     *Tracker
	ticks  bool // the clock ticks within each gap
	now    capture.Time
	slots  slotOwners
	ledger *ledger
	out    strings.Builder
}

func newCheckedRun(t *testing.T, o Options, ticks bool) *checkedRun {
	return &checkedRun{t: t, tr: New(o), ticks: ticks, now: epoch, slots: slotOwners{map[int32]ConnID{}, map[ConnID]int32{}}, ledger: newLedger(t)}
}

// wait lets gap pass, which is not zero.
func (r *checkedRun) wait(gap time.Duration) {
	for _, part := range []time.Duration{gap / 2, gap - gap/2 - 1} {
		if r.now = r.now.Add(part); r.ticks {
			r.take(r.tr.Advance(nil, r.now))
			verify(r.t, r.tr)
		}
	}
	r.now = r.now.Add(1)
}

func (r *checkedRun) segment(s *capture.Segment) {
	lent := *s
	lent.Payload = slices.Clone(s.Payload)
	events := r.tr.Segment(nil, &lent)
	clear(lent.Payload) // which is not kept
	r.take(events)
	verify(r.t, r.tr)
}

func (r *checkedRun) take(events []Event) {
	for i := range events {
		e := &events[i]
		if e.At > r.now {
			r.t.Fatalf("event at %d, it is %d", e.At, r.now)
		}
		switch {
		case e.Kind == LevelChanged: // what Recycle gave back is seen by the next call, a tick or a segment
		case ofSegments(e):
			fmt.Fprintln(&r.out, e.At, e.Kind, e.Conn, e.Dir, e.Bytes)
		default:
			r.out.WriteString(describe(e) + "\n")
		}
	}
	r.slots.check(r.t, events)
	r.ledger.check(events)
	r.tr.Recycle()
}

// end finishes the capture and returns the events.
func (r *checkedRun) end() string {
	r.now = r.now.Add(1)
	r.take(r.tr.Finish(nil, r.now))
	verify(r.t, r.tr)
	if st := r.tr.Stats(); st.Buffered != 0 || st.InFlight != 0 || r.tr.count != 0 || st.Opened != st.Closed {
		r.t.Fatalf("after Finish: %d bytes, %d in flight, %d connections, %d opened, %d closed", st.Buffered, st.InFlight, r.tr.count, st.Opened, st.Closed)
	}
	return r.out.String()
}
