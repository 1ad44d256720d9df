package host

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
)

// maxAddrs bounds Sample.Addrs.
const maxAddrs = 4096

// addrs lists the addresses of a process's network namespace. They are read
// from /proc so that another namespace needs not be entered.
func (p *proc) addrs(pid int) []netip.Addr {
	var list []netip.Addr
	if b, err := p.read(p.path(pid, "net/fib_trie")); err == nil {
		list = appendTrie(list, string(b))
	}
	if b, err := p.read(p.path(pid, "net/if_inet6")); err == nil {
		list = appendInet6(list, string(b))
	}
	slices.SortFunc(list, netip.Addr.Compare)
	list = slices.Compact(list)
	return list[:min(len(list), maxAddrs)]
}

// appendTrie reads the local addresses of /proc/net/fib_trie: an address line
// "|-- 192.0.2.1" above a line "/32 host LOCAL".
func appendTrie(list []netip.Addr, text string) []netip.Addr {
	var last netip.Addr
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "|-- "); ok {
			last, _ = netip.ParseAddr(rest)
			continue
		}
		if last.IsValid() && strings.HasPrefix(line, "/32 host LOCAL") {
			list = append(list, last)
		}
	}
	return list
}

// appendInet6 reads /proc/net/if_inet6: 32 hexadecimal digits come first.
func appendInet6(list []netip.Addr, text string) []netip.Addr {
	for line := range strings.Lines(text) {
		digits, _, _ := strings.Cut(line, " ")
		if b, err := hex.DecodeString(digits); err == nil && len(b) == 16 {
			list = append(list, netip.AddrFrom16([16]byte(b)))
		}
	}
	return list
}
