package rules

import (
	"encoding/binary"
	"math/bits"
)

// words finds what stands for a name: a table of open addressing that is
// filled once and asked for each member of each body. A Go map takes three
// times as long for names this short. The names are the rules' own, so nobody
// chooses how long a probe gets.
type words[T any] struct {
	slots []word[T] // a power of two, at most half full
	n     int
}

type word[T any] struct {
	name string // "": empty
	to   T
}

// hashWord mixes the length with the first and the last bytes: hardly any two
// names of the packs agree in all of them, and more would cost more than a
// probe.
func hashWord(b []byte) uint32 {
	var x, y uint64
	switch n := len(b); {
	case n >= 8:
		x, y = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		x, y = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:]))
	case n > 0:
		x, y = uint64(b[0])<<8|uint64(b[n-1]), uint64(b[n/2])
	}
	hi, lo := bits.Mul64(x^0xa0761d6478bd642f^uint64(len(b)), y^0xe7037ed1a0b428db)
	return uint32((hi ^ lo) >> 7)
}

// set says what name, which is not empty, stands for.
func (w *words[T]) set(name string, to T) {
	if at := w.find([]byte(name)); at >= 0 {
		w.slots[at].to = to
		return
	}
	if w.n++; 2*w.n > len(w.slots) {
		old := w.slots
		w.slots = make([]word[T], max(16, 2*len(old)))
		for _, o := range old {
			if o.name != "" {
				w.place(o)
			}
		}
	}
	w.place(word[T]{name, to})
}

func (w *words[T]) place(e word[T]) {
	i := int(hashWord([]byte(e.name))) & (len(w.slots) - 1)
	for w.slots[i].name != "" {
		i = (i + 1) & (len(w.slots) - 1)
	}
	w.slots[i] = e
}

// get returns what name stands for.
func (w *words[T]) get(name []byte) (to T, ok bool) {
	at := w.find(name)
	if at < 0 {
		return to, false
	}
	return w.slots[at].to, true
}

// find returns the slot of name, or -1.
func (w *words[T]) find(name []byte) int {
	if len(w.slots) == 0 || len(name) == 0 {
		return -1
	}
	mask := len(w.slots) - 1
	for i := int(hashWord(name)) & mask; w.slots[i].name != ""; i = (i + 1) & mask {
		if w.slots[i].name == string(name) {
			return i
		}
	}
	return -1
}
