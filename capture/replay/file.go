package replay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"stallwatch/capture"
)

// FileError says where a file broke. What stood before it was delivered.
type FileError struct {
	Path   string
	Offset int64 // byte, in the uncompressed file; valid iff Line is 0; negative: nothing was read
	Line   int   // of a side file
	Err    error
}

// Error names the file, the place and the reason in one line.
func (e *FileError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s: line %d: %v", printable(e.Path), e.Line, e.Err)
	}
	if e.Offset < 0 {
		return fmt.Sprintf("%s: %v", printable(e.Path), e.Err)
	}
	return fmt.Sprintf("%s: at byte %d: %v", printable(e.Path), e.Offset, e.Err)
}

// Unwrap returns the reason.
func (e *FileError) Unwrap() error { return e.Err }

// printable quotes a name that would not stay on its line.
func printable(path string) string {
	if strings.IndexFunc(path, func(r rune) bool { return !strconv.IsPrint(r) }) >= 0 {
		return strconv.Quote(path)
	}
	return path
}

// counted counts the bytes read through it.
type counted struct {
	r io.Reader
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// maxWindow bounds what a zstd file makes its reader hold.
const maxWindow = 64 << 20

// unpack looks through gzip and zstd; done is nil if it is neither.
func unpack(r io.Reader) (b *blocks, done func(), err error) {
	b = newBlocks(r)
	h, _ := b.peek(4)
	switch {
	case len(h) >= 2 && h[0] == 0x1f && h[1] == 0x8b: // RFC 1952 section 2.3.1
		z, err := gzip.NewReader(&rest{b})
		if err != nil {
			return nil, nil, fmt.Errorf("gzip: %w", err)
		}
		return newBlocks(z), func() {}, nil
	case string(h) == "\x28\xb5\x2f\xfd": // RFC 8878 section 3.1.1
		// One goroutine: what is read, and when, does not depend on the scheduler.
		z, err := zstd.NewReader(&rest{b}, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("zstd: %w", err)
		}
		return newBlocks(z), z.Close, nil
	}
	return b, nil, nil
}

// rest reads what a blocks has not handed out.
type rest struct{ b *blocks }

func (r *rest) Read(p []byte) (int, error) {
	if _, err := r.b.peek(1); err != nil {
		return 0, err
	}
	n := copy(p, r.b.buf[r.b.lo:r.b.hi])
	r.b.skip(n)
	return n, nil
}

// file is a capture with its side file, opened when its time has come.
type file struct {
	path   string
	stream io.Reader // standard input or a pipe: cannot be opened twice
	first  capture.Time

	in     io.Closer
	done   func()
	r      reader
	side   *sideReader
	sideIn io.Closer

	packet    raw
	hasPacket bool
	item      capture.Item // the side file's next
	hasItem   bool
	bad       int // bad lines so far
}

// open opens the capture; its side file is opened by join.
func (f *file) open(read *atomic.Int64, lend *lending) error {
	in := f.stream
	if in == nil {
		file, err := os.Open(f.path)
		if err != nil {
			return err
		}
		in, f.in = file, file
	}
	b, done, err := unpack(counted{in, read})
	if err != nil {
		return fmt.Errorf("%s: %w", printable(f.path), err)
	}
	f.done = done
	b.lend = lend
	for _, format := range []func(*blocks) (reader, error){newPcap, newPcapng} {
		if f.r, err = format(b); err != nil {
			return &FileError{Path: f.path, Offset: b.off, Err: err}
		} else if f.r != nil {
			return nil
		}
	}
	return notACapture(f.path, b, done != nil)
}

// errNoCapture marks a file that is none, for directories.
type errNoCapture struct{ error }

// packers are the compressions of which only the name is known.
var packers = []struct{ magic, name string }{
	{"\xfd7zXZ\x00", "xz"}, // the .xz file format, section 2.1.1.1
	{"BZh", "bzip2"},
	{"\x04\x22\x4d\x18", "lz4"}, // LZ4 frame format, 0x184D2204
}

func notACapture(path string, b *blocks, packed bool) error {
	h, err := b.peek(16)
	for _, p := range packers {
		if strings.HasPrefix(string(h), p.magic) {
			return &FileError{path, -1, 0, fmt.Errorf("compressed with %s, which is not read: %s -dc FILE | stallwatch replay -", p.name, p.name)}
		}
	}
	switch {
	case packed && err == io.ErrUnexpectedEOF && len(h) == 0:
		return &FileError{path, -1, 0, errors.New("the compressed file is cut off: nothing of it can be read")}
	case err != nil && err != io.EOF && err != io.ErrUnexpectedEOF:
		return &FileError{path, -1, 0, err}
	case len(h) == 0:
		return errNoCapture{fmt.Errorf("%s: the file is empty; want pcap or pcapng, as tcpdump -w writes them", printable(path))}
	}
	return errNoCapture{fmt.Errorf("%s: not a capture: starts with %q; want pcap or pcapng, as tcpdump -w writes them", printable(path), h)}
}

// join opens the side file, if there is one.
func (f *file) join() error {
	if f.stream != nil {
		return nil
	}
	in, err := os.Open(SidePath(f.path))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	f.sideIn, f.side = in, &sideReader{r: bufio.NewReaderSize(in, 64<<10)}
	return nil
}

// close gives up what is open.
func (f *file) close() {
	if f.done != nil {
		f.done()
	}
	if f.in != nil {
		f.in.Close()
	}
	if f.sideIn != nil {
		f.sideIn.Close()
	}
	f.done, f.in, f.sideIn, f.r, f.side = nil, nil, nil, nil, nil
}

// at returns the time of what comes next; a packet goes before a line of the
// same instant.
func (f *file) at() (at capture.Time, ok bool) {
	switch {
	case f.hasPacket && f.hasItem:
		return min(f.packet.at, f.item.At), true
	case f.hasPacket:
		return f.packet.at, true
	}
	return f.item.At, f.hasItem
}
