package httpreassembly

import (
	"slices"
	"testing"
	"time"

	"stallwatch/capture"
	"stallwatch/capture/decode"
)

// timed is a segment and the time since the one before.
type timed struct {
	gap time.Duration
	s   capture.Segment
}

// segmentsOf decodes a recording.
func segmentsOf(r recording) (list []timed) {
	d := decode.New(decode.Options{})
	gap := time.Duration(0)
	for _, x := range r.frames {
		var s capture.Segment
		gap += x.gap
		if d.Segment(&capture.Packet{Data: x.data, Length: len(x.data), Link: capture.LinkEthernet}, epoch, &s) {
			s.TCP = slices.Clone(s.TCP) // of fragments it holds until the next call only
			s.Payload = s.TCP[len(s.TCP)-len(s.Payload):]
			list = append(list, timed{max(gap, 1), s})
			gap = 0
		}
	}
	return list
}

// What an edit does to a segment, by its second byte; a and b are its third
// and fourth.
const (
	doDrop = iota
	doRepeat
	doLater   // behind the next a
	doSeq     // moved by a, in units of b
	doAck     // likewise
	doFlags   // one is turned
	doWindow  // to b bytes, shifted by a
	doStamp   // moved by a, or taken away
	doShorten // to a bytes; the rest is cut or was never sent
	doLengthen
	doPause
	doSum
	doSigned
	doUrgent
	doBack  // it is sent the other way
	doReply // to it: a bare segment
	numDo
)

// edit changes list as e, four bytes, says.
func edit(list []timed, e []byte) []timed {
	i, a, b := int(e[0])%len(list), e[2], e[3]
	x := list[i]
	s := &x.s
	move := func() uint32 {
		return uint32(int8(a)) << [...]byte{0, 0, 0, 3, 10, 20, 28, 30}[b&7]
	}
	switch e[1] % numDo {
	case doDrop:
		return slices.Delete(list, i, i+1)
	case doRepeat:
		x.gap = 1 + time.Duration(b)*time.Millisecond
		return slices.Insert(list, i+1+int(a)%(len(list)-i), x)
	case doLater:
		j := min(i+1+int(a), len(list)-1)
		return slices.Insert(slices.Delete(list, i, i+1), j, x)
	case doSeq:
		s.Seq += move()
	case doAck:
		s.Ack += move()
	case doFlags:
		s.Flags ^= 1 << (a % 6)
	case doWindow:
		s.Window = uint16(b) << (a & 15)
	case doStamp:
		s.HasTS = a != 0
		s.TSVal += uint32(int8(a))
		s.TSEcr += uint32(int8(b))
	case doShorten:
		n := min(int(a), len(s.Payload))
		if b&1 != 0 {
			s.Missing += len(s.Payload) - n
		}
		s.Payload = s.Payload[:n]
	case doLengthen:
		words := [...]string{request, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET / HTTP/1.1\r\n\r\n", "\r\n", "x", "HTTP/1.1 100 Continue\r\n\r\n",
			"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"}
		w := words[int(b)%len(words)]
		s.Payload = append(slices.Clip(s.Payload), w[:min(len(w), int(a))]...)
	case doPause:
		x.gap += time.Duration(a) * time.Duration(a) * time.Duration(b) * time.Millisecond
	case doSum:
		s.TCP, s.Pseudo = make([]byte, 20), uint32(a&1) // of a bare pseudo header, or bad
	case doSigned:
		s.Signed, s.Strange = a&1 != 0, a&2 != 0
	case doUrgent:
		s.Flags |= capture.URG
		s.Urgent = uint16(a) | uint16(b)<<8
	case doBack:
		s.Src, s.Dst, s.Seq, s.Ack = s.Dst, s.Src, s.Ack, s.Seq
	case doReply:
		x = timed{1 + time.Duration(b)*time.Millisecond, capture.Segment{Src: s.Dst, Dst: s.Src, Seq: s.Ack, Ack: s.Seq + uint32(s.Len()) + uint32(int8(a)), Window: s.Window, Flags: capture.ACK}}
		return slices.Insert(list, i+1, x)
	}
	list[i] = x
	return list
}

// FuzzEdited takes a recording of a real kernel and edits it segment by
// segment: what FuzzFrames would have to find by turning the right bits. It
// holds the Tracker to the same.
func FuzzEdited(f *testing.F) {
	var all [][]timed
	for _, r := range recorded(f) {
		if list := segmentsOf(r); len(list) > 0 && len(list) < 60 { // verify reads everything after each segment
			all = append(all, list)
		}
	}
	for i := range all {
		f.Add(byte(0xf0), byte(i), []byte(nil))
		f.Add(byte(i), byte(i), []byte{byte(i), byte(i), 1, 2, byte(3 * i), byte(5 * i), 200, 3})
	}
	f.Fuzz(func(t *testing.T, tight, which byte, edits []byte) {
		list := slices.Clone(all[int(which)%len(all)])
		for edits = edits[:min(len(edits), 64)]; len(edits) >= 4 && len(list) > 0; edits = edits[4:] {
			list = edit(list, edits)
		}
		o := tightOptions(tight)
		if a, b := editedThrough(t, o, list, false), editedThrough(t, o, list, true); a != b {
			t.Fatalf("without ticks:\n%s\nwith ticks:\n%s", a, b)
		}
	})
}

func editedThrough(t *testing.T, o Options, list []timed, ticks bool) string {
	r := newCheckedRun(t, o, ticks)
	for _, x := range list {
		r.wait(x.gap)
		x.s.At = r.now
		r.segment(&x.s)
	}
	return r.end()
}
