package httpreassembly

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"stallwatch/capture"
)

// h2Peer writes one direction's frames with the library that servers use.
type h2Peer struct {
	out    bytes.Buffer
	block  bytes.Buffer
	frames *http2.Framer
	enc    *hpack.Encoder
}

func newH2Peer() *h2Peer {
	p := &h2Peer{}
	p.frames = http2.NewFramer(&p.out, nil)
	p.frames.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.block)
	return p
}

// headers encodes the pairs of name and value.
func (p *h2Peer) headers(pairs ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		p.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return bytes.Clone(p.block.Bytes())
}

func (p *h2Peer) take() []byte {
	b := bytes.Clone(p.out.Bytes())
	p.out.Reset()
	return b
}

func (p *h2Peer) request(id uint32, end bool, path string, more ...string) {
	block := p.headers(append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "node:14265", "user-agent", "h2/1"}, more...)...)
	// Padded, with a priority, and split: everything a block can be.
	p.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:3], EndStream: end, PadLength: 5,
		Priority: http2.PriorityParam{StreamDep: 0, Weight: 7}})
	p.frames.WriteContinuation(id, false, block[3:5])
	p.frames.WriteContinuation(id, true, block[5:])
}

func (p *h2Peer) answer(id uint32, end bool, status string, more ...string) {
	p.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.headers(append([]string{":status", status}, more...)...), EndStream: end, EndHeaders: true})
}

// h2Turns is a connection with everything ordinary on it.
func h2Turns() []turn {
	c, s := newH2Peer(), newH2Peer()
	var turns []turn
	say := func() {
		if b := c.take(); len(b) > 0 {
			turns = append(turns, turn{capture.ToServer, b})
		}
		if b := s.take(); len(b) > 0 {
			turns = append(turns, turn{capture.ToClient, b})
		}
	}
	c.out.WriteString(http2.ClientPreface)
	c.frames.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 1})
	say()
	s.frames.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 8192}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
	s.frames.WriteSettingsAck()
	say()
	c.request(1, false, "/", "content-type", "application/json", "x-iota-api-version", "1", "x-forwarded-for", "192.0.2.1", "x-forwarded-for", "192.0.2.2")
	c.frames.WriteDataPadded(1, false, []byte(`{"command":`), []byte{0, 0, 0})
	c.request(3, true, "/health")
	c.frames.WritePing(false, [8]byte{1})
	c.frames.WriteData(1, true, []byte(`"getNodeInfo"}`))
	say()
	s.answer(3, true, "204")
	s.answer(1, false, "103")
	s.answer(1, false, "200", "content-type", "application/json")
	s.frames.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: s.headers(":method", "GET", ":path", "/pushed"), EndHeaders: true})
	s.answer(2, true, "200")
	s.frames.WriteData(1, false, []byte(`{"duration":`))
	s.frames.WriteWindowUpdate(0, 100)
	s.frames.WriteData(1, false, []byte(`7}`))
	s.answer(1, true, "0", "grpc-status", "0") // trailers
	say()
	c.request(5, true, "/hangs")
	c.request(7, true, "/given-up")
	c.request(9, false, "/unfinished")
	c.frames.WriteRSTStream(7, http2.ErrCodeCancel)
	say()
	s.frames.WriteRSTStream(9, http2.ErrCodeRefusedStream)
	say()
	return turns
}

// playH2 plays turns, a second apart, in cuts, and returns what is told.
func playH2(turns []turn, cut cutter) (*httpPlayer, string) {
	p := newHTTPPlayer()
	for i, t := range turns {
		for b := t.b; len(b) > 0; {
			n := cut(len(b))
			p.m.bytes(&p.sh, &p.id, t.dir, epoch.Add(time.Duration(i)*time.Second), b[:n])
			p.tell()
			b = b[n:]
		}
	}
	return p, p.out.String()
}

func TestH2Streams(t *testing.T) {
	p, got := playH2(h2Turns(), inOne)
	for _, want := range []string{
		"odd to_server http2 (prior knowledge)",
		"request_seen #1 POST / ", `xff="192.0.2.1, 192.0.2.2"`, `body="{\"command\":\"getNodeInfo\"}"`,
		"request_seen #2 POST /health", "response_seen #2 204", "exchange_done #2 answered",
		"response_seen #1 200", `exchange_done #1 answered content=14`, `tail="{\"duration\":7}"`,
		"request_seen #3 POST /hangs", "exchange_done #4 client_gone", "exchange_done #5 server_reset",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %s; got\n%s", want, got)
		}
	}
	if p.m.owed() != 1 || !p.m.busy() || p.sh.stats.InFlight != 1 || p.sh.stats.StreamResets != 2 || p.m.protocol() != ProtoHTTP2 {
		t.Errorf("owed %d, in flight %d, resets %d; want 1, 1, 2", p.m.owed(), p.sh.stats.InFlight, p.sh.stats.StreamResets)
	}
	// The client leaves: what hangs goes on hanging.
	p.m.end(&p.sh, &p.id, capture.ToServer, epoch.Add(time.Minute), 0)
	if p.m.owed() != 1 {
		t.Errorf("after the client's FIN %d are owed, want 1", p.m.owed())
	}
	p.m.reset(&p.sh, &p.id, Client, epoch.Add(time.Minute))
	if p.m.owed() != 1 {
		t.Errorf("after the client's RST %d are owed, want 1", p.m.owed())
	}
	p.m.abandon(&p.sh, &p.id, epoch.Add(2*time.Minute), ByIdle, true)
	p.sh.pool.recycle()
	if st := p.sh.stats; st.Buffered != 0 || st.InFlight != 0 || p.sh.pool.alive != 0 {
		t.Errorf("after the end: %d bytes, %d in flight, %d alive", st.Buffered, st.InFlight, p.sh.pool.alive)
	}
}

// TestH2AnyCut: how the bytes are cut changes nothing.
func TestH2AnyCut(t *testing.T) {
	turns := h2Turns()
	_, want := playH2(turns, inOne)
	for seed := range int64(200) {
		cut := atRandom(seed)
		if seed == 0 {
			cut = byBytes
		}
		if _, got := playH2(turns, cut); got != want {
			t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, got, want)
		}
	}
}

// TestH2Upgrade: a request that asks for HTTP/2 is its stream 1.
func TestH2Upgrade(t *testing.T) {
	c, s := newH2Peer(), newH2Peer()
	c.out.WriteString(http2.ClientPreface)
	c.frames.WriteSettings()
	c.request(3, true, "/next")
	s.frames.WriteSettings()
	s.answer(1, true, "200")
	turns := []turn{
		{capture.ToServer, []byte("GET /first HTTP/1.1\r\nHost: n\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")},
		{capture.ToClient, append([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), s.take()...)},
		{capture.ToServer, c.take()},
	}
	for _, cut := range []cutter{inOne, byBytes} {
		p, got := playH2(turns, cut)
		if !strings.Contains(got, "response_seen #1 200") || !strings.Contains(got, "exchange_done #1 answered") || !strings.Contains(got, "request_seen #2 POST /next") || p.m.owed() != 1 {
			t.Errorf("owed %d, want 1; got\n%s", p.m.owed(), got)
		}
	}
}

// TestH2Floods: what attackers send is bounded and named.
func TestH2Floods(t *testing.T) {
	floods := []struct {
		name  string
		odd   Oddity
		write func(c *h2Peer)
	}{
		{"rapid reset", RapidReset, func(c *h2Peer) {
			for i := range uint32(500) {
				c.request(2*i+1, true, "/")
				c.frames.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
			}
		}},
		{"endless continuation", HeadTooLarge, func(c *h2Peer) {
			c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.headers(":method", "GET", ":path", "/")})
			b := c.headers("x", strings.Repeat("y", 4000))
			for range 200 {
				c.frames.WriteContinuation(1, false, b)
			}
		}},
		{"endless streams", PipelineTooDeep, func(c *h2Peer) {
			for i := range uint32(5000) {
				c.request(2*i+1, i%2 == 0, "/")
			}
		}},
		{"header bomb", BadHeader, func(c *h2Peer) {
			c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.headers(":path", strings.Repeat("/", 20_000)), EndHeaders: true})
		}},
		{"interleaved block", BadFrame, func(c *h2Peer) {
			c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.headers(":method", "GET")})
			c.frames.WriteData(1, true, nil)
		}},
		{"padding beyond the frame", BadFrame, func(c *h2Peer) { c.frames.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{9, 1}) }},
		{"stream 0", BadFrame, func(c *h2Peer) { c.frames.WriteRawFrame(http2.FrameData, 0, 0, []byte{9, 1}) }},
	}
	for _, f := range floods {
		c := newH2Peer()
		c.out.WriteString(http2.ClientPreface)
		f.write(c)
		p, _ := playH2([]turn{{capture.ToServer, c.take()}}, func(n int) int { return min(n, 1448) })
		st := p.sh.stats
		if st.Oddities[f.odd] == 0 || st.Buffered > 1<<20 || p.sh.pool.alive > 1024 || st.InFlight != p.m.owed() {
			t.Errorf("%s: %d times its oddity, %d bytes, %d alive, in flight %d, owed %d; oddities %v", f.name, st.Oddities[f.odd], st.Buffered, p.sh.pool.alive, st.InFlight, p.m.owed(), st.Oddities)
		}
		p.m.abandon(&p.sh, &p.id, epoch.Add(time.Hour), ByCaptureEnd, true)
		p.sh.pool.recycle()
		if st := p.sh.stats; st.Buffered != 0 || st.InFlight != 0 || p.sh.pool.alive != 0 {
			t.Errorf("%s: after the end %d bytes, %d in flight, %d alive", f.name, st.Buffered, st.InFlight, p.sh.pool.alive)
		}
	}
}

// TestH2Holes: a hole within content shifts nothing, any other ends it all.
func TestH2Holes(t *testing.T) {
	c := newH2Peer()
	c.out.WriteString(http2.ClientPreface)
	c.request(1, false, "/")
	head := c.take()
	c.frames.WriteData(1, true, bytes.Repeat([]byte("x"), 1000))
	data := c.take()
	p := newHTTPPlayer()
	p.m.bytes(&p.sh, &p.id, capture.ToServer, epoch, append(head, data[:100]...))
	p.m.hole(&p.sh, &p.id, capture.ToServer, epoch, 500)
	p.m.bytes(&p.sh, &p.id, capture.ToServer, epoch, data[600:])
	if p.m.owed() != 1 || p.sh.stats.InFlight != 1 {
		t.Errorf("after a hole in a content %d are owed, want 1", p.m.owed())
	}
	p.m.hole(&p.sh, &p.id, capture.ToServer, epoch, 5)
	p.tell()
	if p.m.owed() != 0 || !strings.Contains(p.out.String(), "exchange_done #1 lost") {
		t.Errorf("after a hole between frames: owed %d, %s", p.m.owed(), p.out.String())
	}
}

func FuzzH2(f *testing.F) {
	for _, t := range h2Turns() {
		f.Add(t.b, []byte{}, int64(1))
	}
	var both [2][]byte
	for _, t := range h2Turns() {
		both[t.dir] = append(both[t.dir], t.b...)
	}
	f.Add(both[0][len(http2.ClientPreface):], both[1], int64(2))
	f.Fuzz(func(t *testing.T, client, server []byte, seed int64) {
		run := func(cut cutter) string {
			turns := []turn{{capture.ToServer, append([]byte(http2.ClientPreface), client...)}, {capture.ToClient, server}}
			p, _ := playH2(turns, cut)
			if st := p.sh.stats; st.InFlight != p.m.owed() || st.Buffered < 0 || p.sh.pool.alive > p.sh.opts.MaxPipeline {
				t.Fatalf("in flight %d, owed %d, %d bytes, %d alive", st.InFlight, p.m.owed(), st.Buffered, p.sh.pool.alive)
			}
			p.m.abandon(&p.sh, &p.id, epoch.Add(time.Hour), ByIdle, true)
			p.tell()
			p.sh.pool.recycle()
			if st := p.sh.stats; st.InFlight != 0 || st.Buffered != 0 || p.sh.pool.alive != 0 {
				t.Fatalf("after the end: in flight %d, %d bytes, %d alive", st.InFlight, st.Buffered, p.sh.pool.alive)
			}
			return p.out.String()
		}
		if a, b := run(inOne), run(atRandom(seed)); a != b {
			t.Fatalf("in one:\n%s\nin cuts:\n%s\nclient %q\nserver %q", a, b, client, server)
		}
	})
}
