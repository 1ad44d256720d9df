package synth

import (
	"stallwatch/capture"
)

// Forge makes single frames as a caller wants them, for traffic that no
// honest pair of kernels would make: floods, contents that never end. The
// Generator's clients keep to the rules; an attacker's do not.
type Forge struct{ frame []byte }

// ClientPort is the port of the k-th client of a Forge.
func ClientPort(k int) uint16 { return uint16(1024 + k%60000) }

// Frame returns a segment between the k-th client and the server. It holds
// until the next call. Clients are told apart by address and port, up to
// 2^24 of them.
func (f *Forge) Frame(k int, dir capture.Dir, flags capture.Flags, seq, ack uint32, payload []byte) []byte {
	n := uint32(k / 60000 << 8)
	c := conn{flow: capture.Flow{
		Client: capture.Endpoint4([4]byte{10, byte(n >> 16), byte(n >> 8), 9}, ClientPort(k)),
		Server: capture.Endpoint4([4]byte{10, 77, 0, 1}, ServerPort),
	}}
	f.frame = appendFrame(f.frame[:0], &packet{c: &c, dir: dir, flags: flags, seq: seq, ack: ack, payload: len(payload), msg: payload})
	return f.frame
}
