package replay

import "io"

// blockSize is how much is read at a time. Larger gains nothing measurable;
// 64 KiB costs a tenth more.
const blockSize = 256 << 10

// blocks hands out the bytes of r in place. Its buffer grows only by bytes
// that came: a length that a file claims allocates nothing.
type blocks struct {
	r      io.Reader
	buf    []byte
	lo, hi int
	off    int64 // of buf[lo] in r
	err    error // from r; kept until the buffer is empty

	lend  *lending // nil: nobody keeps what peek has shown, as if its keep were 0
	lent  bool     // a packet in buf was handed out
	spare [][]byte // filled before, oldest first
}

// lending lets packets hold beyond the next one: a buffer of which one was
// handed out is not filled again before keep others were.
type lending struct {
	keep  int
	turns int // buffers that were put by, of all files
}

func newBlocks(r io.Reader) *blocks {
	return &blocks{r: r, buf: make([]byte, blockSize)}
}

// handedOut says that a packet is used which lies in the buffer.
func (b *blocks) handedOut() { b.lent = true }

// turn puts the buffer by, and goes on in the one that was longest.
func (b *blocks) turn() {
	old := b.buf
	b.spare = append(b.spare, old)
	b.buf = nil
	if len(b.spare) > b.lend.keep {
		b.buf = b.spare[0]
		b.spare = append(b.spare[:0], b.spare[1:]...)
	}
	if n := b.hi - b.lo; len(b.buf) != blockSize || n > blockSize { // a buffer that a giant made grow is given up
		b.buf = make([]byte, max(blockSize, n))
	}
	copy(b.buf, old[b.lo:b.hi])
	b.lent = false
	b.lend.turns++
}

// peek returns the next n bytes; fewer with an error: io.EOF if there are
// none, io.ErrUnexpectedEOF if there are some. They hold until the next call.
func (b *blocks) peek(n int) ([]byte, error) {
	if b.hi-b.lo < n {
		if err := b.fill(n); err != nil {
			return b.buf[b.lo:b.hi], err
		}
	}
	return b.buf[b.lo : b.lo+n : b.lo+n], nil
}

func (b *blocks) fill(n int) error {
	if b.lent && b.lend != nil && b.lend.keep > 0 {
		b.turn()
	} else {
		copy(b.buf, b.buf[b.lo:b.hi])
	}
	b.lo, b.hi = 0, b.hi-b.lo
	for b.hi < n {
		if b.err != nil {
			if b.err == io.EOF && b.hi > 0 {
				return io.ErrUnexpectedEOF
			}
			return b.err
		}
		if b.hi == len(b.buf) {
			b.buf = append(b.buf, make([]byte, len(b.buf))...)
		}
		b.read()
	}
	return nil
}

// read takes what one read gives. A reader that gives nothing for ever is
// broken.
func (b *blocks) read() {
	for range 100 {
		n, err := b.r.Read(b.buf[b.hi:])
		b.hi += n
		b.err = err
		if n > 0 || err != nil {
			return
		}
	}
	b.err = io.ErrNoProgress
}

// skip moves on by n bytes that peek has shown.
func (b *blocks) skip(n int) {
	b.lo += n
	b.off += int64(n)
}

// discard moves on by n bytes, seen or not.
func (b *blocks) discard(n int64) error {
	for n > 0 {
		k := min(n, blockSize)
		if _, err := b.peek(int(k)); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		b.skip(int(k))
		n -= k
	}
	return nil
}
