package detect

import (
	"net/netip"

	"stallwatch/httpreassembly"
)

// perimeter folds what happens at the other doors of a machine that a watched
// node is on. Nothing of it is told unless httpreassembly.Options.Perimeter
// asks for it.
func (v *view) perimeter(ev *httpreassembly.Event) {
	client := ev.Flow.Client.Addr()
	n := v.machine(ev.Flow.Server.Addr())
	if n == nil || v.trusted(client) || v.machine(client) != nil {
		return
	}
	port := ev.Flow.Server.Port()
	switch {
	case ev.Kind == httpreassembly.PortRefused:
		if v.scanner(n, client, ev.At).tried(port, ev.At) {
			n.did(scanned, ev.At, client)
		}
	case port == sshPort:
		n.did(login, ev.At, client)
	}
}

// sshPort is where SSH listens (RFC 4253 section 4.1).
const sshPort = 22

// machine returns the first node with an address; nil if none has it.
func (v *view) machine(a netip.Addr) *node {
	for _, n := range v.nodes {
		if n.server.Addr() == a {
			return n
		}
	}
	if v.isLocal(a) {
		return v.host.node
	}
	return nil
}
