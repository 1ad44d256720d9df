package ruletest

import (
	"fmt"
	"net/netip"
	"time"

	"stallwatch/capture"
	"stallwatch/rules"
)

// write writes a trace onto a Wire and returns when its last step ends.
func write(w *Wire, steps []Step, set *rules.Set) (end capture.Time, err error) {
	end = Epoch
	total, size := 0, 0
	for i := range steps {
		s := &steps[i]
		if total += s.Times; total > maxSteps {
			return end, fmt.Errorf("the trace has more than %d calls", maxSteps)
		}
		request, err := s.request(set)
		if err != nil {
			return end, fmt.Errorf("step %d of the trace: %w", i+1, err)
		}
		if size += s.Times * (len(request) + s.Bytes); size > maxTraceBytes {
			return end, fmt.Errorf("the trace has more than %d bytes of requests and answers: fewer times, or smaller bytes", maxTraceBytes)
		}
		client := s.Client
		for n := range s.Times {
			if n%s.Clients == 0 {
				client = s.Client
			}
			at := Epoch.Add(time.Duration(s.At) + time.Duration(n)*time.Duration(s.Every))
			end = max(end, s.once(w, at, client, request))
			client = after(client)
		}
	}
	return end, nil
}

// after is the next address: of IPv6 the next /64, which is the next client.
func after(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a.Next()
	}
	b := a.As16()
	for i := 7; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			break
		}
	}
	return netip.AddrFrom16(b)
}

// request is the bytes that a step sends.
func (s *Step) request(set *rules.Set) ([]byte, error) {
	method, target, body := s.Method, s.Target, s.Body
	if s.Command != "" {
		c := set.Command("", s.Command)
		if c == nil {
			var names []string
			for _, c := range set.Commands() {
				names = append(names, c.Name)
			}
			return nil, fmt.Errorf("no command is named %q (%s)", brief(s.Command), rules.Hint(s.Command, names))
		}
		var ok bool
		var example string
		if method, target, example, ok = set.Example(c); !ok {
			return nil, fmt.Errorf("%s has no request of its own: give a body", brief(s.Command))
		}
		if body == "" {
			body = example
		}
	}
	if method == "" {
		method = "POST"
	}
	if target == "" {
		target = "/"
	}
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: node\r\n", method, target)
	if s.Agent != "" {
		head += "User-Agent: " + s.Agent + "\r\n"
	}
	if body != "" || method == "POST" {
		head += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return []byte(head + "\r\n" + body), nil
}

// once writes a step and returns when it ends.
func (s *Step) once(w *Wire, at capture.Time, client netip.Addr, request []byte) capture.Time {
	switch {
	case s.Sample != nil:
		w.Sample(at, s.Sample.sample(s.Server))
		return at
	case s.Lost > 0:
		w.Lose(at, s.Lost)
		return at
	case s.Refused || s.Unanswered:
		w.Syn(at, client, s.Server, s.Refused)
		return at.Add(time.Second)
	}
	return s.call(w.Open(at, client, s.Server), at.Add(time.Millisecond), request)
}

// call writes a request, its answer and the end of its connection.
func (s *Step) call(c *Conn, at capture.Time, request []byte) capture.Time {
	type act struct {
		at capture.Time
		do func(capture.Time)
	}
	c.Send(at, capture.ToServer, request)
	at = at.Add(50 * time.Microsecond)
	var acts []act
	add := func(after *Span, do func(capture.Time)) {
		if after != nil {
			acts = append(acts, act{at.Add(time.Duration(*after)), do})
		}
	}
	add(s.Answer, func(t capture.Time) { c.Send(t, capture.ToClient, s.response()) })
	add(s.Leave, func(t capture.Time) { c.Fin(t, capture.ToServer) })
	add(s.Reset, func(t capture.Time) { c.Reset(t, capture.ToServer) })
	add(s.Close, func(t capture.Time) { c.Fin(t, capture.ToClient) })
	if s.Answer != nil && s.Leave == nil && s.Reset == nil && s.Close == nil {
		acts = append(acts, act{at.Add(time.Duration(*s.Answer) + 100*time.Millisecond), func(t capture.Time) {
			c.Fin(t, capture.ToServer)
			c.Fin(t.Add(50*time.Microsecond), capture.ToClient)
		}})
	}
	end := at
	for len(acts) > 0 { // in order of time: sequence numbers follow it
		first := 0
		for i := range acts {
			if acts[i].at < acts[first].at {
				first = i
			}
		}
		acts[first].do(acts[first].at)
		end = max(end, acts[first].at)
		acts = append(acts[:first], acts[first+1:]...)
	}
	return end
}

func (s *Step) response() []byte {
	status, n := s.Status, s.Bytes
	if status == 0 {
		status = 200
	}
	if n == 0 {
		n = 2
	}
	body := make([]byte, n)
	for i := range body {
		body[i] = ' '
	}
	copy(body, "{}")
	return append(fmt.Appendf(nil, "HTTP/1.1 %d Status\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", status, n), body...)
}

// sample makes a sample of the process that serves server.
func (s *Sample) sample(server netip.AddrPort) *capture.Sample {
	x := &capture.Sample{PID: 1, Process: "node", FDs: s.FDs, FDLimit: s.FDLimit, Unaccepted: s.Unaccepted, Addrs: []netip.Addr{server.Addr()}}
	x.Sockets[capture.CloseWait] = s.CloseWait
	x.Listen = []capture.Backlog{{Addr: server, Queue: s.Queue, Max: max(s.QueueMax, 1)}}
	return x
}
