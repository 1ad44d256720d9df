package httpreassembly

// index finds numbers by hash: open addressing over slots of eight bytes,
// linear probing. Who looks something up compares what the numbers stand for:
//
//	mask := uint32(len(ix.slots) - 1)
//	for i := h & mask; ix.slots[i].ref != 0; i = (i + 1) & mask
type index struct {
	slots []slot // a power of two
	n     int
}

type slot struct {
	hash uint32
	ref  uint32 // 0: empty
}

// init empties ix, with room for some n before it has to grow.
func (ix *index) init(n int) {
	size := 16
	for size < n {
		size *= 2
	}
	ix.slots, ix.n = make([]slot, size), 0
}

// add enters s, which is not there.
func (ix *index) add(s slot) {
	if ix.n++; ix.n*4 > len(ix.slots)*3 {
		ix.grow()
	}
	ix.place(s)
}

func (ix *index) place(s slot) {
	mask := uint32(len(ix.slots) - 1)
	i := s.hash & mask
	for ix.slots[i].ref != 0 {
		i = (i + 1) & mask
	}
	ix.slots[i] = s
}

func (ix *index) grow() {
	old := ix.slots
	ix.slots = make([]slot, 2*len(old))
	for _, s := range old {
		if s.ref != 0 {
			ix.place(s)
		}
	}
}

// remove takes s out and closes the gap, so that probes end at the first
// empty slot (Knuth volume 3, section 6.4, algorithm R).
func (ix *index) remove(s slot) {
	mask := uint32(len(ix.slots) - 1)
	i := s.hash & mask
	for ix.slots[i].ref != s.ref {
		if ix.slots[i].ref == 0 {
			return // it is not there
		}
		i = (i + 1) & mask
	}
	ix.n--
	for j := i; ; {
		j = (j + 1) & mask
		next := ix.slots[j]
		if next.ref == 0 {
			ix.slots[i] = slot{}
			return
		}
		if home := next.hash & mask; (j-home)&mask >= (j-i)&mask {
			ix.slots[i] = next
			i = j
		}
	}
}
