package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// maxLog is where the log starts anew, so that a node left running fills no
// disk.
const maxLog = 1 << 20

// database is what the node keeps on disk: files that stay open, as RocksDB's
// tables do, and a log that is opened for each append.
type database struct {
	tables []*os.File
	log    string
	size   int64
}

func openDatabase(dir string, tables int) (*database, error) {
	d := &database{log: filepath.Join(dir, "000042.log")}
	for i := range tables {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%06d.sst", i)))
		if err != nil {
			return nil, errors.Join(err, d.Close())
		}
		d.tables = append(d.tables, f)
	}
	return d, nil
}

// append opens the log, writes a record and closes it. Without a descriptor
// left it fails in the words that operators of 2018 found in their logs
// (iotaledger/iri#367).
func (d *database) append() error {
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if d.size > maxLog {
		flags, d.size = flags|os.O_TRUNC, 0
	}
	f, err := os.OpenFile(d.log, flags, 0o600)
	if errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("RocksDBException: While open a file for appending: %s: Too many open files: %w", filepath.Base(d.log), syscall.EMFILE)
	}
	if err != nil {
		return err
	}
	n, err := f.WriteString("milestone 321456 solid\n")
	d.size += int64(n)
	return errors.Join(err, f.Close())
}

// Close closes the tables.
func (d *database) Close() error {
	var all error
	for _, f := range d.tables {
		all = errors.Join(all, f.Close())
	}
	d.tables = nil
	return all
}
