package lab

import (
	"bufio"
	"net"
	"net/http"
)

// LeakyProxyCommand is the hidden sub-command under which makelab calls
// LeakyProxy.
const LeakyProxyCommand = "leaky-proxy"

// LeakyProxy is a reverse proxy with the flaw that gives a proxy CLOSE_WAIT of
// its own: it passes calls on and answers them, and when a client closes it
// forgets the connection instead of closing it. It names no client. It ends
// with an error, or when it is killed.
func LeakyProxy(listen, node string) error {
	ln, err := net.Listen("tcp4", listen)
	if err != nil {
		return err
	}
	defer ln.Close()
	p := leakyProxy{node: node, pool: http.Transport{MaxIdleConnsPerHost: 8}}
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		p.forgotten = append(p.forgotten, c)
		go p.passOn(c)
	}
}

type leakyProxy struct {
	node      string
	pool      http.Transport
	forgotten []net.Conn // else the runtime would find and close them
}

// passOn serves a connection's calls, one after the other.
func (p *leakyProxy) passOn(c net.Conn) {
	for br := bufio.NewReader(c); ; {
		req, err := http.ReadRequest(br)
		if err != nil {
			return // the client closed: the flaw
		}
		req.URL.Scheme, req.URL.Host = "http", p.node
		resp, err := p.pool.RoundTrip(req)
		if err != nil {
			resp = &http.Response{StatusCode: http.StatusBadGateway, ProtoMajor: 1, ProtoMinor: 1}
		}
		err = resp.Write(c)
		if resp.Body != nil {
			resp.Body.Close()
		}
		if err != nil {
			return
		}
	}
}
