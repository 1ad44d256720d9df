package live

import (
	"regexp"
	"strconv"
	"strings"
)

// BuildFilter returns the pcap-filter(7) expression for the TCP segments of
// ports (none: of every port) that user lets through ("": all of them). tags
// says whether the link type can carry VLAN tags that the kernel left in the
// packet, perimeter whether SYN and RST of every other port pass as well.
//
// Besides the segments themselves it lets through what a port cannot be read
// from: later IP fragments of TCP, and IPv6 packets whose TCP header stands
// behind an extension header. decode puts the former together and looks into
// the latter; without them an attacker hides a request by cutting it up.
//
// The keyword vlan moves the offsets of all that stands behind it, to the
// right and not only inside its parentheses. So each alternative is written
// out with all its conditions, user's among them, untagged first, and when
// user itself says vlan (or another word that moves offsets) there is one
// alternative only.
func BuildFilter(ports []uint16, user string, tags, perimeter bool) string {
	one := tcpFilter(ports)
	if perimeter && len(ports) > 0 {
		one += " or " + doors4 + " or " + doors6
	}
	if user != "" {
		one = "(" + user + ") and (" + one + ")"
	}
	if !tags || movesOffsets.MatchString(user) {
		return one
	}
	return "(" + one + ") or (vlan and (" + one + ")) or (vlan and (" + one + "))"
}

// movesOffsets finds the words of pcap-filter(7) that change the offsets of
// what follows.
var movesOffsets = regexp.MustCompile(`\b(vlan|mpls|pppoes|geneve|vxlan)\b`)

// The parts that carry no port: IPv4 fragments other than the first (RFC 791:
// offset in the low 13 bits of bytes 6 and 7), IPv6 fragments of TCP (RFC
// 8200 section 4.5: next header 44, and the fragment header's own next header
// is 6, or that of options before TCP; in later fragments, of offset above 0,
// it means nothing), and IPv6 hop-by-hop (0), routing (43) and destination
// options (60).
const (
	fragments4 = "(ip proto 6 and ip[6:2] & 0x1fff != 0)"
	fragments6 = "(ip6[6] = 44 and (ip6[40] = 6 or ip6[40] = 43 or ip6[40] = 60 or ip6[42:2] & 0xfff8 != 0))"
	extended6  = "ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 60"

	// The flags are the TCP header's 14th byte; SYN is 2 and RST is 4 (RFC
	// 9293 section 3.1). tcp[] speaks of IPv4 alone.
	doors4 = "(tcp[13] & 6 != 0)"
	doors6 = "(ip6[6] = 6 and ip6[53] & 6 != 0)"
)

func tcpFilter(ports []uint16) string {
	var b strings.Builder
	if len(ports) == 0 {
		b.WriteString("tcp")
	}
	for i, p := range ports {
		if i > 0 {
			b.WriteString(" or ")
		}
		b.WriteString("tcp port " + strconv.Itoa(int(p)))
	}
	b.WriteString(" or " + fragments4 + " or " + fragments6 + " or " + extended6)
	return b.String()
}
