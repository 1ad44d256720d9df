// Package config turns what an operator typed into the Options of the
// packages below: ports, sizes, names of packs. It reads no wire data and
// keeps no state. Every error is one line that says what would be right.
package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultPort is where IRI and HORNET serve their API.
const DefaultPort = 14265

// MaxPorts bounds the list of watched ports: each is a term of the BPF
// filter, and the kernel's limit of 4096 instructions is far away from this.
const MaxPorts = 64

// Ports parses port numbers, each argument one or several separated by
// commas.
func Ports(args []string) ([]uint16, error) {
	var ports []uint16
	seen := map[uint16]bool{}
	for _, a := range args {
		for _, f := range strings.Split(a, ",") {
			n, err := strconv.ParseUint(strings.TrimSpace(f), 10, 16)
			if err != nil || n == 0 {
				return nil, fmt.Errorf("port %q: want a number from 1 to 65535, as in -p 14265", f)
			}
			if !seen[uint16(n)] {
				seen[uint16(n)] = true
				ports = append(ports, uint16(n))
			}
		}
	}
	if len(ports) > MaxPorts {
		return nil, fmt.Errorf("%d ports: want at most %d", len(ports), MaxPorts)
	}
	return ports, nil
}

var units = []struct {
	suffix string
	factor int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"B", 1},
}

// Size parses a number of bytes with an optional unit: 4096, 512KiB, 64MiB,
// 2G. Units are powers of 1024.
func Size(s string) (int64, error) {
	digits, factor := s, int64(1)
	for _, u := range units {
		if d, ok := strings.CutSuffix(s, u.suffix); ok {
			digits, factor = d, u.factor
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return 0, fmt.Errorf("size %q: want bytes or a unit of 1024, as in 65536, 512KiB or 64MiB", s)
	}
	return n * factor, nil
}

// Networks parses networks in CIDR form and single addresses.
func Networks(words []string) (list []netip.Prefix, err error) {
	for _, s := range words {
		p, err := netip.ParsePrefix(s)
		if a, bad := netip.ParseAddr(s); err != nil && bad == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q: want a network, as in 10.0.0.0/8", s)
		}
		list = append(list, p)
	}
	return list, nil
}
