package replay_test

import (
	"testing"

	"stallwatch/capture"
	"stallwatch/capture/decode"
	"stallwatch/capture/replay"
)

// TestRealCaptures reads what tcpdump recorded of real kernels: every frame
// is a segment, and no checksum is bad, since the kernel wrote them.
func TestRealCaptures(t *testing.T) {
	s, err := replay.Open([]string{"../../testdata/captures"}, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := decode.New(decode.Options{})
	sums := make(map[capture.Checksum]int)
	packets := 0
	var it capture.Item
	var seg capture.Segment
	for s.Next(&it) == nil {
		if it.Kind != capture.PacketSeen {
			continue
		}
		packets++
		if d.Segment(&it.Packet, it.At, &seg) {
			sums[seg.Sum()]++
		}
	}
	if len(s.Errors()) > 0 || packets == 0 || d.Stats().Segments != uint64(packets) {
		t.Errorf("%d packets, %+v, errors %v", packets, d.Stats(), s.Errors())
	}
	if sums[capture.Bad] > 0 || sums[capture.Offloaded] == 0 || sums[capture.Good] == 0 {
		t.Errorf("checksums %v", sums)
	}
}
