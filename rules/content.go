package rules

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"sync"
)

// inflater unpacks a body for the time of a classification. It is pooled:
// its tables and buffer are some hundred KiB, and shards need one at a time.
type inflater struct {
	in   bytes.Reader
	gzip gzip.Reader
	zlib io.ReadCloser
	raw  io.ReadCloser
	out  [maxInflated]byte
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// Packed reports whether a body with this Content-Encoding has to be unpacked to
// be read. Nodes do not look at that field, so what begins as JSON is JSON: or
// else a false coding would hide a command. No coding begins so.
func Packed(coding, body []byte) bool {
	body = bytes.TrimLeft(body, " \t\r\n")
	return len(coding) > 0 && len(body) > 0 && bytes.IndexByte([]byte("{[/#)\xef"), body[0]) < 0 // with comments, Gson's guard and a byte order mark
}

// classifyEncoded unpacks the body first. Nothing of the unpacked bytes
// outlives it.
func (s *Set) classifyEncoded(v *Verdict, r *Request) {
	f := inflaters.Get().(*inflater)
	body, whole, ok := f.inflate(r.ContentEncoding, r.Body)
	v.Cut = v.Cut || ok && !whole
	if !ok {
		v.Why = whyEncoding
	}
	s.classify(v, r, body)
	f.in.Reset(nil)
	inflaters.Put(f)
}

// inflate unpacks at most maxInflated bytes: a bomb costs no more than a plain
// body of that size. ok is false for a coding that is not known (RFC 9110
// section 8.4.1 names the ones that are) and for what cannot be unpacked.
func (f *inflater) inflate(coding, body []byte) (out []byte, whole, ok bool) {
	coding = bytes.TrimSpace(coding)
	f.in.Reset(body)
	var r io.Reader
	var err error
	switch {
	case foldEqual(coding, "identity"), len(coding) == 0:
		return body, true, true
	case foldEqual(coding, "gzip"), foldEqual(coding, "x-gzip"):
		r, err = &f.gzip, f.gzip.Reset(&f.in)
	case foldEqual(coding, "deflate"):
		r, err = f.deflate(body)
	default:
		return nil, false, false
	}
	if err != nil {
		return nil, false, false
	}
	n := 0
	for n < len(f.out) && err == nil {
		var m int
		m, err = r.Read(f.out[n:])
		n += m
	}
	return f.out[:n], err == io.EOF, n > 0
}

// deflate chooses between zlib, which the RFC wants, and bare deflate, which
// some clients send under the same name.
func (f *inflater) deflate(body []byte) (io.Reader, error) {
	if len(body) >= 2 && body[0]&15 == 8 && (int(body[0])<<8|int(body[1]))%31 == 0 {
		if f.zlib == nil {
			var err error
			f.zlib, err = zlib.NewReader(&f.in)
			return f.zlib, err
		}
		return f.zlib, f.zlib.(zlib.Resetter).Reset(&f.in, nil)
	}
	if f.raw == nil {
		f.raw = flate.NewReader(&f.in)
		return f.raw, nil
	}
	return f.raw, f.raw.(flate.Resetter).Reset(&f.in, nil)
}

// foldEqual compares with a lower-case s without regard to case.
func foldEqual(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if b[i]|0x20 != s[i]|0x20 {
			return false
		}
	}
	return true
}
