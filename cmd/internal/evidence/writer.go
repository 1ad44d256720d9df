package evidence

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"stallwatch/capture/replay"
)

// writer is the Collector's goroutine: it owns the disk.
type writer struct {
	o      Options
	c      *Collector
	drafts map[*bundle]*draft
	number int
}

// nameForm is what a bundle is called: the time, the alert, a number. Only
// such directories are ever removed.
var nameForm = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9]{1,64}-([0-9]{4,9})$`)

// unfinished begins the name of a bundle that is not whole.
const unfinished = ".unfinished-"

func newWriter(c *Collector) (*writer, error) {
	w := &writer{o: c.o, c: c, drafts: make(map[*bundle]*draft)}
	entries, err := os.ReadDir(w.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), unfinished); ok && nameForm.MatchString(name) && e.IsDir() {
			if err := os.RemoveAll(filepath.Join(w.o.Dir, e.Name())); err != nil {
				return nil, fmt.Errorf("evidence: %w", err)
			}
		}
		if m := nameForm.FindStringSubmatch(e.Name()); m != nil {
			var n int
			fmt.Sscanf(m[1], "%d", &n)
			w.number = max(w.number, n)
		}
	}
	return w, nil
}

func (w *writer) run() {
	for j := range w.c.jobs {
		d := w.drafts[j.bundle]
		if d == nil {
			d = w.begin(j)
			w.drafts[j.bundle] = d
		}
		if d.err == nil {
			d.err = d.take(j)
		}
		j.packets.Release()
		if j.last {
			delete(w.drafts, j.bundle)
			w.end(d, j)
			w.c.busy.Add(-1)
		}
	}
}

var errDiskFull = errors.New("the disk has too little free")

// begin makes the draft's directory; an error stays in the draft.
func (w *writer) begin(j *job) *draft {
	d := &draft{w: w, b: j.bundle}
	if d.err = w.room(); d.err != nil {
		return d
	}
	w.number++
	a := j.alert
	alert := a.Name
	if alert = strings.Map(plain, alert); alert == "" || len(alert) > 64 {
		alert = "Alert"
	}
	d.name = fmt.Sprintf("%s-%s-%04d", a.At.Std().Format("20060102T150405Z"), alert, w.number)
	d.dir = filepath.Join(w.o.Dir, unfinished+d.name)
	if d.err = os.Mkdir(d.dir, 0o700); d.err != nil {
		d.dir = ""
		return d
	}
	d.rec, d.err = replay.NewRecorder(filepath.Join(d.dir, packetsFile), replay.RecorderOptions{})
	d.init()
	return d
}

func plain(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return -1
}

// room refuses when the disk is nearly full: evidence must not be what stops
// the node.
func (w *writer) room() error {
	if w.o.MinFree < 0 {
		return nil
	}
	free, ok := w.o.Free(w.o.Dir)
	if ok && free < w.o.MinFree+w.o.MaxPackets {
		w.c.counts.refused.Add(1)
		return fmt.Errorf("%w: %d bytes, and %d must stay with room for a bundle", errDiskFull, free, w.o.MinFree)
	}
	return nil
}

// end makes the draft a bundle, or removes it.
func (w *writer) end(d *draft, j *job) {
	if d.err == nil {
		d.err = d.finish(j.end)
	}
	r := Result{Alert: d.b.alert, Err: d.err}
	if d.err == nil {
		final := filepath.Join(w.o.Dir, d.name)
		if r.Err = os.Rename(d.dir, final); r.Err == nil {
			r.Err = syncPath(w.o.Dir)
			r.Path, r.Bytes = final, d.size
		}
	}
	if r.Err != nil {
		r.Path = ""
		d.discard()
		if !errors.Is(r.Err, errDiskFull) {
			w.c.counts.failed.Add(1)
		}
		r.Err = fmt.Errorf("evidence of %s: %w", strings.Map(plain, d.b.alert.Name), r.Err)
	} else {
		w.c.counts.written.Add(1)
		w.c.counts.bytes.Add(uint64(d.size))
	}
	w.c.counts.dropped.Store(d.dropped)
	w.prune(d.name)
	if w.o.Report != nil {
		w.o.Report(r)
	}
}

// kept is a bundle on disk.
type kept struct {
	path string
	size int64
	info fs.FileInfo
}

// prune removes the oldest bundles until the bounds hold; names sort by time.
// The newest one stays, whatever its size.
func (w *writer) prune(newest string) {
	var all []kept
	var total int64
	entries, _ := os.ReadDir(w.o.Dir) // sorted by name
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() || !nameForm.MatchString(e.Name()) {
			continue
		}
		k := kept{path: filepath.Join(w.o.Dir, e.Name()), info: info}
		files, _ := os.ReadDir(k.path)
		for _, f := range files {
			if fi, err := f.Info(); err == nil {
				k.size += fi.Size()
			}
		}
		total += k.size
		all = append(all, k)
	}
	n := len(all)
	for _, k := range all {
		old := w.o.Now().Sub(k.info.ModTime()) > w.o.MaxAge
		if filepath.Base(k.path) == newest || !old && n <= w.o.MaxBundles && total <= w.o.MaxBytes {
			continue
		}
		if os.RemoveAll(k.path) == nil {
			n--
			total -= k.size
			w.c.counts.removed.Add(1)
		}
	}
}

// syncPath puts a file or directory on disk.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
