package advise

import (
	"fmt"
	"net/netip"
	"strings"

	"stallwatch/detect"
)

// banFor is how long an address stays in the set: longer than an attack's
// patience, shorter than an address's life in a mobile network.
const banFor = "1h"

// nftables proposes a set of banned addresses. It makes a table of its own,
// so that nothing of the machine's rules is touched, and the undo is one
// word.
func nftables(p *plan) []Section {
	if !p.needs(ban) || len(p.in.Clients) == 0 {
		return nil
	}
	if p.in.Proxy >= HAProxy && len(p.in.Trusted) == 0 {
		p.notes = append(p.notes, fmt.Sprintf("Nothing is banned by nftables: with %s in front, the peers of the node's port are the proxy. Limit and refuse in the proxy, or name its networks with --trusted.", p.in.Proxy))
		return nil
	}
	if len(p.culprits) == 0 {
		return nil
	}
	const id = "nftables"
	title := fmt.Sprintf("nftables: ban these peers from port %d for %s", p.in.Port, banFor)
	port := fmt.Sprintf(" tcp dport %d", p.in.Port)
	if p.in.Alert == "PortScan" || p.in.Alert == "LoginProbe" {
		title, port = "nftables: ban these peers from every port for "+banFor, ""
	}
	cost := "Costs everybody behind these addresses the port, without an answer. Sockets that already hang stay until the node lets go of them."
	switch {
	case p.in.Proxy == ProxyUnknown:
		cost = "First make sure that none of these is your load balancer or CDN: it would cut off everybody. " + cost
	case p.in.Alert == "SynFlood":
		cost += " The sources of a SYN flood are mostly forged: this may ban the innocent and not slow the flood."
	}
	return []Section{{ID: id, Title: title, Cost: cost,
		Parts: []Part{{Shell, nftScript(p, port)}},
		Undo:  "nft delete table inet stallwatch"}}
}

// nftScript is one shell word for nft: pasted again it starts afresh. The
// hook is prerouting, before any translation, so that a node in a container
// is covered too.
func nftScript(p *plan, port string) string {
	v4, v6 := byFamily(p.culprits)
	t4, t6 := exemptByFamily(p.in.exempt())
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("nft 'table inet stallwatch")
	line("delete table inet stallwatch")
	line("table inet stallwatch {")
	nftSet(&b, "banned4", "ipv4_addr", v4)
	nftSet(&b, "banned6", "ipv6_addr", v6)
	line("  chain guard {")
	line("    type filter hook prerouting priority -300; policy accept;")
	line("    iifname \"lo\" accept")
	line("    ip saddr { %s } accept", strings.Join(t4, ", "))
	line("    ip6 saddr { %s } accept", strings.Join(t6, ", "))
	line("    ip saddr @banned4%s counter drop", port)
	line("    ip6 saddr @banned6%s counter drop", port)
	line("  }")
	line("}'")
	return b.String()
}

func nftSet(b *strings.Builder, name, kind string, list []string) {
	fmt.Fprintf(b, "  set %s {\n    type %s\n    flags interval, timeout\n    timeout %s\n    size 65536\n", name, kind, banFor)
	if len(list) > 0 {
		fmt.Fprintf(b, "    elements = { %s }\n", strings.Join(list, ", "))
	}
	b.WriteString("  }\n")
}

func byFamily(list []netip.Prefix) (v4, v6 []string) {
	for _, p := range list {
		if p.Addr().Is4() {
			v4 = append(v4, detect.NetworkName(p))
		} else {
			v6 = append(v6, detect.NetworkName(p))
		}
	}
	return v4, v6
}

// exemptByFamily drops what another network covers: a set of prefixes must
// not overlap.
func exemptByFamily(list []netip.Prefix) (v4, v6 []string) {
	for i, p := range list {
		covered := false
		for j, q := range list {
			covered = covered || i != j && q.Bits() < p.Bits() && q.Contains(p.Addr())
		}
		switch {
		case covered:
		case p.Addr().Is4():
			v4 = append(v4, p.String())
		default:
			v6 = append(v6, p.String())
		}
	}
	return v4, v6
}
