package hours

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// message writes a request as HTTP/1.1. A body "GET path" or "POST path
// content" is a route.
func message(w *world, cmd *command) []byte {
	content := ""
	if cmd.body != nil {
		content = cmd.body(w)
	} else {
		content = `{"command":"` + cmd.name + `"}`
	}
	method, path := "POST", "/"
	if rest, ok := strings.CutPrefix(content, "GET "); ok {
		method, path, content = "GET", rest, ""
	} else if rest, ok := strings.CutPrefix(content, "POST "); ok {
		path, content, _ = strings.Cut(rest, " ")
	}
	if method == "GET" {
		return []byte("GET " + path + " HTTP/1.1\r\nHost: node\r\nAccept: */*\r\n\r\n")
	}
	return []byte(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nX-IOTA-API-Version: 1\r\nContent-Length: %d\r\n\r\n%s",
		path, len(content), content))
}

var filler = bytes.Repeat([]byte("0123456789abcdef"), 1<<18)

// answer writes a request's answer.
func answer(r *request, status int) []byte {
	size := r.size
	if size == 0 {
		size = int(float64(r.cmd.size) * (0.2 + 1.6*r.c.w.rnd.Float64()))
	}
	size = min(size, len(filler))
	text := "200 OK"
	if status != 200 {
		text, size = "503 Service Unavailable", 27
	}
	if r.c.w.chance(0.2) && size > 0 {
		return append(append(fmt.Appendf(nil, "HTTP/1.1 %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", text, size), filler[:size]...), "\r\n0\r\n\r\n"...)
	}
	return append(fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", text, size), filler[:size]...)
}

// frameOf is an HTTP/2 frame (RFC 9113 section 4.1).
func frameOf(kind, flags byte, id uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = append(b, flags)
	b = binary.BigEndian.AppendUint32(b, id)
	return append(b, payload...)
}

func fields(kv ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for i := 0; i < len(kv); i += 2 {
		e.WriteField(hpack.HeaderField{Name: kv[i], Value: kv[i+1], Sensitive: true})
	}
	return b.Bytes()
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// message2 writes a request as HTTP/2 frames.
func message2(w *world, cmd *command, id uint32) []byte {
	content := ""
	if cmd.body != nil {
		content = cmd.body(w)
	} else {
		content = `{"command":"` + cmd.name + `"}`
	}
	if rest, ok := strings.CutPrefix(content, "GET "); ok {
		return frameOf(1, 5, id, fields(":method", "GET", ":scheme", "http", ":path", rest, ":authority", "node"))
	}
	path := "/"
	if rest, ok := strings.CutPrefix(content, "POST "); ok {
		path, content, _ = strings.Cut(rest, " ")
	}
	kind := "application/json"
	if cmd.name == "grpc" {
		kind = "application/grpc"
	}
	b := frameOf(1, 4, id, fields(":method", "POST", ":scheme", "http", ":path", path, ":authority", "node", "content-type", kind))
	return append(b, frameOf(0, 1, id, []byte(content))...)
}

// finishStream answers on HTTP/2.
func (n *node) finishStream(r *request) {
	c := r.c
	size := min(int(float64(r.cmd.size)*(0.2+1.6*n.w.rnd.Float64())), 16000)
	b := frameOf(1, 4, r.id, fields(":status", "200", "content-type", "application/json"))
	b = append(b, frameOf(0, 1, r.id, filler[:size])...)
	r.answered = true
	c.write(b)
	n.endWork(r)
	c.open--
	for i := range c.requests {
		if c.requests[i] == r {
			c.requests = append(c.requests[:i:i], c.requests[i+1:]...)
			break
		}
	}
	if r.reply != nil {
		n.w.in(c.rtt, r.reply)
	}
	if c.finUp && c.open == 0 {
		c.close()
	}
}
