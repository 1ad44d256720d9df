package text

// MaxField bounds one escaped field in bytes. It is enough for any honest
// host name, method or route, and small enough that a flood of hostile ones
// does not fill a disk.
const MaxField = 256

// cut marks that something was left out.
const cut = "..."

const hexDigits = "0123456789abcdef"

// Escape returns s as printable ASCII of at most MaxField bytes.
func Escape(s string) string {
	if Printable(s) && len(s) <= MaxField {
		return s
	}
	return string(Append(nil, s, MaxField))
}

// Append appends s to dst as printable ASCII of at most limit bytes: a byte
// outside 32..126 becomes \xNN and a backslash \\, so that the original can
// be told from an escape. What does not fit is cut and marked.
func Append[T string | []byte](dst []byte, s T, limit int) []byte {
	return appendLimited(dst, s, limit, true)
}

// AppendClean is Append for text that was escaped before: backslashes stay
// single. Anything unprintable is escaped all the same.
func AppendClean[T string | []byte](dst []byte, s T, limit int) []byte {
	return appendLimited(dst, s, limit, false)
}

func appendLimited[T string | []byte](dst []byte, s T, limit int, double bool) []byte {
	start, room := len(dst), len(dst) // room: the longest prefix that leaves space for the mark
	for i := range len(s) {
		dst = appendByte(dst, s[i], double)
		if len(dst)-start > limit {
			return append(dst[:room], cut[:min(len(cut), limit)]...)
		}
		if len(dst)-start <= limit-len(cut) {
			room = len(dst)
		}
	}
	return dst
}

func appendByte(dst []byte, c byte, double bool) []byte {
	switch {
	case c == '\\' && double:
		return append(dst, '\\', '\\')
	case c >= ' ' && c <= '~':
		return append(dst, c)
	}
	return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
}

// Printable reports whether s is printable ASCII without a backslash, and so
// its own escaped form.
func Printable[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '\\' {
			return false
		}
	}
	return true
}
