package main

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
)

// What a rotator moved away keeps whole lines, and the new file begins as a
// stream does.
func TestRecordsAreRotated(t *testing.T) {
	dir := t.TempDir()
	path, old := filepath.Join(dir, "rec.jsonl"), filepath.Join(dir, "rec.1")
	r, err := openRecordFile(path, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	write := func(s string) {
		t.Helper()
		if n, err := r.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", s, n, err)
		}
	}
	write("stream\n1\n")
	r.rotate() // of the rules alone: the file is still there
	write("2\n")
	if err := os.Rename(path, old); err != nil {
		t.Fatal(err)
	}
	write("3\n")
	r.rotate()
	r.broken = true // as after a write that the disk took half of
	write("rest of 3\n")
	write("4\n")
	write("5\n")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{old: "stream\n1\n2\n3\nrest of 3\n", path: "stream\n4\n5\n"} {
		if got, err := os.ReadFile(name); string(got) != want {
			t.Errorf("%s holds %q, want %q (%v)", filepath.Base(name), got, want, err)
		}
	}
}

// Where no new file can be made, and with a pipe, records go on as before.
func TestRecordsStayWhereTheyCan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "rec.jsonl")
	var told bytes.Buffer
	r, err := openRecordFile(path, zerolog.New(&told))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	r.rotate()
	if _, err := r.Write([]byte("x\n")); err != nil || !bytes.Contains(told.Bytes(), []byte("records go on in the file that was moved away")) {
		t.Errorf("%v, log %q", err, told.String())
	}

	told.Reset()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	p, err := openRecordFile(pipe, zerolog.New(&told))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.rotate()
	if _, err := p.Write([]byte("x\n")); err != nil || told.Len() > 0 {
		t.Errorf("a pipe: %v, log %q", err, told.String())
	}
}
