package httpreassembly

import (
	"bytes"

	"stallwatch/capture"
)

// history is what happened on a connection, in Zeek's letters (conn.log,
// field history): s SYN, h SYN-ACK, a bare ACK, d payload, f FIN, r RST,
// c bad checksum, g gap; upper case from the client; ^ the roles were found by
// content. Each letter stands once a direction, where it first happened, which
// bounds it to 16: s and ^ have one. Zeek's t for retransmission is left out: a packet captured
// twice looks the same, and must change nothing but a counter.
type history [16]byte // a zero ends it

// has reports whether letter was noted for dir.
func (h *history) has(dir capture.Dir, letter byte) bool {
	if dir == capture.ToServer && letter >= 'a' {
		letter -= 'a' - 'A'
	}
	return bytes.IndexByte(h[:], letter) >= 0
}

// text returns the letters, in the history itself.
func (h *history) text() []byte {
	if n := bytes.IndexByte(h[:], 0); n >= 0 {
		return h[:n]
	}
	return h[:]
}

// note appends letter, given in lower case, unless it is there.
func (h *history) note(dir capture.Dir, letter byte) {
	if h.has(dir, letter) {
		return
	}
	n := len(h.text())
	if n == len(h) {
		return
	}
	if dir == capture.ToServer && letter >= 'a' {
		letter -= 'a' - 'A'
	}
	h[n] = letter
}

// histories keeps the strings that were made: there are few different ones
// among honest connections.
type histories map[string]string

// maxHistories bounds histories; an attacker can permute letters at will.
// Beyond it each string is made anew.
const maxHistories = 1024

func (m histories) text(h *history) string {
	b := h.text()
	if s, ok := m[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(m) < maxHistories {
		m[s] = s
	}
	return s
}
