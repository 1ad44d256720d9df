package httpreassembly

import (
	"math/bits"

	"stallwatch/capture"
)

// history is what happened on a connection, in Zeek's letters (conn.log,
// field history): s SYN, h SYN-ACK, a bare ACK, d payload, f FIN, r RST,
// c bad checksum, g gap; upper case from the client; ^ the roles were found by
// content. Each letter stands once a direction, where it first happened, which
// bounds it to 15: s, h and ^ have one. Zeek's t for retransmission is left
// out: a packet captured twice looks the same, and must change nothing but a
// counter.
type history struct {
	order [8]uint8 // the numbers of the letters noted, four bits each, the first one lowest
	noted uint16   // as bits, by those numbers
}

// letters are by number: those of the server, and from 8 on the client's.
const letters = "hadfrcg^SxADFRCG" // x: none

// numberOf gives letters, in lower case, the server's numbers.
var numberOf = func() (n [128]uint8) {
	for i, c := range []byte("hadfrcg^s") {
		n[c] = uint8(i)
	}
	return n
}()

// number is that of letter for dir.
func number(dir capture.Dir, letter byte) uint8 {
	k := numberOf[letter&127]
	if dir == capture.ToServer && k > 0 && k < 7 {
		k += 9
	}
	return k
}

// note appends letter, given in lower case, unless it is there.
func (h *history) note(dir capture.Dir, letter byte) {
	k := number(dir, letter)
	if h.noted>>k&1 != 0 {
		return
	}
	n := bits.OnesCount16(h.noted)
	h.order[n/2] |= k << (n % 2 * 4)
	h.noted |= 1 << k
}

// appendTo appends the letters to dst.
func (h *history) appendTo(dst []byte) []byte {
	for i := range bits.OnesCount16(h.noted) {
		dst = append(dst, letters[h.order[i/2]>>(i%2*4)&15])
	}
	return dst
}

// histories keeps the strings that were made: there are few different ones
// among honest connections.
type histories map[string]string

// maxHistories bounds histories; an attacker can permute letters at will.
// Beyond it each string is made anew.
const maxHistories = 1024

func (m histories) text(h *history) string {
	b := h.appendTo(make([]byte, 0, len(letters)))
	if s, ok := m[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(m) < maxHistories {
		m[s] = s
	}
	return s
}
