package records

import (
	"errors"
	"io"
	"net/netip"
	"strconv"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// StreamVersion is the version of the format. Adding keys keeps it, changing a meaning
// raises it.
const StreamVersion = 1

// bufferBytes is when lines are handed to the io.Writer. A line is at most a
// few KiB, so the buffer never grows much beyond it.
const bufferBytes = 64 << 10

// Options configure a Writer.
type Options struct {
	Redact      bool     // targets lose values and long path segments
	Version     string   // of the program
	Sources     []string // interfaces or files, in order
	RulesDigest string

	// Trusted are the networks whose word on the real client is believed:
	// reverse proxies. Empty: nobody's.
	Trusted []netip.Prefix
}

// ErrFull is how the io.Writer of a live run refuses a block, for it must not
// make the pipeline wait: the block's lines are dropped and counted, the
// stream goes on, and a loss record says so at the place where they would
// stand.
var ErrFull = errors.New("no room for records")

// Writer writes the stream. It is a pipeline.Sink. The first error of the
// io.Writer other than ErrFull stops it: what follows is counted by Unwritten,
// not kept, and Err tells. It is not safe for concurrent use: the pipeline's
// goroutine owns it.
type Writer struct {
	w         io.Writer
	opts      Options
	l         line
	scratch   []byte // a field before it is quoted
	err       error
	now       capture.Time
	lines     uint64 // in l.b
	missing   uint64 // lines refused since the last block that was taken; l.b begins with their loss record
	unwritten uint64
	holes     holes
	tally     tally
}

// New returns a Writer whose stream line is already in its buffer.
func New(w io.Writer, o Options) *Writer {
	r := &Writer{w: w, opts: o, tally: newTally()}
	r.l.b = make([]byte, 0, bufferBytes+8<<10)
	l := &r.l
	l.begin("stream")
	l.int("version", StreamVersion)
	l.text("stallwatch", o.Version)
	l.open("sources", '[')
	for _, s := range o.Sources {
		l.comma()
		l.b = appendString(l.b, s)
	}
	l.shut(']')
	l.text("rules", o.RulesDigest)
	l.key("redact")
	l.b = strconv.AppendBool(l.b, o.Redact)
	r.done()
	return r
}

// done ends the line in progress.
func (r *Writer) done() {
	r.l.end()
	r.lines++
	if len(r.l.b) >= bufferBytes {
		r.drain()
	}
}

func (r *Writer) drain() {
	if len(r.l.b) == 0 || r.lines == 0 && r.missing > 0 {
		return // nothing, or nothing new behind a hole
	}
	if r.err == nil {
		_, r.err = r.w.Write(r.l.b)
	}
	lines := r.lines
	r.l.b, r.lines = r.l.b[:0], 0
	switch {
	case r.err == nil:
		r.missing = 0
		return
	case errors.Is(r.err, ErrFull):
		r.err = nil
		r.missing += lines
		r.refused()
	}
	r.unwritten += lines
}

// refused begins a block with the loss record of those before it. It is not
// counted: when the block is refused as well, the next begins with another.
func (r *Writer) refused() {
	r.l.begin("loss")
	r.l.time("time", r.now)
	r.l.uint("records", r.missing)
	r.l.end()
}

// Flush hands what is buffered to the io.Writer and returns the first error
// it ever gave.
func (r *Writer) Flush() error {
	r.drain()
	return r.err
}

// Err returns the first error the io.Writer gave.
func (r *Writer) Err() error { return r.err }

// Unwritten counts the lines lost to Err or refused; a block that was written
// in part counts whole.
func (r *Writer) Unwritten() uint64 { return r.unwritten }

// Event implements pipeline.Sink.
func (r *Writer) Event(ev *httpreassembly.Event, v *rules.Verdict) {
	r.settle(ev.At)
	switch ev.Kind {
	case httpreassembly.ExchangeDone:
		r.tally.exchanges++
		r.exchange(ev.Exchange, v)
	case httpreassembly.Closed:
		r.connection(ev)
	case httpreassembly.Odd:
		r.oddity(ev)
	case httpreassembly.Gap:
		r.holes.add(ev)
	case httpreassembly.Refused:
		r.tally.refused++
	case httpreassembly.LevelChanged:
		r.level(ev)
	case httpreassembly.SynUnanswered:
		r.tally.unanswered++
	}
}

// Finding implements pipeline.Sink.
func (r *Writer) Finding(f *detect.Finding) {
	r.settle(f.At)
	switch f.Kind {
	case detect.AlertChanged:
		r.tally.alert(f.Alert)
		r.alert(f.Alert)
	case detect.CallPending:
		if f.Pending.Final && !f.Pending.Over {
			r.tally.pending++
		}
		r.pending(f.Pending)
	case detect.NodeSeen:
		r.node(f.At, f.Node)
	}
}

// Loss implements pipeline.Sink.
func (r *Writer) Loss(at capture.Time, l capture.Loss) {
	r.settle(at)
	r.l.begin("loss")
	r.l.time("time", at)
	r.l.uint("kernel", l.Kernel)
	r.l.uint("interface", l.Interface)
	if l.Unwatched > 0 {
		r.l.seconds("unwatched_seconds", l.Unwatched)
		r.l.word("why", l.Why.String())
	}
	r.done()
}

// holes gathers the gaps of a second of capture time: a capture with one
// direction missing has one at every answer.
type holes struct {
	since, last capture.Time
	n           uint64
	bytes       int64
	known       bool // the size of at least one
}

func (h *holes) add(ev *httpreassembly.Event) {
	if h.n == 0 {
		h.since = ev.At
	}
	h.n++
	h.last = ev.At
	if ev.Bytes >= 0 {
		h.bytes += ev.Bytes
		h.known = true
	}
}

// settle writes the holes seen so far once a second has passed since the
// first of them.
func (r *Writer) settle(now capture.Time) {
	r.now = now
	if r.holes.n > 0 && now.Sub(r.holes.since) >= time.Second {
		r.writeHoles()
	}
}

func (r *Writer) writeHoles() {
	h := r.holes
	r.holes = holes{}
	r.l.begin("loss")
	r.l.time("time", h.last)
	r.l.uint("gaps", h.n)
	if h.known {
		r.l.int("gap_bytes", h.bytes)
	}
	r.done()
}

// wire writes bytes of the wire as a field of at most limit bytes; nothing if
// they are empty.
func (r *Writer) wire(key string, b []byte, limit int) {
	if len(b) == 0 {
		return
	}
	r.scratch = text.Append(r.scratch[:0], b, limit)
	r.quote(key, r.scratch)
}

// quote writes printable ASCII as a string.
func (r *Writer) quote(key string, b []byte) {
	l := &r.l
	l.key(key)
	l.b = append(l.b, '"')
	for _, c := range b {
		if c == '"' || c == '\\' {
			l.b = append(l.b, '\\')
		}
		l.b = append(l.b, c)
	}
	l.b = append(l.b, '"')
}

// target writes a request target; missing means that the core kept only its
// beginning.
func (r *Writer) target(b []byte, missing bool) {
	if len(b) == 0 {
		return
	}
	r.scratch = text.AppendTarget(r.scratch[:0], b, r.opts.Redact)
	if n := len(r.scratch); missing && (n < 3 || string(r.scratch[n-3:]) != "...") {
		r.scratch = append(r.scratch, "..."...)
	}
	r.quote("target", r.scratch)
}
