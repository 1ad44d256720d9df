package text

import "strconv"

// Number groups digits by thousands.
func Number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Bytes scales n to units of 1000 bytes, as networks count; exact says that it
// is below the first.
func Bytes(n uint64) (x float64, unit string, exact bool) {
	units := [...]string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	x, i := float64(n), 0
	for x >= 1000 && i < len(units)-1 {
		x, i = x/1000, i+1
	}
	return x, units[i], i == 0
}
