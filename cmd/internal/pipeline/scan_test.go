package pipeline

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"stallwatch/capture"
	"stallwatch/cmd/internal/synth"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// long are contents whose command stands behind what is kept of them, or
// before it. The names are what must be found.
func long() []struct{ want, encoding, body string } {
	list := `"addresses":[` + strings.Repeat(`"`+strings.Repeat("A", 81)+`",`, 2500) + `"x"]`
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	// Text that does not compress away, so that the packed content is long too.
	fmt.Fprint(z, `{"command":"getTrytes","a":"`)
	for i := range 40_000 {
		fmt.Fprintf(z, "%x", i*2654435761)
	}
	z.Close()
	return []struct{ want, encoding, body string }{
		{"getBalances", "", `{` + list + `,"command":"getBalances"}`},
		{"findTransactions", "", `{` + list + `,"command":"findTransactions",` + list + `}`},
		{"getNodeInfo", "", `{"command":"getNodeInfo",` + list + `}`},
		{"getTrytes", "gzip", zipped.String()},
		{"getNodeInfo", "", `{"command":"getNodeInfo"}`},
		{"getBalances", "gzip", `{` + list + `,"command":"getBalances"}`}, // nodes do not look at the field
	}
}

// uploads plays the contents on connections of their own, in segments of n
// bytes in turn.
func uploads(t *testing.T, n int) []capture.Item {
	t.Helper()
	var f synth.Forge
	var items []capture.Item
	at := synth.Start
	send := func(k int, dir capture.Dir, flags capture.Flags, seq, ack uint32, b []byte) {
		at++
		data := f.Frame(k, dir, flags, seq, ack, b)
		items = append(items, capture.Item{At: at, Kind: capture.PacketSeen,
			Packet: capture.Packet{Data: bytes.Clone(data), Length: len(data), Link: capture.LinkEthernet}})
	}
	var msgs [][]byte
	for k, l := range long() {
		send(k, capture.ToServer, capture.SYN, 99, 0, nil)
		send(k, capture.ToClient, capture.SYN|capture.ACK, 499, 100, nil)
		head := fmt.Sprintf("POST / HTTP/1.1\r\nHost: n\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n", l.encoding, len(l.body))
		if l.encoding == "" {
			head = fmt.Sprintf("POST / HTTP/1.1\r\nHost: n\r\nContent-Length: %d\r\n\r\n", len(l.body))
		}
		msgs = append(msgs, append([]byte(head), l.body...))
	}
	for off, more := 0, true; more; off += n {
		more = false
		for k, m := range msgs {
			if off < len(m) {
				more = true
				end := min(off+n, len(m))
				send(k, capture.ToServer, capture.ACK, 100+uint32(off), 500, m[off:end])
				if off/30000 != end/30000 { // or the node's window would be full
					send(k, capture.ToClient, capture.ACK, 500, 100+uint32(end), nil)
				}
			}
		}
	}
	return items
}

type named struct {
	discard
	got map[uint16]string
}

func (n *named) Event(ev *httpreassembly.Event, v *rules.Verdict) {
	if ev.Kind == httpreassembly.BodyPart {
		n.got[0] = "a BodyPart came through"
	}
	if ev.Kind == httpreassembly.RequestSeen {
		n.got[ev.Flow.Client.Port()] = v.Command.Name
	}
}

// TestCommandsOfLongContents: a command is named wherever it stands, whatever
// the cuts, shards and rounds, and nothing of it stays in memory.
func TestCommandsOfLongContents(t *testing.T) {
	for _, cut := range []int{1448, 9000, 211} {
		items := uploads(t, cut)
		for _, shards := range []int{1, 3} {
			sink := named{got: map[uint16]string{}}
			p, err := New(Options{Rules: rules.Default(), Shards: shards, Round: 500, Tracker: httpreassembly.Options{Ports: []uint16{synth.ServerPort}}}, &sink)
			if err != nil {
				t.Fatal(err)
			}
			for i := range items {
				p.Item(&items[i])
			}
			p.Flush()
			for k, l := range long() {
				if got := sink.got[synth.ClientPort(k)]; got != l.want {
					t.Errorf("cut %d, %d shards: content %d is %q, want %s", cut, shards, k, got, l.want)
				}
			}
			if sink.got[0] != "" {
				t.Error(sink.got[0])
			}
			for _, sh := range p.shards {
				if len(sh.contents.open)+len(sh.contents.refused) > 0 {
					t.Errorf("%d contents are still open", len(sh.contents.open))
				}
			}
		}
	}
}

// TestContentsAreBounded: beyond MaxScans a long content is not read, which
// is counted, and its call is timed all the same.
func TestContentsAreBounded(t *testing.T) {
	sink := named{got: map[uint16]string{}}
	p, err := New(Options{Rules: rules.Default(), MaxScans: 1, Tracker: httpreassembly.Options{Ports: []uint16{synth.ServerPort}}}, &sink)
	if err != nil {
		t.Fatal(err)
	}
	items := uploads(t, 1448)
	for i := range items {
		p.Item(&items[i])
	}
	st := p.Stats()
	if st.Unscanned != 4 || st.Tracker.Requests != 6 || sink.got[synth.ClientPort(0)] != "getBalances" || sink.got[synth.ClientPort(1)] != rules.Other {
		t.Errorf("unscanned %d of %d requests, named %v; want 4 of 6, the first by name", st.Unscanned, st.Tracker.Requests, sink.got)
	}
}
