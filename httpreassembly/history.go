package httpreassembly

import "stallwatch/capture"

// history is what happened on a connection, in Zeek's letters (conn.log,
// field history): s SYN, h SYN-ACK, a bare ACK, d payload, f FIN, r RST,
// c bad checksum, g gap; upper case from the client; ^ the roles were found by
// content. Each letter stands once a direction, where it first happened, which
// bounds it to 17. Zeek's t for retransmission is left out: a packet captured
// twice looks the same, and must change nothing but a counter.
type history struct {
	letters [17]byte
	n       uint8
}

// has reports whether letter was noted for dir.
func (h *history) has(dir capture.Dir, letter byte) bool {
	if dir == capture.ToServer && letter >= 'a' {
		letter -= 'a' - 'A'
	}
	for _, l := range h.letters[:h.n] {
		if l == letter {
			return true
		}
	}
	return false
}

// note appends letter, given in lower case, unless it is there.
func (h *history) note(dir capture.Dir, letter byte) {
	if int(h.n) == len(h.letters) || h.has(dir, letter) {
		return
	}
	if dir == capture.ToServer && letter >= 'a' {
		letter -= 'a' - 'A'
	}
	h.letters[h.n] = letter
	h.n++
}

// histories keeps the strings that were made: there are few different ones
// among honest connections.
type histories map[string]string

// maxHistories bounds histories; an attacker can permute letters at will.
// Beyond it each string is made anew.
const maxHistories = 1024

func (m histories) text(h *history) string {
	b := h.letters[:h.n]
	if s, ok := m[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(m) < maxHistories {
		m[s] = s
	}
	return s
}
