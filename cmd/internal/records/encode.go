package records

import (
	"math"
	"net/netip"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"stallwatch/capture"
)

// line builds one JSON object by appending. Its methods write "key":value
// with the comma before it; they never allocate once the buffer has grown.
type line struct {
	b      []byte
	second int64 // of the cached prefix
	prefix [19]byte
	cached bool
}

func (l *line) begin(kind string) {
	l.b = append(l.b, `{"type":"`...)
	l.b = append(l.b, kind...)
	l.b = append(l.b, '"')
}

func (l *line) end() { l.b = append(l.b, '}', '\n') }

// key writes a key of ours, which needs no escape. After an opening bracket
// there is no comma.
func (l *line) key(k string) {
	l.comma()
	l.b = append(l.b, '"')
	l.b = append(l.b, k...)
	l.b = append(l.b, '"', ':')
}

func (l *line) comma() {
	if c := l.b[len(l.b)-1]; c != '{' && c != '[' {
		l.b = append(l.b, ',')
	}
}

func (l *line) open(k string, bracket byte) {
	l.key(k)
	l.b = append(l.b, bracket)
}

func (l *line) shut(bracket byte) { l.b = append(l.b, bracket) }

// word writes a word of a closed set; nothing if it is empty.
func (l *line) word(k, v string) {
	if v == "" {
		return
	}
	l.key(k)
	l.b = append(l.b, '"')
	l.b = append(l.b, v...)
	l.b = append(l.b, '"')
}

// text writes any string, escaped as JSON wants it; nothing if it is empty.
func (l *line) text(k, v string) {
	if v == "" {
		return
	}
	l.key(k)
	l.b = appendString(l.b, v)
}

func (l *line) int(k string, v int64) {
	l.key(k)
	l.b = strconv.AppendInt(l.b, v, 10)
}

func (l *line) uint(k string, v uint64) {
	l.key(k)
	l.b = strconv.AppendUint(l.b, v, 10)
}

// known writes v unless it is negative, which stands for "not known".
func (l *line) known(k string, v int) {
	if v >= 0 {
		l.int(k, int64(v))
	}
}

// float writes v; nothing if JSON has no word for it.
func (l *line) float(k string, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	l.key(k)
	l.b = strconv.AppendFloat(l.b, v, 'f', -1, 64)
}

func (l *line) seconds(k string, d time.Duration) {
	l.key(k)
	l.b = appendSeconds(l.b, d)
}

// time writes t; nothing if it never was.
func (l *line) time(k string, t capture.Time) {
	if t == 0 {
		return
	}
	l.key(k)
	l.b = append(l.b, '"')
	l.appendTime(t)
	l.b = append(l.b, '"')
}

// appendTime keeps the text up to the second: records come in bursts, and
// taking a date apart costs more than the rest of a line (120 ns against 8).
func (l *line) appendTime(t capture.Time) {
	sec, ns := int64(t)/1e9, int64(t)%1e9
	if ns < 0 {
		sec, ns = sec-1, ns+1e9
	}
	if !l.cached || sec != l.second {
		time.Unix(sec, 0).UTC().AppendFormat(l.prefix[:0], "2006-01-02T15:04:05")
		l.second, l.cached = sec, true
	}
	l.b = append(l.b, l.prefix[:]...)
	l.b = append(l.b, '.')
	l.b = appendDigits(l.b, ns, 9)
	l.b = append(l.b, 'Z')
}

func (l *line) addrPort(k string, a netip.AddrPort) {
	if !a.IsValid() {
		return
	}
	l.key(k)
	l.b = append(l.b, '"')
	l.b = appendAddrPort(l.b, a)
	l.b = append(l.b, '"')
}

func (l *line) addr(k string, a netip.Addr) {
	if !a.IsValid() {
		return
	}
	l.key(k)
	l.b = append(l.b, '"')
	l.b = a.WithZone("").AppendTo(l.b)
	l.b = append(l.b, '"')
}

// appendAddrPort drops a zone: it could only come from a crafted host file,
// and is free text.
func appendAddrPort(dst []byte, a netip.AddrPort) []byte {
	if a.Addr().Zone() != "" {
		a = netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
	}
	return a.AppendTo(dst)
}

// appendSeconds writes d as a decimal number of seconds without rounding.
func appendSeconds(dst []byte, d time.Duration) []byte {
	u := uint64(d)
	if d < 0 {
		dst = append(dst, '-')
		u = -u
	}
	dst = strconv.AppendUint(dst, u/1e9, 10)
	ns := int64(u % 1e9)
	if ns == 0 {
		return dst
	}
	dst = appendDigits(append(dst, '.'), ns, 9)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// appendDigits writes n with leading zeros, width digits in all.
func appendDigits(dst []byte, n int64, width int) []byte {
	at := len(dst) + width
	for range width {
		dst = append(dst, '0')
	}
	for i := at - 1; n > 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendString writes s as a JSON string (RFC 8259 section 7). What a
// terminal might act on is written as \u escapes too, although JSON allows it:
// lines are read on terminals. Bad UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c <= '~' {
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		dst = appendRune(dst, r)
		i += n
	}
	return append(dst, '"')
}

func appendRune(dst []byte, r rune) []byte {
	if unicode.IsPrint(r) {
		return utf8.AppendRune(dst, r)
	}
	if r > 0xffff {
		r -= 0x10000
		return appendUnit(appendUnit(dst, 0xd800|r>>10), 0xdc00|r&0x3ff)
	}
	return appendUnit(dst, r)
}

func appendUnit(dst []byte, u rune) []byte {
	return append(dst, '\\', 'u', hexDigits[u>>12&15], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}
