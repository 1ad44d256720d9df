package httpreassembly

import (
	"fmt"
	"math/rand"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
)

var httpOddNames = map[Oddity]string{
	NotHTTP: "not_http", TLSInstead: "tls", HTTP2Instead: "http2", BadFrame: "bad_frame", RapidReset: "rapid_reset", ProxyHeader: "proxy_header", BadRequestLine: "bad_request_line",
	BadStatusLine: "bad_status_line", BadHeader: "bad_header", ObsFold: "obs_fold", BareLF: "bare_lf", BareCR: "bare_cr", NulInHead: "nul_in_head",
	SpaceBeforeColon: "space_before_colon", HeadTooLarge: "head_too_large", BadContentLength: "bad_content_length",
	ContentLengthDiffers: "content_length_differs", LengthAndChunked: "length_and_chunked", BadTransferCoding: "bad_transfer_coding",
	BadChunk: "bad_chunk", ChunkExtension: "chunk_extension", Trailers: "trailers", MethodUnknown: "method_unknown", VersionUnknown: "version_unknown",
	EarlyResponse: "early_response", UnaskedResponse: "unasked_response", ExtraBytes: "extra_bytes", PipelineTooDeep: "pipeline_too_deep",
	Informational: "informational", RequestUnread: "request_unread", BodyOnBodyless: "body_on_bodyless",
}

var protoNames = [...]string{"unknown", "http1", "tls", "http2", "other", "upgraded"}

// cutter says how many of n bytes come in the next segment.
type cutter func(n int) int

func inOne(n int) int   { return n }
func byBytes(n int) int { return min(n, 1) }

func atRandom(seed int64) cutter {
	r := rand.New(rand.NewSource(seed))
	return func(n int) int { return 1 + r.Intn(min(n, 1+r.Intn(n))) }
}

// httpPlayer plays a script of the HTTP half. Lines, one a second:
//
//	C> "…" | S> "…"            bytes of the client, of the server
//	C> N * "…"                 the same N times
//	C> hole N | S> hole N      N bytes are missing; -1: nobody knows how many
//	C> fin | S> fin [N] | C> rst | S> rst
//	forget idle|eviction|capture_end|reuse
//	option MaxPipeline|MaxHead|BodyPrefix|MaxBuffered N; option Ports none
type httpPlayer struct {
	sh   shared
	id   ident
	m    messages
	doze bool // between messages it rests
	out  strings.Builder
}

func newHTTPPlayer() *httpPlayer {
	p := &httpPlayer{}
	p.sh.opts = Options{Ports: []uint16{14265}}.WithDefaults()
	p.sh.edge = 1 // the client has heard nothing that is missing
	p.id = ident{conn: 1, flow: capture.Flow{Client: capture.EndpointOf(netip.MustParseAddrPort("198.51.100.7:40000")), Server: serverEnd}}
	return p
}

func (p *httpPlayer) line(second int, text string, cut cutter) error {
	at := epoch.Add(time.Duration(second) * time.Second)
	who, what, _ := strings.Cut(text, " ")
	dir, by := capture.ToServer, Client
	if who == "S>" {
		dir, by = capture.ToClient, Server
	}
	word, arg, _ := strings.Cut(what, " ")
	n, err := strconv.ParseInt(arg, 10, 64)
	switch {
	case who == "option":
		return p.option(word, arg)
	case who == "forget":
		for how, name := range howNames {
			if name == word {
				p.m.abandon(&p.sh, &p.id, at, How(how), false)
			}
		}
	case who != "C>" && who != "S>":
		return fmt.Errorf("who is %q", who)
	case word == "hole" && err != nil:
		return err
	case word == "hole":
		p.m.hole(&p.sh, &p.id, dir, at, n)
	case word == "fin":
		p.m.end(&p.sh, &p.id, dir, at, n)
	case word == "rst":
		p.m.reset(&p.sh, &p.id, by, at)
	default:
		return p.bytes(dir, at, what, cut)
	}
	p.tell()
	return nil
}

func (p *httpPlayer) option(name, value string) error {
	n, err := strconv.Atoi(value)
	switch name {
	case "Ports":
		p.sh.opts.Ports, err = nil, nil
	case "MaxPipeline":
		p.sh.opts.MaxPipeline = n
	case "MaxHead":
		p.sh.opts.MaxHead = n
	case "BodyPrefix":
		p.sh.opts.BodyPrefix = n
	case "MaxBuffered":
		p.sh.opts.MaxBuffered = int64(n)
	default:
		return fmt.Errorf("option %q", name)
	}
	return err
}

func (p *httpPlayer) bytes(dir capture.Dir, at capture.Time, what string, cut cutter) error {
	times := 1
	if n, rest, ok := strings.Cut(what, " * "); ok && what[0] != '"' {
		var err error
		if times, err = strconv.Atoi(n); err != nil {
			return err
		}
		what = rest
	}
	text, err := strconv.Unquote(what)
	if err != nil {
		return fmt.Errorf("%q: %w", what, err)
	}
	b := []byte(strings.Repeat(text, times))
	for len(b) > 0 {
		n := cut(len(b))
		piece := append([]byte(nil), b[:n]...)
		p.m.bytes(&p.sh, &p.id, dir, at, piece)
		p.tell()
		for i := range piece {
			piece[i] = 0xee // it was not to be kept
		}
		b = b[n:]
		at++
	}
	return nil
}

// tell writes the events, and consumes them.
func (p *httpPlayer) tell() {
	for i := range p.sh.out {
		if ofSegments(&p.sh.out[i]) {
			continue
		}
		p.out.WriteString(httpLine(&p.sh.out[i]) + "\n")
	}
	p.sh.out = p.sh.out[:0]
	p.sh.pool.recycle()
	if k, owed, ok := p.m.rest(); ok && p.doze {
		p.m = messages{}
		p.m.wake(k, owed)
	}
}

func second(t capture.Time) string {
	if t == 0 {
		return "-"
	}
	return strconv.Itoa(int(t.Sub(epoch) / time.Second))
}

// httpLine writes what is settled at e.
func httpLine(e *Event) string {
	s := second(e.At) + " " + kindNames[e.Kind]
	if e.Due {
		s += " due"
	}
	x := e.Exchange
	switch e.Kind {
	case Odd:
		name := httpOddNames[e.Odd]
		if name == "" {
			name = fmt.Sprintf("nameless_%d", e.Odd)
		}
		s += fmt.Sprintf(" %s %s", e.Dir, name)
		if e.Detail != "" {
			s += fmt.Sprintf(" (%s)", e.Detail)
		}
	case RequestStarted:
		s += fmt.Sprintf(" #%d start=%s", x.Depth, second(x.RequestStart))
	case RequestSeen:
		s += fmt.Sprintf(" #%d %s %s", x.Depth, x.Method, cutText(x.Target))
		for _, f := range []struct {
			name  string
			value []byte
		}{{"host", x.Host}, {"type", x.ContentType}, {"encoding", x.ContentEncoding}, {"agent", x.UserAgent}, {"xff", x.ForwardedFor}, {"forwarded", x.Forwarded}, {"body", x.Body}} {
			if f.value != nil {
				s += fmt.Sprintf(" %s=%q", f.name, cutText(f.value))
			}
		}
		if x.HasAPIVersion {
			s += " api_version"
		}
		if x.Peer != nil {
			s += fmt.Sprintf(" peer=%s>%s", x.Peer.Client, x.Peer.Server)
		}
		s += fmt.Sprintf(" target_bytes=%d content=%d bytes=%d end=%s", x.TargetBytes, x.RequestBody, x.RequestBytes, second(x.RequestEnd))
	case ResponseSeen:
		s += fmt.Sprintf(" #%d %d start=%s", x.Depth, x.Status, second(x.ResponseStart))
	case ExchangeDone:
		s += fmt.Sprintf(" #%d %s content=%d bytes=%d tail=%q end=%s", x.Depth, outcomeNames[x.Outcome], x.ResponseBody, x.ResponseBytes, x.ResponseTail, second(x.ResponseEnd))
		if x.Lost > 0 {
			s += fmt.Sprintf(" lost=%d", x.Lost)
		}
	}
	return s
}

func cutText(b []byte) []byte {
	if len(b) > 40 {
		return append(append([]byte(nil), b[:40]...), "..."...)
	}
	return b
}

// playHTTP plays lines and returns the events and what is left at the end.
func playHTTP(t testing.TB, lines string, cut cutter, doze bool) string {
	t.Helper()
	p := newHTTPPlayer()
	p.doze = doze
	n := 0
	for _, text := range strings.Split(lines, "\n") {
		if text = strings.TrimSpace(text); text == "" || text[0] == '#' {
			continue
		}
		if !strings.HasPrefix(text, "option ") {
			n++
		}
		if err := p.line(n, text, cut); err != nil {
			t.Fatalf("line %q: %v", text, err)
		}
	}
	st := &p.sh.stats
	fmt.Fprintf(&p.out, "= %s owed=%d busy=%v requests=%d responses=%d unpaired=%d",
		protoNames[p.m.protocol()], p.m.owed(), p.m.busy(), st.Requests, st.Responses, st.UnpairedResponses)
	if st.InFlight != p.m.owed() {
		fmt.Fprintf(&p.out, " in_flight=%d", st.InFlight)
	}
	p.out.WriteString("\n")
	p.m.abandon(&p.sh, &p.id, epoch.Add(time.Hour), ByIdle, true)
	for i := range p.sh.out {
		if !p.sh.out[i].Due {
			t.Errorf("event at a deadline is not due: %s", httpLine(&p.sh.out[i]))
		}
	}
	p.sh.out = nil
	p.sh.pool.recycle()
	if st.Buffered != 0 || st.InFlight != 0 {
		t.Errorf("after abandon: buffered %d, in flight %d, want 0\n%s", st.Buffered, st.InFlight, lines)
	}
	return p.out.String()
}
