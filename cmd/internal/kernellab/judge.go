package kernellab

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"stallwatch/capture"
	"stallwatch/capture/decode"
	"stallwatch/httpreassembly"
)

// Request is a request as one side saw it.
type Request struct{ Method, Target, Body string }

// seenConn is a connection as the tracker saw it.
type seenConn struct {
	port     uint16
	requests []Request
	half     int // HalfClosed by the client
	zombie   bool
	closed   int
	bytes    int64 // to the server
}

// seen is what the tracker said of some frames.
type seen struct {
	stats httpreassembly.Stats // before the capture ended
	conns []*seenConn          // in the order in which they were opened
	kinds map[httpreassembly.Kind]int
	odds  map[httpreassembly.Oddity]int
	byID  map[httpreassembly.ConnID]*seenConn
	odd   []string // what no tracker may do
	freed int      // zombies that a refused SYN has ended
}

// Judge runs the frames up to c.At through a decoder and a tracker of their
// own and returns every point in which they contradict the kernel.
func Judge(frames []Frame, c *Check) []string {
	s := watch(frames, c.At)
	d := append([]string(nil), s.odd...)
	d = append(d, s.states(&c.Kernel, c.Blind)...)
	d = append(d, s.streams(&c.Kernel)...)
	for _, name := range c.Says {
		if name, not := strings.CutPrefix(name, "not "); not {
			if s.kinds[kinds[name]] != 0 {
				d = append(d, fmt.Sprintf("the tracker said %s", name))
			}
			continue
		}
		if s.kinds[kinds[name]] == 0 && s.odds[oddities[name]] == 0 {
			d = append(d, fmt.Sprintf("the tracker did not say %s", name))
		}
	}
	return d
}

var oddities = map[string]httpreassembly.Oddity{"request_unread": httpreassembly.RequestUnread}

var kinds = map[string]httpreassembly.Kind{"syn_unanswered": httpreassembly.SynUnanswered, "refused": httpreassembly.Refused}

// watch plays the frames up to at.
func watch(frames []Frame, at capture.Time) *seen {
	s := &seen{kinds: map[httpreassembly.Kind]int{}, odds: map[httpreassembly.Oddity]int{}, byID: map[httpreassembly.ConnID]*seenConn{}}
	dec := decode.New(decode.Options{})
	tr := httpreassembly.New(httpreassembly.Options{Ports: []uint16{serverEnd.Port()}})
	var events []httpreassembly.Event
	var seg capture.Segment
	for i := range frames {
		f := &frames[i]
		if f.At > at {
			break
		}
		p := capture.Packet{Data: f.Data, Length: len(f.Data), Link: capture.LinkEthernet}
		if dec.Segment(&p, f.At, &seg) {
			events = tr.Segment(events[:0], &seg)
			s.take(events)
			tr.Recycle()
		}
	}
	s.take(tr.Advance(events[:0], at))
	tr.Recycle()
	s.stats = tr.Stats()
	s.take(tr.Finish(nil, at+1))
	return s
}

// take folds events, as a consumer would.
func (s *seen) take(events []httpreassembly.Event) {
	for i := range events {
		e := &events[i]
		s.kinds[e.Kind]++
		if e.Kind == httpreassembly.Odd {
			s.odds[e.Odd]++
		}
		c := s.byID[e.Conn]
		if e.Kind == httpreassembly.Opened {
			if c != nil {
				s.odd = append(s.odd, fmt.Sprintf("connection %d opened twice", e.Conn))
			}
			c = &seenConn{port: e.Flow.Client.Port()}
			s.byID[e.Conn] = c
			s.conns = append(s.conns, c)
		}
		if e.Kind == httpreassembly.Refused {
			s.refused()
		}
		if c == nil {
			continue // a SYN, or what it carried, before any answer
		}
		switch e.Kind {
		case httpreassembly.RequestSeen:
			x := e.Exchange
			c.requests = append(c.requests, Request{string(x.Method), string(x.Target), string(x.Body)})
		case httpreassembly.HalfClosed:
			if e.By == httpreassembly.Client {
				c.half++
			}
		case httpreassembly.Closed:
			c.closed++
			c.bytes = e.Summary.Bytes[capture.ToServer]
			c.zombie = e.Summary.State == httpreassembly.StateZombie
		}
		if c.half > 1 || c.closed > 1 {
			s.odd = append(s.odd, fmt.Sprintf("connection %d half closed %d times, closed %d times", e.Conn, c.half, c.closed))
		}
	}
}

// refused ends the zombies: nobody listens, so the process is gone. The
// tracker leaves that to its consumers, since they may be in another shard.
func (s *seen) refused() {
	for _, c := range s.conns {
		if c.zombie {
			c.zombie = false
			s.freed++
		}
	}
}

// states compares how many connections are in which state.
func (s *seen) states(k *Kernel, b Blind) []string {
	conns := s.stats.Conns
	open, half := conns[httpreassembly.StateOpen], conns[httpreassembly.StateHalfClosed]
	established, closeWait := k.count(capture.Established), k.count(capture.CloseWait)
	unseen := b.Deferred + b.Stateless
	var d []string
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"open or half closed, beyond the kernel's established and close_wait", open + half - established - closeWait, unseen},
		{"handshake", conns[httpreassembly.StateHandshake], k.count(capture.SynRecv) - b.Deferred + b.Cookies},
		{"server_closed", conns[httpreassembly.StateServerClosed], k.count(capture.FinWait1, capture.FinWait2)},
		{"zombie", conns[httpreassembly.StateZombie] - s.freed, k.dead() - b.Idle - b.Expired},
	} {
		if c.got != c.want {
			d = append(d, fmt.Sprintf("%s: the tracker says %d, the kernel %d", c.what, c.got, c.want))
		}
	}
	if open < established || half < closeWait {
		d = append(d, fmt.Sprintf("open %d, half closed %d: the kernel says established %d, close_wait %d", open, half, established, closeWait))
	}
	if s.stats.Unconfirmed < unseen {
		d = append(d, fmt.Sprintf("unconfirmed: the tracker says %d, the row at least %d", s.stats.Unconfirmed, unseen))
	}
	return d
}

// streams compares what the tracker read with what the application read and
// the kernel keeps for it.
func (s *seen) streams(k *Kernel) []string {
	var d []string
	used := map[*seenConn]bool{}
	for i := range k.Apps {
		a := &k.Apps[i]
		c := s.next(a.Port, used)
		if c == nil {
			d = append(d, fmt.Sprintf("client %d: the tracker does not know an accepted connection", a.Port))
			continue
		}
		d = append(d, c.compare(a, k.socket(a, i))...)
	}
	for i := range k.Sockets {
		if sock := &k.Sockets[i]; sock.queued() {
			if c := s.next(sock.Port, used); c == nil {
				d = append(d, fmt.Sprintf("client %d: the tracker does not know a connection in the accept queue", sock.Port))
			} else {
				d = append(d, c.compare(&App{Port: sock.Port}, sock)...)
			}
		}
	}
	return d
}

// next returns the first connection of port that was not returned before:
// accept is first in, first out.
func (s *seen) next(port uint16, used map[*seenConn]bool) *seenConn {
	for _, c := range s.conns {
		if c.port == port && !used[c] {
			used[c] = true
			return c
		}
	}
	return nil
}

// socket returns the socket of Apps[i], which of several on one port is the
// last; nil if it is gone.
func (k *Kernel) socket(a *App, i int) *Socket {
	for _, later := range k.Apps[i+1:] {
		if later.Port == a.Port {
			return nil
		}
	}
	for j := range k.Sockets {
		if k.Sockets[j].Port == a.Port && k.Sockets[j].Accepted {
			return &k.Sockets[j]
		}
	}
	return nil
}

// compare holds c against what the application read and, if it still has its
// socket, what lies there unread.
func (c *seenConn) compare(a *App, sock *Socket) []string {
	var d []string
	want := requestsIn(a.Read)
	whole := a.End == "EOF"
	if sock != nil {
		unread := sock.Unread
		if (sock.State == capture.CloseWait.String() || sock.State == capture.Closing.String()) && a.End == "" {
			unread-- // a FIN that was not read counts as a byte in the table
		}
		whole = whole || unread == 0
		if n := int64(len(a.Read) + unread); c.bytes != n {
			d = append(d, fmt.Sprintf("client %d: the tracker saw %d bytes, the server's kernel %d", a.Port, c.bytes, n))
		}
	}
	got := c.requests
	if !whole {
		got = got[:min(len(got), len(want))]
	}
	if !slices.Equal(got, want) {
		d = append(d, fmt.Sprintf("client %d: the tracker saw the requests %q, the application read %q", a.Port, got, want))
	}
	return d
}

// requestsIn returns the whole requests of a stream.
func requestsIn(stream string) []Request {
	var all []Request
	r := bufio.NewReader(strings.NewReader(stream))
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return all
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return all
		}
		all = append(all, Request{req.Method, req.RequestURI, string(body)})
	}
}
