package hours

import (
	"container/heap"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"

	"stallwatch/capture"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

const second = time.Second

// start is when every hour begins.
var start = capture.At(time.Date(2018, 1, 25, 12, 0, 0, 0, time.UTC))

// world is an hour: its clock, what is due, and the tap at the node's
// interface.
type world struct {
	rnd   *rand.Rand
	now   time.Duration // since start
	due   dues
	seq   int
	pipe  *pipeline.Pipeline
	last  capture.Time
	frame []byte

	// The tap.
	drop, twice float64       // shares of frames not captured, and captured twice
	blindUntil  time.Duration // the capture begins then
	lost        uint64        // not told yet
	tellsLoss   bool
	frames      int

	alerts []detect.Alert
	truth  truth
}

type dueItem struct {
	at  time.Duration
	seq int
	do  func()
}

type dues []dueItem

func (d dues) Len() int { return len(d) }
func (d dues) Less(i, k int) bool {
	return d[i].at < d[k].at || d[i].at == d[k].at && d[i].seq < d[k].seq
}
func (d dues) Swap(i, k int) { d[i], d[k] = d[k], d[i] }
func (d *dues) Push(x any)   { *d = append(*d, x.(dueItem)) }
func (d *dues) Pop() any {
	n := len(*d) - 1
	x := (*d)[n]
	(*d)[n] = dueItem{}
	*d = (*d)[:n]
	return x
}

func newWorld(seed uint64, o detect.Options) *world {
	w := &world{rnd: rand.New(rand.NewPCG(seed, 0x40075))}
	p, err := pipeline.New(pipeline.Options{Rules: rules.Default(), Detect: o}, w)
	if err != nil {
		panic(err)
	}
	w.pipe = p
	return w
}

// in does something after d.
func (w *world) in(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.due, dueItem{w.now + max(d, 0), w.seq, do})
}

// run plays the world up to end.
func (w *world) run(end time.Duration) {
	w.in(0, w.everySecond)
	for len(w.due) > 0 && w.due[0].at <= end {
		x := heap.Pop(&w.due).(dueItem)
		w.now = x.at
		x.do()
	}
	w.now = end
	w.pipe.Finish(w.at())
}

func (w *world) everySecond() {
	if w.lost > 0 && w.tellsLoss {
		it := capture.Item{At: w.at(), Kind: capture.PacketsLost, Loss: capture.Loss{Kernel: w.lost}}
		w.pipe.Item(&it)
	} else if len(w.due) == 0 || w.due[0].at > w.now {
		it := capture.Item{At: w.at(), Kind: capture.Tick}
		w.pipe.Item(&it)
	}
	w.lost = 0
	w.in(second, w.everySecond)
}

// at is the next instant that no Item has.
func (w *world) at() capture.Time {
	w.last = max(w.last+1, start.Add(w.now))
	return w.last
}

func (w *world) chance(p float64) bool { return p > 0 && w.rnd.Float64() < p }

// between draws evenly, wide one of a range over orders of magnitude.
func (w *world) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.rnd.Float64()*float64(b-a))
}

func (w *world) wide(a, b float64) float64 {
	return a * math.Exp(w.rnd.Float64()*math.Log(b/a))
}

// lognormal draws with a median and a spread, cut at most.
func (w *world) lognormal(median time.Duration, sigma float64, most time.Duration) time.Duration {
	return min(time.Duration(float64(median)*math.Exp(sigma*w.rnd.NormFloat64())), most)
}

// exp draws the time to the next of what comes at a rate.
func (w *world) exp(rate float64) time.Duration {
	if rate <= 0 {
		return 1 << 60
	}
	return time.Duration(min(w.rnd.ExpFloat64()/rate, 1e9) * float64(second))
}

// emit puts a segment on the node's wire.
func (w *world) emit(src, dst capture.Endpoint, f capture.Flags, seq, ack uint32, window uint16, payload []byte) {
	w.frames++
	if w.now < w.blindUntil {
		return
	}
	if w.chance(w.drop) {
		w.lost++
		return
	}
	w.frame = appendFrame(w.frame[:0], src, dst, f, seq, ack, window, payload)
	w.give()
	if w.chance(w.twice) {
		w.give()
	}
}

func (w *world) give() {
	it := capture.Item{At: w.at(), Kind: capture.PacketSeen,
		Packet: capture.Packet{Data: w.frame, Length: len(w.frame), Link: capture.LinkRaw}}
	w.pipe.Item(&it)
}

func appendFrame(b []byte, src, dst capture.Endpoint, f capture.Flags, seq, ack uint32, window uint16, payload []byte) []byte {
	s, d := src.As16(), dst.As16()
	from, to := s[:], d[:]
	n := 20 + len(payload)
	if src.Addr().Is4() {
		from, to = s[12:], d[12:]
		b = append(b, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(20+n))
		b = append(b, 0, 0, 0x40, 0, 64, 6, 0, 0)
		b = append(append(b, from...), to...)
		binary.BigEndian.PutUint16(b[10:], ^capture.Fold(capture.Sum(0, b[:20])))
	} else {
		b = append(b, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
		b = append(b, 6, 64)
		b = append(append(b, from...), to...)
	}
	at := len(b)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, 5<<4, byte(f))
	b = binary.BigEndian.AppendUint16(b, window)
	b = append(b, 0, 0, 0, 0)
	b = append(b, payload...)
	sum := capture.Sum(capture.Sum(uint64(6+n), from), to)
	binary.BigEndian.PutUint16(b[at+16:], ^capture.Fold(capture.Sum(sum, b[at:])))
	return b
}

// Event implements pipeline.Sink.
func (w *world) Event(*httpreassembly.Event, *rules.Verdict) {}

// Loss implements pipeline.Sink.
func (w *world) Loss(capture.Time, capture.Loss) {}

// Finding implements pipeline.Sink.
func (w *world) Finding(f *detect.Finding) {
	if f.Kind == detect.AlertChanged {
		w.alerts = append(w.alerts, *f.Alert)
	}
}
