package detect

import (
	"net/netip"
	"slices"
	"time"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// hostStale is how old a sample may be and still be believed.
const hostStale = 15 * time.Second

// maxLocal bounds the machine's own addresses, maxSeeds the sockets taken
// over from its table.
const (
	maxLocal = 4096
	maxSeeds = 1 << 16
)

// host is what the node's machine says: the last sample that did not fail.
type host struct {
	node   *node // whom it speaks of; nil: nobody known
	at     capture.Time
	sample capture.Sample // without Conns; valid iff at is not zero
	failed uint64

	firstUnaccepted httpreassembly.ConnID // connections from here on wait for accept(); valid iff sample.Unaccepted > 0

	standing int   // sockets of the last sample whose connection was established once
	arrived  int64 // by how much it ever grew from one sample to the next

	closeWait history // the kernel's count, by second
	overflows history // ListenOverflows since the first sample
	drops     history
	base      capture.Sample // the first: counters start there
	spares    spares
}

// seed is a connection that stood half closed before the capture saw it.
type seed struct {
	since capture.Time // of the sample: it is at least so old
}

// sampled folds a sample.
func (v *view) sampled(at capture.Time, s *capture.Sample) {
	h := &v.host
	if s.Err != "" {
		h.failed++
		return
	}
	if h.at == 0 {
		h.base = *s
		h.base.Conns, h.base.Addrs = nil, nil
	}
	standing := onceEstablished(s)
	if h.at != 0 {
		h.arrived += int64(max(0, standing-h.standing))
	}
	h.standing = standing
	v.setLocal(s.Addrs)
	h.at, h.sample = at, *s
	h.sample.Conns = nil
	h.closeWait.add(at, int64(s.Sockets[capture.CloseWait]))
	h.overflows.add(at, int64(s.Overflows))
	h.drops.add(at, int64(s.Drops))
	if s.Conns != nil {
		v.reseed(at, s.Conns)
	}
	v.findHostNode()
	v.findUnaccepted()
	v.release(at)
}

// onceEstablished counts the sockets of connections that were established at
// one time: most of a node's are in TIME_WAIT for a minute after the few
// milliseconds of a call, if it closes first.
func onceEstablished(s *capture.Sample) int {
	n := 0
	for state, k := range s.Sockets {
		switch capture.State(state) {
		case capture.Listen, capture.Closed, capture.SynSent, capture.SynRecv, capture.NewSynRecv:
		default:
			n += k
		}
	}
	return n
}

// findUnaccepted finds the first of the connections that the process has not
// accepted: the kernel counts them, and they are the youngest.
func (v *view) findUnaccepted() {
	h := &v.host
	if h.node == nil || h.sample.Unaccepted <= 0 {
		return
	}
	var ids []httpreassembly.ConnID
	for i := range v.conns.made {
		if c := v.conns.at(i); c.node == h.node && c.phase != opening && !c.closed {
			ids = append(ids, c.id)
		}
	}
	slices.Sort(ids)
	h.firstUnaccepted = 0
	if n := len(ids) - h.sample.Unaccepted; n > 0 {
		h.firstUnaccepted = ids[n]
	}
}

// fresh reports whether there is a sample to be believed at at.
func (h *host) fresh(at capture.Time) bool { return h.at != 0 && at.Sub(h.at) <= hostStale }

// of reports whether the host speaks of n at at.
func (h *host) of(n *node, at capture.Time) bool { return n == h.node && h.fresh(at) }

// queue returns the fullest accept queue and its limit; ok is false when the
// sample has none.
func (h *host) queue() (b capture.Backlog, ok bool) {
	for _, l := range h.sample.Listen {
		if !ok || l.Queue-l.Max > b.Queue-b.Max {
			b, ok = l, true
		}
	}
	return b, ok
}

// findHostNode settles whom the samples speak of: the first node seen on one
// of the machine's addresses and a port that the process listens on. A
// process that listens without a packet seen gets a node of its own, so that
// the kernel's evidence counts when the wire is blind.
func (v *view) findHostNode() {
	h := &v.host
	if h.at == 0 || h.node != nil && !h.node.gone {
		return // before the first sample it could be anybody
	}
	h.node = nil
	for _, n := range v.nodes {
		if v.hostServes(n.server) {
			h.node = n
			return
		}
	}
	for _, l := range h.sample.Listen {
		a := l.Addr
		if !a.IsValid() {
			continue
		}
		if a.Addr().IsUnspecified() && len(h.sample.Addrs) > 0 {
			a = netip.AddrPortFrom(h.sample.Addrs[0], a.Port())
		}
		if len(v.nodes) < v.o.MaxNodes {
			h.node = v.addNode(capture.EndpointOf(a))
		}
		return
	}
}

func (v *view) hostServes(server netip.AddrPort) bool {
	if len(v.local) > 0 && !v.isLocal(server.Addr()) {
		return false
	}
	known := false
	for _, l := range v.host.sample.Listen {
		if l.Addr.IsValid() {
			known = true
			if l.Addr.Port() == server.Port() {
				return true
			}
		}
	}
	return !known
}

// setLocal takes over the machine's addresses and merges the nodes that turn
// out to be one.
func (v *view) setLocal(addrs []netip.Addr) {
	grown := false
	for _, a := range addrs {
		if _, ok := v.local[a]; !ok && len(v.local) < maxLocal {
			v.local[a] = struct{}{}
			grown = true
		}
	}
	if grown {
		v.regroup()
	}
}

// reseed takes over the sockets that are half closed in the kernel's table
// and not known from the wire.
func (v *view) reseed(at capture.Time, table []capture.Socket) {
	known := make(map[capture.Flow]struct{})
	for i := range v.conns.made {
		if c := v.conns.at(i); c.half {
			known[capture.Flow{Client: c.client, Server: v.closeWaits.at(c.closeWait).server}] = struct{}{}
		}
	}
	old := v.seeds
	v.seeds = make(map[capture.Flow]seed)
	for _, s := range table {
		if _, ok := known[s.Flow]; ok || s.State != capture.CloseWait {
			continue
		}
		if len(v.seeds) >= maxSeeds {
			v.stats.SeedsDropped++
			continue
		}
		since := at
		if o, ok := old[s.Flow]; ok {
			since = o.since
		}
		v.seeds[s.Flow] = seed{since: since}
	}
}

// standing counts the connections that stood half closed since before, and
// still do: the kernel's present count bounds them, less what the wire
// accounts for.
func (v *view) standing(n *node, before capture.Time) int {
	if n != v.host.node {
		return 0
	}
	count := 0
	for _, s := range v.seeds {
		if s.since <= before {
			count++
		}
	}
	return max(0, min(count, v.host.sample.Sockets[capture.CloseWait]-n.half))
}

// unseed forgets a seed whose addresses and ports have a new connection. One
// that was picked up in its middle is the old one: its FIN was never seen.
func (v *view) unseed(ev *httpreassembly.Event) {
	if len(v.seeds) > 0 && !ev.MidStream {
		delete(v.seeds, ev.Flow)
	}
}
