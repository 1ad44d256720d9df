package host

import "slices"

// serves settles which of the watched ports the process listens on, and
// reports whether that is another answer than before. Where a proxy and the
// node share a machine both of their ports may be watched: the proxy's
// sockets, half closed ones above all, are none of the node's. With one port
// there is nothing to tell apart; where descriptors may not be read, or none
// of them listens (another process of the node does), every port counts.
//
// Reading the descriptors is dear, so it is done when other sockets listen
// than the time before: t has those of all watched ports.
func (p *Prober) serves(t *table) (changed bool) {
	if len(p.opts.Ports) < 2 || p.pid == 0 || slices.Equal(p.servedOf, t.inodes) {
		return false
	}
	p.servedOf = slices.Clone(t.inodes)
	var served []uint16
	for _, inode := range p.proc.held(p.pid, t.inodes) {
		if port := t.doors[slices.Index(t.inodes, inode)]; !slices.Contains(served, port) {
			served = append(served, port)
		}
	}
	slices.Sort(served)
	changed = !slices.Equal(served, p.served)
	p.served = served
	return changed
}

// held returns which of the sockets a process has open, as far as its
// descriptors may be read.
func (p *proc) held(pid int, inodes []uint64) (held []uint64) {
	_ = p.eachHeld(pid, inodes, func(n uint64) bool {
		if !slices.Contains(held, n) {
			held = append(held, n)
		}
		return len(held) < len(inodes)
	})
	return held
}
