package decode

import "iter"

// Skip says why a frame did not become a segment. The list is closed.
type Skip uint8

// The reasons, in the order in which Stats.Skips lists them.
const (
	none Skip = iota
	// Tunnelled is a packet within a packet: GRE, IP in IP, VXLAN, MPLS, PPPoE.
	// What is inside is not looked at: its addresses are those of another
	// network, and its clients perhaps the same twice.
	Tunnelled
	// NotTCP is IP of another protocol.
	NotTCP
	// NotIP is ARP and everything else that is not IP.
	NotIP
	// UnknownLink is a frame of a link type that is not decoded.
	UnknownLink
	// VLANTooDeep is a frame with more than maxTags VLAN tags.
	VLANTooDeep
	// ExtensionsTooMany is IPv6 with more than maxExtensions extension headers.
	ExtensionsTooMany
	// CutHeader is a frame that the snap length cut before the end of the
	// headers that are needed.
	CutHeader
	// BadLength is a header whose length contradicts the frame around it.
	BadLength
	// BadIPChecksum is an IPv4 header that routers and hosts would drop.
	BadIPChecksum
	// FragmentWaiting counts the fragments that wait now for the rest of
	// their datagram: the only count that falls.
	FragmentWaiting
	// FragmentJoined is a fragment whose datagram became a segment with a
	// later frame.
	FragmentJoined
	// FragmentDuplicate is a fragment that was there already.
	FragmentDuplicate
	// FragmentOverlap is a fragment of a datagram whose fragments overlap.
	FragmentOverlap
	// FragmentDropped is a fragment that was given up: too old, no room, cut
	// by the snap length, or at odds with the others about the end.
	FragmentDropped
	numSkips
)

var skipNames = [numSkips]string{"", "tunnelled", "not_tcp", "not_ip", "unknown_link", "vlan_too_deep", "extensions_too_many",
	"cut_header", "bad_length", "bad_ip_checksum", "fragment_waiting", "fragment_joined", "fragment_duplicate",
	"fragment_overlap", "fragment_dropped"}

// String returns the name that records use.
func (s Skip) String() string {
	if s < numSkips {
		return skipNames[s]
	}
	return "unknown"
}

// Stats counts frames. Segments and all Skipped together are the frames seen.
type Stats struct {
	Segments uint64
	Skipped  [numSkips]uint64 // by Skip
}

// Skips yields the reasons that occurred and how often, in a fixed order.
func (s Stats) Skips() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for i, n := range s.Skipped {
			if n > 0 && !yield(Skip(i).String(), n) {
				return
			}
		}
	}
}
