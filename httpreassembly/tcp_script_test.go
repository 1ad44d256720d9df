package httpreassembly

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
)

// epoch is where scripts begin; any time will do.
const epoch = capture.Time(1_515_000_000_000_000_000)

var serverEnd = capture.EndpointOf(netip.MustParseAddrPort("192.0.2.1:14265"))

// peer is one end of a scripted connection as its own kernel sees it.
type peer struct {
	isn  seq
	sent seq   // stream bytes, FIN included
	old  *peer // before the latest isn=
}

// script turns lines into segments. A line is
//
//	TIME C>S|S>C|C2>S… WHAT [key=value …]
//
// WHAT: SYN, SYNACK, ACK, FIN, RST, data "…" or fin "…" (payload and FIN in
// one). Without keys the sender is next in its own stream and acknowledges all
// that the other end sent. Keys: isn=N (SYN), at=N (stream offset of the first
// byte), ack=N (stream offset acknowledged), ts=N, urg=N, win=N, wscale=N, cut=N (bytes
// cut by the snap length), echo=N (with ts), and the words lost (sent, never
// captured), badsum, offload, sack, signed, strange, unsummed, fin, twice
// (captured two times), noack, old (numbers of before the latest isn=). syn "…" is a SYN with payload.
type script struct {
	ends  map[string]*[2]peer
	shift [2]seq // added to the numbers of both sides
}

func (sc *script) line(text string) (segs []capture.Segment, at capture.Time, err error) {
	when, rest, _ := strings.Cut(text, " ")
	secs, err := strconv.ParseFloat(when, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("%q: %w", text, err)
	}
	at = epoch.Add(time.Duration(secs*1e6+0.5) * time.Microsecond)
	rest = strings.TrimSpace(rest)
	if rest == "tick" {
		return nil, at, nil
	}
	who, rest, _ := strings.Cut(rest, " ")
	what, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
	var payload string
	if what == "data" || what == "fin" || what == "syn" {
		quoted, err := strconv.QuotedPrefix(strings.TrimSpace(rest))
		if err != nil {
			return nil, 0, fmt.Errorf("%q: %w", text, err)
		}
		rest = strings.TrimSpace(rest)[len(quoted):]
		payload, _ = strconv.Unquote(quoted)
	}
	segs, err = sc.build(at, who, what, payload, strings.Fields(rest))
	return segs, at, err
}

func (sc *script) build(at capture.Time, who, what, payload string, keys []string) ([]capture.Segment, error) {
	from, to, ok := strings.Cut(who, ">")
	if !ok {
		return nil, fmt.Errorf("who is %q", who)
	}
	dir, client := capture.ToServer, from
	if from == "S" {
		dir, client = capture.ToClient, to
	}
	if sc.ends == nil {
		sc.ends = map[string]*[2]peer{}
	}
	if sc.ends[client] == nil {
		sc.ends[client] = &[2]peer{{isn: 1000}, {isn: 5000}}
	}
	me, other := &sc.ends[client][dir], &sc.ends[client][dir.Reverse()]
	port := uint16(40000)
	if n, err := strconv.Atoi(client[1:]); err == nil {
		port += uint16(n)
	}
	s := capture.Segment{At: at, Src: capture.EndpointOf(netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), port)), Dst: serverEnd, Window: 65535}
	if dir == capture.ToClient {
		s.Src, s.Dst = s.Dst, s.Src
	}
	opt := map[string]int64{}
	for _, k := range keys {
		name, v, _ := strings.Cut(k, "=")
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil && v != "" {
			return nil, err
		}
		opt[name] = n
	}
	has := func(name string) bool { _, ok := opt[name]; return ok }
	if has("isn") {
		before := *me
		*me = peer{isn: seq(opt["isn"]), old: &before}
	}
	if has("old") {
		if me.old != nil {
			me = me.old
		}
		if other.old != nil {
			other = other.old
		}
	}
	s.Flags = map[string]capture.Flags{"SYN": capture.SYN, "syn": capture.SYN, "SYNACK": capture.SYN | capture.ACK, "ACK": capture.ACK, "data": capture.ACK | capture.PSH,
		"FIN": capture.FIN | capture.ACK, "fin": capture.FIN | capture.ACK, "RST": capture.RST | capture.ACK}[what]
	if s.Flags == 0 {
		return nil, fmt.Errorf("what is %q", what)
	}
	if has("noack") {
		s.Flags &^= capture.ACK
	}
	offset, ack := me.sent, other.sent
	if what == "SYNACK" {
		ack = 0
	}
	if has("at") {
		offset = seq(opt["at"])
	}
	if has("ack") {
		ack = seq(opt["ack"])
	}
	s.Seq, s.Ack = uint32(me.isn+1+offset), uint32(other.isn+1+ack)
	if s.Flags.Has(capture.SYN) {
		s.Seq = uint32(me.isn)
	}
	s.Seq += uint32(sc.shift[dir])
	s.Ack += uint32(sc.shift[dir.Reverse()])
	s.Payload = []byte(payload)
	end := offset + seq(len(payload))
	if s.Flags.Has(capture.FIN) {
		end++
	}
	if end.after(me.sent) && !has("badsum") && s.Flags&(capture.SYN|capture.RST) == 0 {
		me.sent = end
	}
	if has("ts") {
		s.HasTS, s.TSVal = true, uint32(opt["ts"])
	}
	if has("wscale") {
		s.HasWScale, s.WScale = true, uint8(opt["wscale"])
	}
	if has("urg") {
		s.Flags |= capture.URG
		s.Urgent = uint16(opt["urg"])
	}
	if has("win") {
		s.Window = uint16(opt["win"])
	}
	s.HasSACK, s.Signed, s.Strange, s.Unsummed = has("sack"), has("signed"), has("strange"), has("unsummed")
	s.TSEcr = uint32(opt["echo"])
	if has("fin") {
		s.Flags |= capture.FIN
	}
	checksum(&s, has("badsum"), has("offload"))
	if n := int(opt["cut"]); n > 0 {
		s.Payload, s.Missing = s.Payload[:len(s.Payload)-n], n
	}
	switch {
	case has("lost"):
		return nil, nil
	case has("twice"):
		dup := s
		dup.At++
		return []capture.Segment{s, dup}, nil
	}
	return []capture.Segment{s}, nil
}

// checksum gives s a TCP header with the right sum, a wrong one, or the bare
// sum of the pseudo header that offloading hosts leave.
func checksum(s *capture.Segment, bad, offload bool) {
	tcp := make([]byte, 20, 20+len(s.Payload))
	binary.BigEndian.PutUint16(tcp[0:], s.Src.Port())
	binary.BigEndian.PutUint16(tcp[2:], s.Dst.Port())
	binary.BigEndian.PutUint32(tcp[4:], s.Seq)
	binary.BigEndian.PutUint32(tcp[8:], s.Ack)
	tcp[12], tcp[13] = 5<<4, byte(s.Flags)
	binary.BigEndian.PutUint16(tcp[14:], s.Window)
	s.TCP = append(tcp, s.Payload...)
	s.Payload = s.TCP[20:]
	s.Pseudo = 0x1234
	sum := s.Pseudo
	for i := 0; i < len(s.TCP); i += 2 {
		sum += uint32(s.TCP[i]) << 8
		if i+1 < len(s.TCP) {
			sum += uint32(s.TCP[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	field := ^uint16(sum)
	switch {
	case offload:
		field = uint16(s.Pseudo)
	case bad:
		field ^= 0x5a5a
	}
	binary.BigEndian.PutUint16(tcp[16:], field)
}

// run plays lines and returns the events as text, which must not depend on
// when the HTTP halves of connections that wait are taken back, nor on where
// the numbers begin.
func run(t *testing.T, o Options, lines string) string {
	t.Helper()
	out := runOnce(t, o, lines, false, [2]seq{})
	if again := runOnce(t, o, lines, true, [2]seq{}); again != out {
		t.Errorf("with resting calls:\n%s\nwithout:\n%s", again, out)
	}
	for _, shift := range [][2]seq{{1 << 31, 3 << 30}, {1<<31 - 1020, 1<<31 - 5020}, {1<<32 - 1020, 1<<32 - 5020}} {
		if again := runOnce(t, o, lines, false, shift); again != out {
			t.Errorf("with numbers that begin %d, %d later:\n%s\nwithout:\n%s", shift[0], shift[1], again, out)
		}
	}
	return out
}

func runOnce(t *testing.T, o Options, lines string, rest bool, shift [2]seq) string {
	t.Helper()
	tr := New(o)
	sc := script{shift: shift}
	var out strings.Builder
	now := epoch
	var events []Event
	for _, text := range strings.Split(strings.TrimSpace(lines), "\n") {
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		segs, at, err := sc.line(text)
		if err != nil {
			t.Fatalf("line %q: %v", text, err)
		}
		if at <= now {
			at = now + 1
		}
		now = at
		for i := range segs {
			segs[i].At = now + capture.Time(i)
			s := segs[i]
			s.Payload = slices.Clone(s.Payload)
			events = tr.Segment(events[:0], &s)
			clear(s.Payload) // which is not kept
			write(&out, events)
			tr.Recycle()
			if rest {
				tr.collectWaiting()
			}
			verify(t, tr)
		}
		now += capture.Time(max(0, len(segs)-1))
		if len(segs) == 0 {
			write(&out, tr.Advance(nil, now))
			verify(t, tr)
		}
	}
	inFlight, unconfirmed := tr.Stats().InFlight, tr.Stats().Unconfirmed
	write(&out, tr.Finish(nil, now+1000))
	tr.Recycle()
	st := tr.Stats()
	st.InFlight, st.Unconfirmed = inFlight, unconfirmed // at the end, before everything is let go
	if st.Buffered != 0 {
		fmt.Fprintf(&out, "buffered %d\n", st.Buffered)
	}
	tally(&out, &st)
	return out.String()
}

var kindNames = [...]string{Opened: "opened", RequestStarted: "request_started", RequestSeen: "request_seen", ResponseSeen: "response_seen",
	ExchangeDone: "exchange_done", HalfClosed: "half_closed", Gap: "gap", Odd: "odd", Closed: "closed", SynUnanswered: "syn_unanswered", Refused: "refused",
	Established: "established", HeadSeen: "head_seen", RequestProgress: "request_progress", ResponseProgress: "response_progress", Retransmitting: "retransmitting", Acknowledged: "acknowledged",
	WindowClosed: "window_closed", WindowOpened: "window_opened", Knocked: "knocked", PortRefused: "port_refused"}
var sideNames = [...]string{"nobody", "client", "server"}
var howNames = [...]string{"still_open", "fin", "rst", "idle", "eviction", "capture_end", "reuse", "pause"}
var stateNames = [...]string{"syn", "handshake", "open", "half_closed", "server_closed", "closed", "reset", "zombie", "evicted"}
var outcomeNames = [...]string{"unfinished", "answered", "client_gone", "server_closed", "server_reset", "cut", "lost", "unread"}
var tcpOddNames = map[Oddity]string{OverlapDiffers: "overlap_differs", BadTCPChecksum: "bad_checksum", ResetOutOfWindow: "reset_out_of_window",
	SynInConnection: "syn_in_connection", DataInSyn: "data_in_syn", UrgentData: "urgent_data", StaleTimestamp: "stale_timestamp", DataAfterFin: "data_after_fin", PacketCut: "packet_cut"}

// ofSegments reports whether an event tells of segments: how bytes were cut
// decides whether it comes. Traces that are not about them leave them out.
func ofSegments(e *Event) bool { return e.Kind > Refused }

func write(out *strings.Builder, events []Event) {
	for i := range events {
		if ofSegments(&events[i]) {
			continue
		}
		out.WriteString(describe(&events[i]) + "\n")
	}
}

// describe writes an event as a line, without what the HTTP half's own tests
// look at.
func describe(e *Event) string {
	s := fmt.Sprintf("%.6f %s", e.At.Sub(epoch).Seconds(), kindNames[e.Kind])
	if e.Due {
		s += " due"
	}
	switch e.Kind {
	case Opened:
		if e.MidStream {
			s += " mid_stream"
		}
		s += fmt.Sprintf(" client=%d", e.Flow.Client.Port())
	case Retransmitting, Acknowledged:
		s += " " + e.Dir.String()
	case RequestProgress, ResponseProgress, WindowClosed, WindowOpened:
		s += fmt.Sprintf(" %s bytes=%d", e.Dir, e.Bytes)
	case Knocked, PortRefused:
		s += fmt.Sprintf(" client=%d port=%d", e.Flow.Client.Port(), e.Flow.Server.Port())
	case HalfClosed:
		s += " by=" + sideNames[e.By]
	case Gap:
		s += fmt.Sprintf(" %s bytes=%d", e.Dir, e.Bytes)
	case Odd:
		name := tcpOddNames[e.Odd]
		if name == "" {
			name = fmt.Sprintf("http_%d", e.Odd)
		}
		s += fmt.Sprintf(" %s %s", name, e.Dir)
	case Closed:
		c := e.Summary
		s += fmt.Sprintf(" by=%s how=%s state=%s exchanges=%d bytes=%d/%d history=%s", sideNames[e.By], howNames[e.How], stateNames[c.State],
			c.Exchanges, c.Bytes[0], c.Bytes[1], c.History)
		if c.CloseWait != 0 {
			s += fmt.Sprintf(" close_wait=%.6f", c.CloseWait.Sub(epoch).Seconds())
		}
	case RequestSeen:
		s += fmt.Sprintf(" %s %s body=%q", e.Exchange.Method, e.Exchange.Target, e.Exchange.Body)
	case ResponseSeen:
		s += fmt.Sprintf(" %d", e.Exchange.Status)
	case ExchangeDone:
		s += " " + outcomeNames[e.Exchange.Outcome]
	}
	return s
}

// tally writes the counters that are not zero.
func tally(out *strings.Builder, st *Stats) {
	for _, c := range []struct {
		name string
		n    uint64
	}{
		{"ignored", st.Ignored}, {"orphans", st.Orphans}, {"tombstoned", st.Tombstoned}, {"retransmitted", st.Retransmitted},
		{"out_of_order", st.OutOfOrder}, {"bad_checksum", st.BadChecksum}, {"gaps", st.Gaps}, {"gap_bytes", st.GapBytes},
		{"buffer_dropped", st.BufferDropped}, {"evicted_half_open", st.EvictedHalfOpen}, {"evicted_idle", st.EvictedIdle},
		{"evicted_busy", st.EvictedBusy}, {"unadmitted", st.Unadmitted}, {"unacceptable", st.Unacceptable}, {"in_flight", uint64(st.InFlight)}, {"unconfirmed", uint64(st.Unconfirmed)},
	} {
		if c.n != 0 {
			fmt.Fprintf(out, "%s %d\n", c.name, c.n)
		}
	}
}
