package rules

import (
	"encoding/binary"
	"hash/maphash"
)

// Familiar remembers the verdicts on requests that come again and again, byte
// for byte: what monitors poll, what a wallet asks without arguments, and the
// one call of an attack. To compare takes about a tenth of what reading
// takes, and a verdict that calls share takes no room of their own while they
// hang. A Verdict depends on nothing but the Request and the Set, so what Find
// returns is what Set.Judge says.
//
// It is not safe for concurrent use. The zero value is ready.
type Familiar struct {
	set   *Set // whose verdicts they are
	seed  maphash.Seed
	slots []familiarSlot
	text  []byte // of the request that Find was asked about last; empty: it is none to be remembered
	sum   uint64 // of text
}

// familiarSlot is a request and the verdict on it. Who else has the slot costs
// time only.
type familiarSlot struct {
	text    []byte
	verdict *Verdict
	latest  uint64 // sum of the request that was not found here last
}

// What is remembered: 200 KiB if all are as long as may be. Verdicts are kept
// by calls in flight, whatever takes their slot: so they are allocated without
// the text, and cost a call no more than one of its own.
const (
	familiarSlots = 256
	maxFamiliar   = 768 // bytes of text
)

// Find returns the verdict on r if it is familiar, else nil: then r is to be
// judged, and Learn to be told. The Verdict is shared, and must not be changed.
func (f *Familiar) Find(s *Set, r *Request) *Verdict {
	if f.set != s {
		*f = Familiar{set: s, seed: maphash.MakeSeed(), slots: make([]familiarSlot, familiarSlots), text: make([]byte, 0, maxFamiliar)}
	}
	f.text = f.text[:0]
	if len(r.ContentEncoding) > 0 || r.BodyBytes != int64(len(r.Body)) ||
		familiarHead+len(r.Method)+len(r.Target)+len(r.ContentType)+len(r.Body) > maxFamiliar {
		return nil
	}
	f.text = appendRequest(f.text, r)
	f.sum = maphash.Bytes(f.seed, f.text)
	sl := &f.slots[f.sum%familiarSlots]
	if string(sl.text) != string(f.text) {
		return nil
	}
	return sl.verdict
}

// Learn is told the verdict on the request that Find has just not found. It
// remembers what its slot misses twice in a row: requests that never come
// again cost no memory, and of two that take turns the one that was there
// first stays.
func (f *Familiar) Learn(v *Verdict) {
	if len(f.text) == 0 {
		return
	}
	sl := &f.slots[f.sum%familiarSlots]
	if sl.latest != f.sum {
		sl.latest = f.sum
		return
	}
	shared := *v
	sl.verdict = &shared
	sl.text = append(sl.text[:0], f.text...)
}

const familiarHead = 6

// appendRequest appends what a verdict depends on, and no two requests have
// the same: the lengths tell where each part ends.
func appendRequest(dst []byte, r *Request) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(r.Method)))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(r.Target)))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(r.ContentType)))
	dst = append(dst, r.Method...)
	dst = append(dst, r.Target...)
	dst = append(dst, r.ContentType...)
	return append(dst, r.Body...)
}
