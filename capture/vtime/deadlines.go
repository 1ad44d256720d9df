package vtime

import "stallwatch/capture"

// Deadlines is a binary heap of values that fall due. Values with the same
// time come out in the order they went in, so the order never depends on the
// heap's shape.
//
// There is no removal: the owner checks a popped value against its own state
// and drops it when it no longer holds (a generation number does). So the
// heap is bounded by the number of Push calls within one waiting time; owners
// that re-arm often (idle timers) keep one entry and push it again when it
// pops too early.
//
// The zero value is ready.
type Deadlines[T any] struct {
	heap []deadline[T]
	seq  uint64
}

type deadline[T any] struct {
	at    capture.Time
	seq   uint64
	value T
}

func (a *deadline[T]) before(b *deadline[T]) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// Len returns how many values wait.
func (d *Deadlines[T]) Len() int { return len(d.heap) }

// Push adds v, due at at.
func (d *Deadlines[T]) Push(at capture.Time, v T) {
	d.seq++
	d.heap = append(d.heap, deadline[T]{at, d.seq, v})
	h, i := d.heap, len(d.heap)-1
	for i > 0 {
		up := (i - 1) / 2
		if h[up].before(&h[i]) {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
}

// Next returns when the earliest value is due; ok is false if none waits.
func (d *Deadlines[T]) Next() (at capture.Time, ok bool) {
	if len(d.heap) == 0 {
		return 0, false
	}
	return d.heap[0].at, true
}

// Pop removes and returns the earliest value that is due at or before now.
func (d *Deadlines[T]) Pop(now capture.Time) (at capture.Time, v T, ok bool) {
	if len(d.heap) == 0 || d.heap[0].at > now {
		return 0, v, false
	}
	top := d.heap[0]
	last := len(d.heap) - 1
	d.heap[0] = d.heap[last]
	d.heap[last] = deadline[T]{}
	d.heap = d.heap[:last]
	d.sink()
	return top.at, top.value, true
}

func (d *Deadlines[T]) sink() {
	h, i := d.heap, 0
	for {
		kid := 2*i + 1
		if kid >= len(h) {
			return
		}
		if kid+1 < len(h) && h[kid+1].before(&h[kid]) {
			kid++
		}
		if h[i].before(&h[kid]) {
			return
		}
		h[i], h[kid] = h[kid], h[i]
		i = kid
	}
}
