package demo

import (
	"bufio"
	"bytes"
	"testing"
)

// FuzzRequest: whatever a client sends, reading it ends, and what was read is
// within its bounds.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		post(`{"command":"getNodeInfo"}`), "GET / HTTP/1.0\r\n\r\n", "\n", "A B HTTP/1.1\nContent-Length: 18446744073709551615\n\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\nT: 1\r\n\r\nleft",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		br := bufio.NewReader(bytes.NewReader(data))
		r, err := readRequest(br)
		if err != nil {
			return
		}
		body, err := readBody(br, r)
		if err == nil && len(body) > len(data) {
			t.Errorf("a body of %d bytes was read from %d: %q", len(body), len(data), data)
		}
		if c, rep, ok := (&Node{o: NodeOptions{}.withDefaults()}).refuse(r, body); !ok && rep.status == 0 || ok && c.Command == "" {
			t.Errorf("%q is neither refused nor a call: %+v %+v", data, c, rep)
		}
	})
}
