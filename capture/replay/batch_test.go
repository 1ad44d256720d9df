package replay

import (
	"bytes"
	"encoding/binary"
	"io"
	"path/filepath"
	"testing"

	"stallwatch/capture"
)

// bigFile makes a pcap of n packets whose bytes tell them apart; one of them
// is larger than a buffer.
func bigFile(n int) []byte {
	le := binary.LittleEndian
	b := make([]byte, 24)
	le.PutUint32(b, magicNano)
	le.PutUint32(b[20:], uint32(capture.LinkEthernet))
	for i := range n {
		size := 60 + i*37%1400
		if i == n/2 {
			size = 3*blockSize + 11
		}
		h := make([]byte, 16)
		le.PutUint32(h, uint32(1+i))
		le.PutUint32(h[8:], uint32(size))
		le.PutUint32(h[12:], uint32(size))
		b = append(append(b, h...), bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(i * 7)}, size/3+1)[:size]...)
	}
	return b
}

// TestBatchHolds reads by batches, keeps as many as it may, and compares each
// packet with a plain reading at the last moment it must hold.
func TestBatchHolds(t *testing.T) {
	dir := t.TempDir()
	content := bigFile(6000)
	for name, packed := range packings(t, content) {
		path := write(t, filepath.Join(dir, name), packed)
		for _, hold := range []int{1, 3} {
			s, err := Open([]string{path, write(t, filepath.Join(dir, "other"), bigFile(100))}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			s.Hold(hold)
			plain, err := Open([]string{path, filepath.Join(dir, "other")}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var held [][]capture.Item
			check := func(batch []capture.Item) {
				for i := range batch {
					var want capture.Item
					if err := plain.Next(&want); err != nil {
						t.Fatal(err)
					}
					if got := &batch[i]; got.At != want.At || got.Kind != want.Kind || !bytes.Equal(got.Packet.Data, want.Packet.Data) {
						t.Fatalf("%s, hold %d: item at %d (%d bytes) is not the one at %d (%d bytes), or did not hold",
							name, hold, got.At, len(got.Packet.Data), want.At, len(want.Packet.Data))
					}
				}
			}
			for {
				items := make([]capture.Item, 700)
				n, err := s.Batch(items)
				held = append(held, items[:n])
				if err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				if len(held) > hold {
					check(held[0])
					held = held[1:]
				}
			}
			for _, b := range held {
				check(b)
			}
			if err := plain.Next(new(capture.Item)); err != io.EOF {
				t.Errorf("%s, hold %d: the batches ended before the file: %v", name, hold, err)
			}
			s.Close()
			plain.Close()
		}
	}
}
