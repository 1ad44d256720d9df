package rules

import (
	"strconv"
	"unicode/utf8"
)

// Escape returns b as printable ASCII, safe for a terminal, a log line or a
// label: other runes become \u{…}, bytes that are no UTF-8 \xNN, and the
// backslash is doubled. The result has at most max bytes; it ends in "..." if
// something was left out.
func Escape(b []byte, max int) string {
	dst := make([]byte, 0, min(len(b), max)+8)
	short := 0 // the longest start that leaves room for the dots
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		dst = appendEscaped(dst, r, b[0], size)
		if len(dst) > max {
			return string(append(dst[:short], "..."[:min(3, max)]...))
		}
		if len(dst) <= max-3 {
			short = len(dst)
		}
		b = b[size:]
	}
	return string(dst)
}

func appendEscaped(dst []byte, r rune, first byte, size int) []byte {
	const hex = "0123456789abcdef"
	switch {
	case r == '\\':
		return append(dst, `\\`...)
	case r >= ' ' && r < 0x7f:
		return append(dst, first)
	case r < 0x80, r == utf8.RuneError && size == 1:
		return append(dst, '\\', 'x', hex[first>>4], hex[first&15])
	default:
		return append(strconv.AppendUint(append(dst, `\u{`...), uint64(r), 16), '}')
	}
}
