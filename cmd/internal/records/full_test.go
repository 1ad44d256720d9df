package records

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"stallwatch/capture"
	"stallwatch/cmd/internal/pipeline"
)

// picky refuses blocks while full.
type picky struct {
	bytes.Buffer
	full bool
}

func (p *picky) Write(b []byte) (int, error) {
	if p.full {
		return 0, ErrFull
	}
	return p.Buffer.Write(b)
}

// TestRefusedBlocksAreCounted: each line is in the stream, or in the loss
// record that stands in its place, or, at the end, in Unwritten alone.
func TestRefusedBlocksAreCounted(t *testing.T) {
	w := &picky{}
	r := New(w, Options{})
	at := capture.Time(0)
	write := func(n int, full bool) {
		w.full = full
		for range n {
			at += 1000
			r.Loss(at, capture.Loss{Kernel: 1})
			if n%3 == 0 {
				r.Flush()
			}
		}
		r.Flush()
	}
	write(5, false)
	write(9, true)
	write(4, false)
	write(3000, true) // more than a block
	write(3000, true)
	r.Flush() // nothing new: nothing is counted twice
	write(1, false)
	write(7, true)
	w.full = false
	r.Summary(pipeline.Stats{})
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	var seen []int // lines in a row, and the negative of those missing
	var dropped int
	for line := range strings.Lines(w.String()) {
		var rec struct {
			Type    string
			Records int
			Dropped int `json:"records_dropped"`
		}
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch {
		case rec.Type == "summary":
			dropped = rec.Dropped
		case rec.Type == "loss" && rec.Records > 0:
			seen = append(seen, -rec.Records, 0)
		case rec.Type == "loss":
			if seen == nil {
				seen = []int{0}
			}
			seen[len(seen)-1]++
		}
	}
	want := []int{5, -9, 4, -6000, 1, -7, 0}
	if len(seen) != len(want) {
		t.Fatalf("lines and holes %v, want %v", seen, want)
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Fatalf("lines and holes %v, want %v", seen, want)
		}
	}
	if dropped != 6016 || r.Unwritten() != 6016 || r.Err() != nil {
		t.Errorf("the summary tells %d dropped, Unwritten %d, Err %v; want 6016, 6016, none", dropped, r.Unwritten(), r.Err())
	}
}
