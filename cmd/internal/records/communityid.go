package records

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"net/netip"

	"stallwatch/capture"
)

const protoTCP = 6

// appendCommunityID appends the Community ID of a TCP flow, version 1 with
// seed 0 (https://github.com/corelight/community-id-spec): SHA-1 over the
// seed, the ends with the smaller first, the protocol and a zero byte. Zeek
// and Suricata print the same, so that their logs can be joined to ours. SHA-1
// is no security here.
func appendCommunityID(dst []byte, f *capture.Flow) []byte {
	var in [2 + 16 + 16 + 2 + 2 + 2]byte
	a, b := f.Client.AddrPort(), f.Server.AddrPort()
	if less(b, a) {
		a, b = b, a
	}
	p := in[:2]
	p = appendAddr(p, a.Addr())
	p = appendAddr(p, b.Addr())
	p = append(p, protoTCP, 0, byte(a.Port()>>8), byte(a.Port()), byte(b.Port()>>8), byte(b.Port()))
	sum := sha1.Sum(p)
	return base64.StdEncoding.AppendEncode(append(dst, "1:"...), sum[:])
}

func appendAddr(dst []byte, a netip.Addr) []byte {
	if a.Is4() {
		b := a.As4()
		return append(dst, b[:]...)
	}
	b := a.As16()
	return append(dst, b[:]...)
}

func less(a, b netip.AddrPort) bool {
	x, y := a.Addr().As16(), b.Addr().As16()
	if c := bytes.Compare(x[:], y[:]); c != 0 {
		return c < 0
	}
	return a.Port() < b.Port()
}
