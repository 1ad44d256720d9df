package spool

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
)

// MaxRecord bounds a record in bytes. A longer line in a file is damage.
const MaxRecord = 256 << 10

const (
	sumDigits = 8
	overhead  = sumDigits + 2 // the sum, a space, a line feed
	hexDigits = "0123456789abcdef"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Damage is what Open had to leave out.
type Damage struct {
	Lines int   // with a wrong sum, a wrong form, or refused by the reader
	Torn  int64 // bytes of an unfinished line at the end
}

// File is an open spool. It is not safe for concurrent use.
type File struct {
	path string
	f    *os.File
	size int64
	buf  []byte
}

// Open opens or creates the file at path, readable by its owner only, and
// gives each record to read, whose slice holds during the call. A record that
// read refuses is counted as damage.
func Open(path string, read func(record []byte) error) (*File, Damage, error) {
	if err := os.Remove(temporary(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, Damage{}, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, Damage{}, err
	}
	s := &File{path: path, f: f}
	d, err := s.load(read)
	if err == nil {
		err = f.Chmod(0o600)
	}
	if err != nil {
		f.Close()
		return nil, d, fmt.Errorf("read %s: %w", path, err)
	}
	return s, d, nil
}

func (s *File) load(read func([]byte) error) (Damage, error) {
	var d Damage
	r := bufio.NewReaderSize(s.f, MaxRecord+overhead)
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			n, err := skipLine(r)
			if err != nil {
				return d, s.tear(&d, int64(len(line))+n, err)
			}
			s.size += int64(len(line)) + n
			d.Lines++
			continue
		case err != nil:
			return d, s.tear(&d, int64(len(line)), err)
		}
		s.size += int64(len(line))
		if rec, ok := parse(line[:len(line)-1]); !ok || read(rec) != nil {
			d.Lines++
		}
	}
}

// skipLine reads up to and with the next line feed.
func skipLine(r *bufio.Reader) (int64, error) {
	var n int64
	for {
		part, err := r.ReadSlice('\n')
		n += int64(len(part))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return n, err
		}
	}
}

// tear removes n bytes of an unfinished line when err is the end of the file.
func (s *File) tear(d *Damage, n int64, err error) error {
	if err != io.EOF {
		return err
	}
	if n == 0 {
		return nil
	}
	d.Torn = n
	return s.f.Truncate(s.size)
}

func parse(line []byte) (record []byte, ok bool) {
	if len(line) < sumDigits+1 || line[sumDigits] != ' ' {
		return nil, false
	}
	record = line[sumDigits+1:]
	var sum [sumDigits]byte
	return record, bytes.Equal(appendSum(sum[:0], record), line[:sumDigits])
}

func appendSum(dst, record []byte) []byte {
	sum := crc32.Checksum(record, castagnoli)
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[sum>>shift&15])
	}
	return dst
}

func appendLine(dst, record []byte) ([]byte, error) {
	if len(record) > MaxRecord {
		return dst, fmt.Errorf("record of %d bytes: want at most %d", len(record), MaxRecord)
	}
	if bytes.IndexByte(record, '\n') >= 0 {
		return dst, errors.New("record with a line feed")
	}
	dst = append(appendSum(dst, record), ' ')
	return append(append(dst, record...), '\n'), nil
}

// Append writes the records and syncs them to the disk, all with one write.
// After an error none of them is in the file, and the caller should Rewrite
// before it appends again: after a failed sync the kernel may have forgotten
// pages that it once took.
func (s *File) Append(records ...[]byte) error {
	s.buf = s.buf[:0]
	var err error
	for _, rec := range records {
		if s.buf, err = appendLine(s.buf, rec); err != nil {
			return fmt.Errorf("append to %s: %w", s.path, err)
		}
	}
	_, err = s.f.WriteAt(s.buf, s.size)
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		return errors.Join(err, s.f.Truncate(s.size))
	}
	s.size += int64(len(s.buf))
	return nil
}

// Rewrite replaces the content by the records given. A kill leaves either the
// old file or the new one.
func (s *File) Rewrite(records iter.Seq[[]byte]) error {
	tmp := temporary(s.path)
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	size, err := s.fill(f, records)
	if err == nil {
		err = os.Rename(tmp, s.path)
	}
	if err != nil {
		f.Close()
		return errors.Join(fmt.Errorf("rewrite %s: %w", s.path, err), os.Remove(tmp))
	}
	s.f.Close()
	s.f, s.size = f, size
	return syncDir(filepath.Dir(s.path))
}

func (s *File) fill(f *os.File, records iter.Seq[[]byte]) (int64, error) {
	var size int64
	w := bufio.NewWriter(f)
	for rec := range records {
		line, err := appendLine(s.buf[:0], rec)
		if err != nil {
			return 0, err
		}
		s.buf = line
		size += int64(len(line))
		if _, err := w.Write(line); err != nil {
			return 0, err
		}
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	return size, f.Sync()
}

// syncDir makes a rename last: the name is data of the directory.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Size is the length of the file in bytes.
func (s *File) Size() int64 { return s.size }

// Close closes the file. All that was appended is on the disk already.
func (s *File) Close() error { return s.f.Close() }

func temporary(path string) string { return path + ".new" }
