package replay

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Open opens recordings: files, directories (all captures below them), and
// "-" for standard input. What is no capture is an error; a capture that is
// broken further on is not: see Source.Errors.
func Open(paths []string, o Options) (*Source, error) {
	if len(paths) == 0 {
		return nil, errors.New("nothing to read: name a capture, a directory, or - for standard input")
	}
	if o.Drain == 0 {
		o.Drain = time.Second
	}
	if o.Drain < 0 {
		return nil, fmt.Errorf("drain %v: want a positive duration", o.Drain)
	}
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	s := &Source{o: o}
	seen := make(map[string]bool)
	for _, path := range paths {
		if clean := filepath.Clean(path); seen[clean] {
			continue // named twice is read once
		} else {
			seen[clean] = true
		}
		if err := s.addPath(path, seen); err != nil {
			s.Close()
			return nil, err
		}
	}
	slices.SortStableFunc(s.files, func(a, b *file) int { return cmp.Compare(a.first, b.first) })
	if s.streams {
		s.total = 0
	}
	return s, nil
}

func (s *Source) addPath(path string, seen map[string]bool) error {
	if path == "-" {
		return s.add(&file{path: "standard input", stream: s.o.Stdin}, 0)
	}
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case st.IsDir():
		return s.addDir(path, seen)
	case strings.HasSuffix(path, sideSuffix):
		return fmt.Errorf("%s: holds what the host said, not packets: name the capture beside it, and this is read with it", printable(path))
	case !st.Mode().IsRegular(): // a named pipe
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		return s.add(&file{path: path, stream: in, in: in}, 0)
	}
	return s.add(&file{path: path}, st.Size())
}

// addDir adds the captures below dir, and passes over all else: a directory
// of captures holds notes and side files too. A capture that cannot be opened
// is noted, and the others are read: who writes them may write on, or have
// been killed.
func (s *Source) addDir(dir string, seen map[string]bool) error {
	before, errs := len(s.files), len(s.errs)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil && path != dir {
			return s.pass(path, err)
		}
		if err != nil || !e.Type().IsRegular() || seen[filepath.Clean(path)] || strings.HasSuffix(path, sideSuffix) {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		seen[filepath.Clean(path)] = true
		var none errNoCapture
		if err := s.add(&file{path: path}, st.Size()); err != nil && !errors.As(err, &none) {
			return s.pass(path, err)
		}
		return nil
	})
	if err == nil && len(s.files) == before && len(s.errs) > errs {
		return &s.errs[errs]
	}
	if err == nil && len(s.files) == before {
		err = fmt.Errorf("%s: no captures in this directory; want pcap or pcapng files, as tcpdump -w writes them", printable(dir))
	}
	return err
}

// pass notes what cannot be opened below a directory.
func (s *Source) pass(path string, err error) error {
	var broken *FileError
	if !errors.As(err, &broken) {
		var why *fs.PathError
		if errors.As(err, &why) { // it names the path once more
			err = fmt.Errorf("%s: %w", why.Op, why.Err)
		}
		broken = &FileError{Path: path, Offset: -1, Err: err}
	}
	s.note(*broken)
	return nil
}

// add looks at f's first item, for its place among the files. What can be
// opened again is closed until its time comes: there may be thousands.
func (s *Source) add(f *file, size int64) error {
	before := s.read.Load()
	if err := f.open(&s.read, &s.lend); err != nil {
		f.close()
		s.read.Store(before)
		return err
	}
	if err := f.join(); err != nil {
		f.close()
		return err
	}
	s.advance(f, true)
	s.advance(f, false)
	f.first, _ = f.at()
	if f.stream == nil {
		f.close()
		s.forget(f)
		s.read.Store(before)
		s.total += size
	} else {
		s.streams = true
	}
	s.files = append(s.files, f)
	return nil
}

// forget takes back what looking at f has noted: it is read again.
func (s *Source) forget(f *file) {
	s.errs = slices.DeleteFunc(s.errs, func(e FileError) bool { return e.Path == f.path || e.Path == SidePath(f.path) })
	*f = file{path: f.path, first: f.first}
}
